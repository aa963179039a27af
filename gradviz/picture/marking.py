"""Marking: from findings to the boxes, frames and wires of a picture that they blame, and to the list under it.

A finding says a place in the source. What stands in the picture for that place is its culprit: the frame of a region
that was opened there, the box of an op that ran there, the mark of an error that was raised there, else what was swept,
stepped or switched there. Where nothing is drawn for the place, the tensors that suffer carry the number instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from gradviz.fold.joining import stand_for
from gradviz.graphs import Graph
from gradviz.picture.places import SHOWN, Places, is_skipped
from gradviz.picture.records import Box, BoxKind, Picture, Remark
from gradviz.picture.retracing import Retracer
from gradviz.picture.returning import join_returns
from gradviz.picture.wording import Wording, clean, dots, plural
from gradviz.withholding import withheld

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

TEXT_LIMIT = 600
TOLD = 3
"""How many remarks the description tells one by one."""

_UNTRACKED = frozenset({BoxKind.CUT, BoxKind.OFF, BoxKind.OFF_OUTPUT, BoxKind.EXIT})
_NO_CULPRITS = frozenset({BoxKind.SAVED, BoxKind.MORE})


class _Marks(NamedTuple):
    """What one finding marks, by id; `wires` by position."""

    boxes: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    wires: frozenset[int] = frozenset()


def mark_findings(
    picture: Picture, graph: Graph, words: Wording, goals: Sequence[int], findings: Sequence[Finding]
) -> Picture:
    """`picture` with the errors and warnings among `findings` that concern it, numbered in their order.

    goals   the values that gradient was to start from

    Those that concern nothing in it, neither a box nor a line that `graph` knows, are counted in a note.
    """
    listed = [(at, finding) for at, finding in enumerate(findings) if finding.severity in SHOWN]
    if not listed:
        return picture
    shown = [finding for _, finding in listed]
    finder = _Finder(picture, graph, goals)
    returned = join_returns(picture, finder.of_op, shown)
    if returned is not picture:
        picture, finder = returned, _Finder(returned, graph, goals)
    remarks: list[Remark] = []
    marks: list[_Marks] = []
    for at, finding in listed:
        found = finder.find(finding)
        if found.boxes or found.frames or finder.places.sites(finding) or not (finding.line or finding.values):
            remarks.append(_remark(len(remarks) + 1, finding, words, at))
            marks.append(found)
    elsewhere = len(shown) - len(remarks)
    verb = "is" if elsewhere == 1 else "are"
    told = f"{plural(elsewhere, 'finding')} {verb} about what is not drawn; `gradviz check` tells {_them(elsewhere)}"
    return replace(
        _marked(picture, remarks, marks),
        summary=dots(picture.summary, count_severities(remarks)),
        description=" ".join([picture.description, *_describe(remarks)]).strip(),
        notes=(*picture.notes, told) if elsewhere else picture.notes,
        remarks=tuple(remarks),
    )


def count_severities(remarks: Sequence[Remark]) -> str:
    """`2 errors, 1 warning`"""
    counts = [(severity, sum(remark.severity == severity for remark in remarks)) for severity in SHOWN]
    return ", ".join(plural(count, severity) for severity, count in counts if count)


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _remark(number: int, finding: Finding, words: Wording, at: int) -> Remark:
    place = words.place(finding.path, finding.line)
    message, help = clean(finding.message, TEXT_LIMIT), clean(finding.help, TEXT_LIMIT)
    return Remark(number, finding.severity.value, finding.code, place, message, help, at)


def _describe(remarks: Sequence[Remark]) -> list[str]:
    told = [f"{remark.heading}: {remark.message}." for remark in remarks[:TOLD]]
    more = len(remarks) - TOLD
    return [*told, f"There {'is' if more == 1 else 'are'} {plural(more, 'more finding')}."] if more > 0 else told


def _marked(picture: Picture, remarks: Sequence[Remark], marks: Sequence[_Marks]) -> Picture:
    """`picture` with the numbers on it. A wire on several lost roads shows the gravest, which comes first."""
    boxes: dict[str, list[int]] = {}
    frames: dict[str, list[int]] = {}
    roads: dict[int, int] = {}
    for remark, found in zip(remarks, marks, strict=True):
        for box in found.boxes:
            boxes.setdefault(box, []).append(remark.number)
        for frame in found.frames:
            frames.setdefault(frame, []).append(remark.number)
        for wire in found.wires:
            roads.setdefault(wire, remark.number)
    return replace(
        picture,
        boxes=tuple(replace(b, findings=tuple(boxes[b.id])) if b.id in boxes else b for b in picture.boxes),
        frames=tuple(replace(f, findings=tuple(frames[f.id])) if f.id in frames else f for f in picture.frames),
        wires=tuple(replace(w, road=roads[at]) if at in roads else w for at, w in enumerate(picture.wires)),
    )


class _Finder:
    """Where a picture shows what findings speak of."""

    def __init__(self, picture: Picture, graph: Graph, goals: Sequence[int]) -> None:
        self.picture = picture
        self.graph = graph
        self.places = Places(graph)
        self.boxes = {box.id: box for box in picture.boxes}
        self.of_op: dict[int, list[Box]] = {}
        self.of_value: dict[int, str] = {}
        for box in picture.boxes:
            if box.op is not None and box.kind not in _NO_CULPRITS and not _is_literal(box):
                self.of_op.setdefault(box.op, []).append(box)
            if box.value is not None:  # the last box of a value shows it as itself
                self.of_value[box.value] = box.id
        self._find_folded()
        self.versions: dict[int, list[str]] = {}
        for value in graph.values.values():
            if value.leaf and value.id in self.of_value:
                self.versions.setdefault(value.storage, []).append(self.of_value[value.id])
        gradients = [gradient for sweep in graph.sweeps for gradient in sweep.gradients]
        self.fed = {gradient.value for gradient in gradients if not (gradient.zero or gradient.nan)}
        exits = [box.id for box in picture.boxes if box.kind is BoxKind.EXIT]
        self.retracer = Retracer(picture.wires, self._boxes_of(goals), exits)

    def _find_folded(self) -> None:
        """What is drawn as something else is found in its place."""
        folds = {box.fold: box for box in self.picture.boxes if box.fold is not None}
        standing = stand_for(self.graph.folds)
        for op in [*standing.twins, *standing.within]:
            shown = standing.shown(op)
            if shown in folds:
                self.of_op[op] = [folds[shown]]
            elif shown in self.of_op:
                self.of_op[op] = self.of_op[shown]
            if self.graph.ops[op].is_source and op in self.of_op:
                self.of_value.update(dict.fromkeys(self.graph.ops[op].outputs, self.of_op[op][-1].id))

    def find(self, finding: Finding) -> _Marks:
        """What the finding blames, and the road that is lost there; nothing where none of it is drawn."""
        sites = self.places.sites(finding)
        sufferers = self._versions_of(finding.values)
        regions = {region.id for region in self.graph.regions.values() if region.site in sites}
        frames = [frame for frame in self.picture.frames if not regions.isdisjoint(frame.regions)]
        if frames:
            home = self._inside([frame.id for frame in frames])
            wires, entered = self.retracer.retrace(sufferers, list(home))
            on_road = tuple(dict.fromkeys(home[box] for box in entered))
            return _Marks((), on_road or (frames[-1].id,), wires)
        culprits = self._culprits(sites) or self._withholders(finding)
        if not culprits:
            return self._blame_boxes(self._touched(sites) or self._boxes_of(finding.values))
        blamed = [box.id for box in culprits]
        starts = sufferers if culprits[0].kind in _UNTRACKED else [id for id in sufferers if self._starves(id)]
        wires, entered = self.retracer.retrace(starts, [box.id for box in culprits if not self._is_write(box)])
        own = [id for id in blamed if id in set(sufferers)] and sufferers  # made in several places: a list of layers
        named = [box.id for box in culprits if self._name(box) in finding.names]
        return self._blame_boxes(entered or own or named[-1:] or blamed[-1:], wires)

    def _is_write(self, box: Box) -> bool:
        """The box writes into a tensor: the end of that tensor's road and no step on it."""
        return box.kind is not BoxKind.CUT and box.op is not None and self.graph.ops[box.op].inplace

    def _starves(self, box: str) -> bool:
        """The box is a leaf that got no gradient, or one of zeros or NaN only."""
        value = self.graph.values.get(self.boxes[box].value or 0)
        return value is not None and value.leaf and value.requires_grad and value.id not in self.fed

    def _name(self, box: Box) -> str | None:
        value = self.graph.values.get(box.value) if box.value is not None else None
        return value.name or None if value is not None else None

    def _blame_boxes(self, boxes: list[str], wires: frozenset[int] = frozenset()) -> _Marks:
        """The boxes and, of those that are constants, the roads on which gradient does not come to them."""
        constants = [box for box in boxes if self.boxes[box].kind is BoxKind.CONST]
        return _Marks(tuple(boxes), (), wires | self.retracer.retrace(constants, constants)[0])

    def _culprits(self, sites: set[int]) -> list[Box]:
        """The boxes of what ran or raised at the place: cuts if there are any, else what was not tracked, else all."""
        ops = [op.id for op in self.graph.ops.values() if op.site in sites]
        # One box may stand for all of them.
        boxes = list({box.id: box for op in ops for box in self.of_op.get(op, ())}.values())
        boxes += [box for box in self.picture.boxes if box.site is not None and box.site in sites]
        boxes = [box for box in boxes if box.op is None or not is_skipped(self.graph, box.op)] or boxes
        for kinds in (frozenset({BoxKind.CUT}), frozenset({BoxKind.ERROR}), _UNTRACKED):
            some = [box for box in boxes if box.kind in kinds]
            if some:
                return some
        return boxes

    def _withholders(self, finding: Finding) -> list[Box]:
        """The boxes of custom functions that gave None: what the finding blames is a line of their backward."""
        places = {(related.path, related.line) for related in finding.related}
        sites = {site.id for site in self.graph.sites.values() if (site.file, site.line) in places}
        ops = sorted({op for op, _ in withheld(self.graph) if self.graph.ops[op].site in sites}) if sites else ()
        return list({box.id: box for op in ops for box in self.of_op.get(op, ())}.values())

    def _touched(self, sites: set[int]) -> list[str]:
        """The boxes of what was swept, stepped or switched at the place."""
        graph = self.graph
        values = [root for sweep in graph.sweeps if sweep.site in sites for root in sweep.roots]
        values += [value for act in graph.acts if act.site in sites for value in act.values]
        values += [flag.value for flag in graph.flags if flag.site in sites]
        return self._boxes_of(values)

    def _boxes_of(self, values: Iterable[int]) -> list[str]:
        """The box of each value that is drawn; of a leaf that was written in place since, that of a later version."""
        found: dict[str, None] = {}
        for id in values:
            value = self.graph.values.get(id)
            made = self.of_op.get(value.op, ()) if value is not None else ()
            box = self.of_value.get(id) or (made[-1].id if made else next(iter(self._leaves_of(id)), None))
            if box is not None:
                found[box] = None
        return list(found)

    def _versions_of(self, values: Collection[int]) -> list[str]:
        """The boxes of the values and, of those that are leaves, of every version that is drawn."""
        versions = [box for id in values for box in self._leaves_of(id)]
        return list(dict.fromkeys([*self._boxes_of(values), *versions]))

    def _leaves_of(self, id: int) -> Sequence[str]:
        value = self.graph.values.get(id)
        # The first version of what was written in place is the one that allocated the memory.
        storage = id if value is None else value.storage if value.leaf else None
        return self.versions.get(storage, ()) if storage is not None else ()

    def _inside(self, frames: Sequence[str]) -> dict[str, str]:
        """For each box in one of these frames, or in a frame within, that frame; literals are left out."""
        within = {frame: frame for frame in frames}
        for frame in self.picture.frames:  # parents come before children
            if frame.parent in within:
                within.setdefault(frame.id, within[frame.parent])
        boxes = [box for box in self.picture.boxes if not _is_literal(box)]
        return {box.id: within[box.frame] for box in boxes if box.frame in within}


def _is_literal(box: Box) -> bool:
    return box.kind is BoxKind.CONST and box.value is None
