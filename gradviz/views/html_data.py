"""What the script of an HTML page knows of a drawing, as one JSON object: an element for each fact would be too much.

    kinds       class of a box -> what such a box is
    words       texts that many boxes share; elsewhere a number stands for one of them
    pairs       label and text, as in a tooltip, likewise
    files       name, and the source lines that the recording has, by number
    sites       file, first and last line
    boxes       as the SVG has them: title, second line, words to be found by, site or -1, pairs
    wires       kind and how many, in the order of the SVG's paths; `ends` are their tails and heads in turn, `lost`
                those with a cross
    findings    by the number on a culprit: boxes, frames, wires of the lost road
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from gradviz.fold.joining import stand_for
from gradviz.layout.drawing import Drawing
from gradviz.picture.records import Box, BoxKind, WireKind
from gradviz.picture.wording import TOOLTIP_LIMIT, clean
from gradviz.views.svg_legend import BOX_WORDS, WIRE_WORDS
from gradviz.views.svg_marks import BOX_CLASS
from gradviz.views.svg_wires import by_kind

if TYPE_CHECKING:
    from gradviz.diagnose import Finding
    from gradviz.events import Gradient
    from gradviz.graphs import Graph, Op

SOURCE_LIMIT = 200
"""Longest source line, in characters; a log has no longer one."""

_STOPS = "gradient stops"
_AT_ONCE = 1000


_APART = (BoxKind.SAVED, BoxKind.CUT)
"""Boxes that stand beside that of their op, which tells of it."""


class _Table(dict[object, int]):
    """Numbers what is looked up in it, from 0 on."""

    def __missing__(self, item: object) -> int:
        number = self[item] = len(self)
        return number


def data_pieces(drawing: Drawing, graph: Graph, findings: Sequence[Finding] = ()) -> Iterator[str]:
    """The object as text that may stand in a `<script>`, in pieces."""
    facts = _Facts(graph)
    yield '{"boxes":[\n'
    last = len(drawing.boxes)
    for start in range(0, last, _AT_ONCE):
        lines = [_encode(facts.of(placed.box)) for placed in drawing.boxes[start : start + _AT_ONCE]]
        yield ",\n".join(lines) + (",\n" if start + _AT_ONCE < last else "\n")
    yield "],\n"
    wires = {kind: routed for kind, routed in by_kind(drawing).items() if routed}
    numbers = {placed.box.id: number for number, placed in enumerate(drawing.boxes)}
    ends = [end for routed in wires.values() for wire in routed for end in (wire.wire.tail, wire.wire.head)]
    told: dict[str, object] = {
        "kinds": {BOX_CLASS[kind]: words for kind, words in {**BOX_WORDS, BoxKind.CUT: _STOPS}.items()},
        "words": list(facts.words),
        "pairs": list(facts.pairs),
        "files": _source(graph, facts, findings),
        "sites": list(facts.sites),
        "wires": [[{**WIRE_WORDS, WireKind.CUT: _STOPS}[kind], len(routed)] for kind, routed in wires.items()],
        "lost": [at for at, wire in enumerate(chain.from_iterable(wires.values())) if wire.wire.lost],
        "ends": [numbers[end] for end in ends],
        "findings": _marks(drawing),
    }
    yield ",\n".join(f'"{key}":{_encode(item)}' for key, item in told.items()) + "\n}\n"


def _encode(item: object) -> str:
    """JSON in ASCII in which no markup can begin or end."""
    return json.dumps(item, separators=(",", ":")).replace("<", "\\u003c")


class _Facts:
    """What is told of the boxes of one graph; each text, pair and place is kept once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        standing = stand_for(graph.folds)
        self._drawn_as: dict[int, list[int]] = {}
        for op in chain(standing.twins, standing.within):
            self._drawn_as.setdefault(standing.shown(op), []).append(op)
        self._gradients = {given.value: given for sweep in graph.sweeps for given in sweep.gradients}
        self.words, self.pairs, self.files, self.sites = _Table(), _Table(), _Table(), _Table()

    def of(self, box: Box) -> list[object]:
        """The entry of one box."""
        graph = self._graph
        op = graph.ops[box.op] if box.op is not None else None
        value = graph.values[box.value] if box.value is not None else None
        place = op.site if op is not None else graph.ops[value.op].site if value is not None else box.site
        site = self._site(place) if any(label == "at" for label, _ in box.tooltip) else -1
        pairs = [pair for pair in box.tooltip if pair[0] != "source" or site < 0]
        if box.fold is None and box.kind not in _APART and not _is_literal(box):
            pairs += self._more(box, op)
        pairs.sort(key=lambda pair: pair[0] == "called from")  # it is long
        words = [self.words[word] for word in self._words(box, op, place)]
        return [box.title, box.detail, words, site, [self.pairs[pair] for pair in pairs]]

    def _words(self, box: Box, op: Op | None, place: int | None) -> Iterable[str]:
        """What a box is found by besides its title: its op, scope and line, and those of all that it stands for."""
        found: dict[str, None] = {}
        if op is not None and not _is_literal(box):
            others = [self._graph.ops[id] for id in self._drawn_as.get(op.id, ())]
            for name, scope in dict.fromkeys((one.name, one.scope) for one in (op, *others)):
                found.update({clean(name): None, clean(scope, TOOLTIP_LIMIT): None})
            told = others if box.fold is None else [op, *others]  # a box of one has its own name as title
            outputs = chain.from_iterable(one.outputs for one in told)
            for name in dict.fromkeys(self._graph.values[output].name for output in outputs):
                found[clean(name, TOOLTIP_LIMIT)] = None
            for other in dict.fromkeys(one.site for one in others):
                found[self._place(other)] = None
        found[self._place(place)] = None
        return filter(None, found)

    def _more(self, box: Box, op: Op | None) -> Iterator[tuple[str, str]]:
        """What a tooltip has no room for."""
        given = self._gradients.get(box.value) if box.value is not None else None
        if given is not None:
            yield "gradient", _gradient(given)
        if op is None:
            return
        told = {label for label, _ in box.tooltip}
        if "made by" not in told:
            yield "op", clean(op.name)
        for name, text in op.attrs:
            if clean(name) not in told:
                yield clean(name), clean(text, TOOLTIP_LIMIT)
        for saved in op.saved:
            what = saved.dtype if saved.is_gone else f"{saved.shape} {saved.dtype}, {saved.nbytes:,} bytes"
            yield "saves", clean(f"{saved.name}: {what}", TOOLTIP_LIMIT)

    def _site(self, id: int | None) -> int:
        site = self._graph.sites.get(id) if id is not None else None
        if site is None or not site.line:
            return -1
        return self.sites[self.files[site.file], site.line, max(site.line, site.end_line)]

    def _place(self, id: int | None) -> str:
        """`src/train.py:5`"""
        site = self._graph.sites.get(id) if id is not None else None
        return f"{clean(site.file, TOOLTIP_LIMIT)}:{site.line}" if site is not None and site.line else ""


