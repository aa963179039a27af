"""Mermaid: a small picture as a flowchart for Markdown, where GitHub, GitLab and many editors draw it.

Shapes, dashes and words tell the kinds of boxes and wires apart, colours come on top. What names contain is written
with Mermaid's own entities, so that none of it is taken for syntax, Markdown or HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gradviz.errors import UsageError
from gradviz.layout.drawing import MODULE_KINDS
from gradviz.layout.measure import one_line
from gradviz.picture.composing import compose
from gradviz.picture.records import Box, BoxKind, Frame, Picture, Remark, Wire, WireKind
from gradviz.picture.signs import signs
from gradviz.picture.wording import clean

if TYPE_CHECKING:
    from gradviz.diagnose import Finding
    from gradviz.graphs import Graph
    from gradviz.views import Options

MOST_BOXES = 400
"""More than these are no picture for a page of Markdown."""

MOST_WIRES = 500
MOST_CHARACTERS = 50_000
"""Mermaid itself draws nothing that exceeds one of these two, unless the page that it is on says otherwise."""

_RED = "#b91c1c"
_GREY = "#6b7280"
_AMBER = "#8a5a00"
_MOST_TOLD = 400

SHAPES: dict[BoxKind, tuple[str, str]] = {
    BoxKind.LEAF: ("([", "])"),
    BoxKind.CONST: ("(", ")"),
    BoxKind.OP: ("[", "]"),
    BoxKind.OFF: ("[", "]"),
    BoxKind.OUTPUT: ("[/", "/]"),
    BoxKind.RESULT: ("[\\", "\\]"),
    BoxKind.OFF_OUTPUT: ("[/", "/]"),
    BoxKind.CUT: ("{{", "}}"),
    BoxKind.EXIT: (">", "]"),
    BoxKind.ERROR: ("[/", "\\]"),
    BoxKind.SAVED: ("[(", ")]"),
    BoxKind.MORE: ("[", "]"),
}
"""What stands before and after the label of a box."""

FOLDED = ("[[", "]]")
"""The same for a box that stands for many ops."""

CLASSES: dict[BoxKind, tuple[str, str]] = {
    BoxKind.LEAF: ("leaf", "fill:#dbeafe,stroke:#2563eb,stroke-width:2px,color:#1f2937"),
    BoxKind.CONST: ("const", "fill:#ffffff,stroke:#9ca3af,color:#1f2937"),
    BoxKind.OP: ("op", "fill:#f3f4f6,stroke:#9ca3af,color:#1f2937"),
    BoxKind.OFF: ("off", f"fill:#ffffff,stroke:{_GREY},stroke-dasharray:4 3,color:#4b5563"),
    BoxKind.OUTPUT: ("out", "fill:#dcfce7,stroke:#15803d,stroke-width:2px,color:#1f2937"),
    BoxKind.RESULT: ("result", "fill:#ffffff,stroke:#9ca3af,color:#4b5563"),
    BoxKind.OFF_OUTPUT: ("offout", f"fill:#ffffff,stroke:{_GREY},stroke-dasharray:4 3,color:#4b5563"),
    BoxKind.CUT: ("cut", f"fill:#fef2f2,stroke:{_RED},stroke-width:2px,color:{_RED}"),
    BoxKind.EXIT: ("exit", f"fill:#ffffff,stroke:{_GREY},color:#4b5563"),
    BoxKind.ERROR: ("err", f"fill:#fef2f2,stroke:{_RED},stroke-width:2px,color:{_RED}"),
    BoxKind.SAVED: ("saved", "fill:#fff7ed,stroke:#c2410c,color:#1f2937"),
    BoxKind.MORE: ("more", f"fill:#ffffff,stroke:{_GREY},stroke-dasharray:1 3,color:#4b5563"),
}
"""Class and look of a box."""

_TEXT_CLASSES = {
    "region": f"fill:#f7f8fa,stroke:{_GREY},stroke-dasharray:6 4,color:#4b5563",
    "module": "fill:#fbfbfd,stroke:#9ca3af,color:#4b5563",
    "about": f"fill:none,stroke:none,color:{_GREY}",
    "error": f"fill:#fef2f2,stroke:{_RED},color:{_RED},text-align:left",
    "warning": f"fill:#fffbeb,stroke:{_AMBER},color:{_AMBER},text-align:left",
}

ARROWS: dict[WireKind, tuple[str, str]] = {
    WireKind.GRADIENT: ("-->", "stroke:#374151,stroke-width:2px"),
    WireKind.TRACKED: ("--o", f"stroke:{_GREY},stroke-width:1px"),
    WireKind.SHADOW: ("-.->", f"stroke:{_GREY}"),
    WireKind.ALIAS: ("-.-o", f"stroke:{_GREY}"),
    WireKind.CUT: ("--x", f"stroke:{_RED},stroke-width:2px"),
    WireKind.SAVED: ("---", "stroke:#c2410c"),
    WireKind.ERROR: ("==>", f"stroke:{_RED},stroke-width:2px"),
}
"""Arrow and look of a wire."""

JOINER = "\u2060"
_MEANINGFUL = ("\\n", "$$", ":fa-")
"""A line break, mathematics and the name of an icon."""

_LOST = f"stroke:{_RED},stroke-width:2px"
_ROADS = {"error": f"stroke:{_RED},stroke-width:5px", "warning": f"stroke:{_AMBER},stroke-width:5px"}
_MARKS = {BoxKind.CUT: "✂", BoxKind.ERROR: "✗"}


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> str:
    """A Mermaid flowchart. Raises `UsageError` for more than Mermaid draws, or a reader of Markdown looks at."""
    picture = compose(graph, options, findings)
    if len(picture.boxes) > MOST_BOXES:
        raise _too_large(f"{len(picture.boxes):,} boxes", f"{MOST_BOXES}")
    if len(picture.wires) > MOST_WIRES:
        raise _too_large(f"{len(picture.wires):,} wires", f"{MOST_WIRES}")
    text = "".join(f"{line}\n" for line in _lines(picture, graph, options))
    if len(text) > MOST_CHARACTERS:
        raise _too_large(f"{len(text):,} characters of text", f"{MOST_CHARACTERS:,}")
    return text


def _too_large(what: str, most: str) -> UsageError:
    help = "write an SVG, or show less of the graph"
    return UsageError(f"the picture has {what}, too many for mermaid, which has room for {most}", help=help)


def _lines(picture: Picture, graph: Graph, options: Options) -> Iterator[str]:
    yield f"flowchart {'LR' if options.direction == 'LR' else 'TD'}"
    kinds = {box.kind for box in picture.boxes}
    for kind, (name, look) in CLASSES.items():
        if kind in kinds:
            yield f"  classDef {name} {look}"
    severities = {remark.severity for remark in picture.remarks}
    present = {"about", *severities, *(_frame_class(frame) for frame in picture.frames)}
    for name, look in _TEXT_CLASSES.items():
        if name in present:
            yield f"  classDef {name} {look}"
    meanings = [f"{mark}: {words}" for mark, words in signs(picture)]
    yield f"  about{_label([picture.title, picture.summary, *picture.notes, *meanings])}:::about"
    yield from _framed(picture, graph, options)
    for wire in picture.wires:
        yield f"  {wire.tail} {_arrow(wire)} {wire.head}"
    looks: dict[str, list[str]] = {}
    for number, wire in enumerate(picture.wires):
        looks.setdefault(_look(wire, picture), []).append(str(number))
    for look, numbers in looks.items():
        yield f"  linkStyle {','.join(numbers)} {look}"
    # The style of a subgraph takes the place of its class, that of a box comes on top.
    culprits = [(box.id, box.findings, "") for box in picture.boxes]
    culprits += [(frame.id, frame.findings, f"{_TEXT_CLASSES[_frame_class(frame)]},") for frame in picture.frames]
    for name, blaming, base in culprits:
        if blaming:
            color = _RED if picture.remarks[blaming[0] - 1].severity == "error" else _AMBER
            yield f"  style {name} {base}stroke:{color},stroke-width:4px"
    for remark in picture.remarks:
        yield f"  finding{remark.number}{_label(_told(remark))}:::{remark.severity}"


def _framed(picture: Picture, graph: Graph, options: Options) -> Iterator[str]:
    """Each box in its frame, each frame in its own; those in none come first."""
    boxes: dict[str | None, list[Box]] = {}
    for box in picture.boxes:
        boxes.setdefault(box.frame, []).append(box)
    frames: dict[str | None, list[Frame]] = {}
    for frame in picture.frames:
        frames.setdefault(frame.parent, []).append(frame)
    yield from (_box(box, picture, graph, options, 1) for box in boxes.get(None, ()))
    outer: list[Iterator[Frame]] = []
    level = iter(frames.get(None, ()))
    while True:
        inner = next(level, None)
        if inner is not None:
            depth = len(outer) + 1
            title = " · ".join([inner.title, *_tags(inner.findings, picture)])
            yield f"{'  ' * depth}subgraph {inner.id}{_label([title])}"
            yield from (_box(box, picture, graph, options, depth + 1) for box in boxes.get(inner.id, ()))
            outer.append(level)
            level = iter(frames.get(inner.id, ()))
        elif outer:
            level = outer.pop()
            yield f"{'  ' * (len(outer) + 1)}end"
        else:
            break
    for frame in picture.frames:
        yield f"  class {frame.id} {_frame_class(frame)}"


def _frame_class(frame: Frame) -> str:
    return "module" if frame.kind in MODULE_KINDS else "region"


def _box(box: Box, picture: Picture, graph: Graph, options: Options, depth: int) -> str:
    before, after = SHAPES[box.kind] if box.fold is None else FOLDED
    title = f"{_MARKS[box.kind]} {box.title}" if box.kind in _MARKS else box.title
    if box.fold is not None and box.cuts:
        title = f"{_MARKS[BoxKind.CUT]} {box.title}"
    lines = [title, box.detail, *_tags(box.findings, picture)]
    if options.show_attrs and box.kind in (BoxKind.OP, BoxKind.OFF) and box.op is not None:
        limit = max(1, options.max_attr_chars)
        lines += [f"{clean(name)} = {clean(text, limit)}" for name, text in graph.ops[box.op].attrs]
    return f"{'  ' * depth}{box.id}{_label(lines, before, after)}:::{CLASSES[box.kind][0]}"


def _tags(numbers: Sequence[int], picture: Picture) -> list[str]:
    return [f"{number} {picture.remarks[number - 1].severity}" for number in numbers]


def _arrow(wire: Wire) -> str:
    if wire.lost:
        return f"-.->|{_quoted('✂ gradient lost')}|"
    label = f"|{_quoted(wire.label)}|" if wire.label else ""
    return ARROWS[wire.kind][0] + label


def _look(wire: Wire, picture: Picture) -> str:
    if wire.road:
        return _ROADS[picture.remarks[wire.road - 1].severity]
    return _LOST if wire.lost else ARROWS[wire.kind][1]


def _told(remark: Remark) -> list[str]:
    lines = [f"{remark.number} {remark.heading}", remark.message, f"help: {remark.help}" if remark.help else ""]
    return [_shortened(one_line(line)) for line in lines]


def _shortened(line: str) -> str:
    return line if len(line) <= _MOST_TOLD else f"{line[: _MOST_TOLD - 1]}…"


# text


def _label(lines: Sequence[str], before: str = "[", after: str = "]") -> str:
    text = "<br>".join(_escaped(_shortened(line)) for line in lines if line) or " "
    return f'{before}"{text}"{after}'


def _quoted(text: str) -> str:
    return f'"{_escaped(_shortened(text))}"'


def _escaped(text: str) -> str:
    """The text with an entity for each sign that could mean something to Mermaid, Markdown or HTML.

    Some pairs mean something however they are written: a joiner without width parts them.
    """
    parted = text
    for pair in _MEANINGFUL:
        parted = parted.replace(pair, f"{pair[0]}{JOINER}{pair[1:]}")
    return "".join(
        char if _is_harmless(char) or _is_within_a_word(parted, at) else f"#{ord(char)};"
        for at, char in enumerate(parted)
    )


def _is_harmless(char: str) -> bool:
    return char.isalnum() or char in " (),:=" or (not char.isascii() and char.isprintable())


def _is_within_a_word(text: str, at: int) -> bool:
    """Whether a point, a dash or an underscore at this place stands between letters or digits: `no_grad`, `x.grad`."""
    return text[at] in "._-" and text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()
