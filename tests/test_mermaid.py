"""The Mermaid view: every line is of a kind that Mermaid reads, and what it reads is the picture."""

from __future__ import annotations

import re

import pytest
from building import Builder
from canonical import CANONICAL, chain, detach, mixed, named, untrained
from test_findings_in_views import everywhere
from test_views import HOSTILE

from gradviz.diagnose import diagnose
from gradviz.errors import UsageError
from gradviz.fold.fit import fit
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind, WireKind
from gradviz.views import Options, draw
from gradviz.views.mermaid import ARROWS, CLASSES, FOLDED, JOINER, MOST_BOXES, SHAPES

LABEL = r'"((?:[^"<>&#`;|{}\[\]\\%]|#\d+;|<br>)*)"'
STYLE = r"(?:[a-z-]+:[#\w. -]+)(?:,[a-z-]+:[#\w. -]+)*"
BEFORE, AFTER = r"\(\[|\[\[|\[\(|\[/|\[|\(|\{\{|>", r"\]\)|\]\]|\)\]|\\\]|/\]|\]|\)|\}\}"
KINDS = {
    "start": r"flowchart (TD|LR)",
    "class": rf"classDef (\w+) {STYLE}",
    "box": rf"(b\d+|about|finding\d+)({BEFORE}){LABEL}({AFTER}):::(\w+)",
    "open": rf"subgraph (f\d+)\[{LABEL}\]",
    "close": r"end",
    "framed": r"class (f\d+) (region|module)",
    "wire": rf"(b\d+) (-->|--o|-\.->|-\.-o|--x|---|==>)(?:\|{LABEL}\|)? (b\d+)",
    "look": rf"linkStyle (\d+(?:,\d+)*) {STYLE}",
    "style": rf"style ([bf]\d+) {STYLE}",
}