def _is_literal(box: Box) -> bool:
    return box.kind is BoxKind.CONST and box.value is None


def _gradient(given: Gradient) -> str:
    if given.nan:
        return "holds NaN"
    return "all zero" if given.zero else f"norm {'about ' if given.estimated else ''}{given.norm:.4g}"


def _source(graph: Graph, facts: _Facts, findings: Sequence[Finding]) -> list[object]:
    """For each file that a box is from, its name and what is known of its lines."""
    lines: dict[object, dict[int, str]] = {file: {} for file in facts.files}
    known: Iterable[tuple[str, int, str]] = (
        *((site.file, site.line, site.text) for site in graph.sites.values()),
        *((finding.path, finding.line, finding.source) for finding in findings),
    )
    for file, line, text in known:
        if text and file in lines:
            lines[file][line] = clean(text.expandtabs(4).rstrip(), SOURCE_LIMIT)
    return [[clean(str(file), TOOLTIP_LIMIT), dict(sorted(known.items()))] for file, known in lines.items()]


def _marks(drawing: Drawing) -> list[list[list[int]]]:
    """For each remark the boxes and the frames that carry its number, and the wires of its road."""
    marks: list[list[list[int]]] = [[[], [], []] for _ in drawing.picture.remarks]
    numbers: tuple[list[tuple[int, ...]], ...] = (
        [placed.box.findings for placed in drawing.boxes],
        [placed.frame.findings for placed in drawing.frames],
        [(wire.wire.road,) if wire.wire.road else () for wire in chain.from_iterable(by_kind(drawing).values())],
    )
    for part, entries in enumerate(numbers):
        for at, remarks in enumerate(entries):
            for number in remarks:
                marks[number - 1][part].append(at)
    return marks