def read(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each line as its kind and its parts; a line of no kind fails."""
    lines = []
    for line in text.splitlines():
        found = [(kind, match.groups()) for kind, form in KINDS.items() if (match := re.fullmatch(form, line.strip()))]
        assert len(found) == 1, line
        lines += found
    return lines


def said(label: str) -> str:
    """A label as Mermaid shows it."""
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label.replace("<br>", "\n")).replace(JOINER, "")


def holds(graph: Graph, options: Options) -> None:
    picture = compose(graph, options)
    lines = read(draw(graph, "mermaid", options))
    boxes = {parts[0]: parts[1:] for kind, parts in lines if kind == "box" and parts[0].startswith("b")}
    assert set(boxes) == {box.id for box in picture.boxes}
    defined = {parts[0] for kind, parts in lines if kind == "class"}
    for box in picture.boxes:
        before, label, after, style = boxes[box.id]
        mark = {BoxKind.CUT: "✂ ", BoxKind.ERROR: "✗ "}.get(box.kind, "")
        assert said(label) == "\n".join(line for line in (mark + box.title, box.detail) if line) or " "
        assert (before, after) == (SHAPES[box.kind] if box.fold is None else FOLDED)
        assert style == CLASSES[box.kind][0]
        assert style in defined
    wires = [(parts[0], parts[3], parts[1]) for kind, parts in lines if kind == "wire"]
    assert wires == [
        (wire.tail, wire.head, "-.->" if wire.lost else ARROWS[wire.kind][0]) for wire in picture.wires
    ]
    styled = [int(number) for kind, parts in lines if kind == "look" for number in parts[0].split(",")]
    assert sorted(styled) == list(range(len(picture.wires))), "each wire has one look"
    within: dict[str, str | None] = {}
    around: list[str] = []
    for kind, parts in lines:
        if kind == "open":
            within[parts[0]] = around[-1] if around else None
            around.append(parts[0])
        elif kind == "close":
            around.pop()
        elif kind == "box" and parts[0] in boxes:
            within[parts[0]] = around[-1] if around else None
    assert not around
    expected = {box.id: box.frame for box in picture.boxes} | {frame.id: frame.parent for frame in picture.frames}
    assert within == expected


@pytest.mark.parametrize("name", CANONICAL)
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_mermaid_holds_the_picture(name, direction):
    holds(CANONICAL[name](), Options(direction=direction, show_saved=True))


ITS_OWN = ["1. x", "- x", "%%{init: {}}%%", "%% c", "a\\nb", "$$x^2$$", "fa:fa-car", "#9829;", "end", "__x__", "*b*"]


@pytest.mark.parametrize("name", [*HOSTILE.values(), *ITS_OWN], ids=[*HOSTILE, *ITS_OWN])
def test_mermaid_shows_any_name_and_takes_none_for_syntax(name):
    holds(named(name), Options())


@pytest.mark.parametrize("meaningful", [r"\\n", r"\$\$", ":fa-"])
def test_nothing_is_left_that_mermaid_would_replace_after_its_entities(meaningful):
    text = draw(named("a\\nb $$x$$ fa:fa-car"), "mermaid")
    decoded = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text)
    assert not re.search(meaningful, decoded)


def test_boxes_of_many_ops_have_a_shape_of_their_own():
    graph = fit(nested())
    assert any(box.fold is not None for box in compose(graph, Options()).boxes)
    holds(graph, Options())
    assert FOLDED not in SHAPES.values()


def nested() -> Graph:
    """Equal modules in a row, many more ops than fit a page."""
    b = Builder("blocks.py")
    x = b.leaf("x", requires_grad=True)
    for number in range(60):
        b.scope = f"h.{number}"
        for _ in range(5):
            x = b.op("relu", b.op("mul", x, "2"))
    b.sweep(x)
    return b.graph()


def test_kinds_differ_in_more_than_colour():
    assert len({(SHAPES[kind], "dasharray" in CLASSES[kind][1]) for kind in BoxKind}) >= len(BoxKind) - 1
    assert len({arrow for arrow, _ in ARROWS.values()}) == len(WireKind)
    assert len({name for name, _ in CLASSES.values()}) == len(BoxKind)


def test_findings_stand_on_their_culprits_and_in_notes():
    graph = untrained()
    findings = diagnose(graph)
    picture = compose(graph, Options(), findings)
    text = draw(graph, "mermaid", Options(), findings)
    lines = read(text)
    told = [said(parts[2]) for kind, parts in lines if kind == "box" and parts[0].startswith("finding")]
    assert told == [
        f"{remark.number} {remark.heading}\n{remark.message}\nhelp: {remark.help}" for remark in picture.remarks
    ]
    blamed = {item.id for item in (*picture.boxes, *picture.frames) if item.findings}
    assert {parts[0] for kind, parts in lines if kind == "style"} == blamed
    roads = [number for number, wire in enumerate(picture.wires) if wire.road]
    assert roads
    assert f"linkStyle {','.join(map(str, roads))} stroke:#b91c1c,stroke-width:5px" in text


def test_findings_of_any_length_keep_the_grammar():
    read(draw(mixed(), "mermaid", Options(), everywhere(mixed(), "%%{x}%% <b> " * 2000)))


def test_summary_and_notes_are_told():
    picture = compose(mixed(), Options())
    lines = read(draw(mixed(), "mermaid"))
    (about,) = [said(parts[2]) for kind, parts in lines if kind == "box" and parts[0] == "about"]
    legend = ["version n: written in place n times"]  # of what nothing else explains
    assert about == "\n".join([picture.title, picture.summary, *picture.notes, *legend])


def test_too_many_boxes_are_refused():
    assert draw(chain(MOST_BOXES // 2 - 10), "mermaid")
    with pytest.raises(UsageError, match=r"the picture has [\d,]+ boxes, too many for mermaid") as caught:
        draw(chain(MOST_BOXES + 1), "mermaid")
    assert caught.value.help


def test_too_many_wires_are_refused():
    b = Builder("wires.py")
    leaves = [b.leaf(f"w{number}", requires_grad=True) for number in range(30)]
    for _ in range(20):
        b.op("cat", *leaves)
    with pytest.raises(UsageError, match="wires, too many for mermaid"):
        draw(b.graph(), "mermaid")


def test_too_much_text_is_refused():
    b = Builder("long.py")
    x = b.leaf("x", requires_grad=True)
    for number in range(300):
        x = b.op("[" * 40, x, name="]" * 40, line=number)
    with pytest.raises(UsageError, match="characters of text, too many for mermaid"):
        draw(b.graph(), "mermaid")


def test_a_cut_is_told_with_its_cause_and_line():
    assert '{{"✂ detach · line 6"}}:::cut' in draw(detach(), "mermaid")
