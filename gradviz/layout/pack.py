"""Pack: laid-out parts become one drawing, put side by side, and across and along become x and y."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, compress, repeat
from operator import itemgetter

from gradviz.layout import measure
from gradviz.layout.drawing import Drawing, PlacedBox, PlacedFrame, Point, Rectangle, RoutedWire, records
from gradviz.layout.parts import LITERAL_GAP, LOOP, Literal, Part, Survey, picked
from gradviz.layout.route import Plan
from gradviz.layout.shelves import shelve
from gradviz.layout.tags import box_tags, tab_tags
from gradviz.picture.records import Frame


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A part and its plan; `turned` says for each of its wires whether it was laid out from head to tail."""

    part: Part
    plan: Plan
    turned: Sequence[bool]


def pack(survey: Survey, parts: Sequence[LaidOut]) -> Drawing:
    """Everything in its place, in the picture's order."""
    return _Packer(survey, parts).run()


class _Packer:
    def __init__(self, survey: Survey, parts: Sequence[LaidOut]) -> None:
        self.survey = survey
        self.parts = parts
        self.down = survey.direction == "TB"
        self.boxes: list[Rectangle | None] = [None] * len(survey.picture.boxes)
        self.wires: list[RoutedWire | None] = [None] * len(survey.picture.wires)
        self.frames: dict[int, tuple[Rectangle, Rectangle]] = {}

    def run(self) -> Drawing:
        """The drawing."""
        width, height = self._pack()
        picture = self.survey.picture
        by_id = {self.survey.frames[number].id: number for number in self.frames}
        placed = [(frame, by_id[frame.id]) for frame in picture.frames if frame.id in by_id]
        return Drawing(
            picture,
            self.survey.direction,
            tuple(self._boxes()),
            tuple(self._wires()),
            tuple(self._frame(frame, at) for frame, at in placed),
            width,
            height,
        )

    def _boxes(self) -> list[PlacedBox]:
        survey, boxes, areas = self.survey, self.survey.picture.boxes, self.boxes
        marks: list[tuple[Rectangle, ...]] = [()] * len(boxes)
        for number, (box, area) in enumerate(zip(boxes, areas, strict=True)):
            if box.findings:
                assert area is not None
                marks[number] = box_tags(box, area)
        return records(PlacedBox, len(boxes), boxes, areas, survey.titles, survey.details, marks)

    def _wires(self) -> Iterator[RoutedWire]:
        for wire in self.wires:
            assert wire is not None
            yield wire

    def _frame(self, frame: Frame, at: int) -> PlacedFrame:
        border, tab = self.frames[at]
        return PlacedFrame(frame, border, tab, measure.tab_text(frame.title), tab_tags(len(frame.findings), tab))

    def _pack(self) -> tuple[float, float]:
        """Put every part in its place; how wide and how high the whole is."""
        extents = [self._turned(laid.plan.area) for laid in self.parts]
        shelves = shelve([(extent.width, extent.height) for extent in extents])
        for part, extent, (x, y) in zip(self.parts, extents, shelves.corners, strict=True):
            self._put(part, x - extent.x, y - extent.y)
        return shelves.width, shelves.height

    def _turned(self, area: Rectangle) -> Rectangle:
        """A rectangle of a plan, in x and y."""
        return area if self.down else Rectangle(area.y, area.x, area.height, area.width)

    def _put(self, laid: LaidOut, x: float, y: float) -> None:
        """Record a part's places, moved by (x, y)."""
        part, plan, down, survey = laid.part, laid.plan, self.down, self.survey

        def point(at: Point) -> Point:
            return (at[0] + x, at[1] + y) if down else (at[1] + x, at[0] + y)

        def area(at: Rectangle) -> Rectangle:
            at = self._turned(at)
            return Rectangle(at.x + x, at.y + y, at.width, at.height)

        across_by, along_by = (x, y) if down else (y, x)
        lengths, breadths = picked(survey.along, part.boxes), picked(survey.across, part.boxes)
        middles = [plan.middle[row] for row in plan.sheet.row[: len(part.boxes)]]
        across = [axis - breadth / 2 + across_by for axis, breadth in zip(plan.axes, breadths, strict=False)]
        along = [middle - length / 2 + along_by for middle, length in zip(middles, lengths, strict=True)]
        if down and survey.badges:
            for number, box in enumerate(part.boxes):
                if box in survey.badges:
                    across[number] = plan.axes[number] - measure.BADGE_AXIS + across_by
        sides = (across, along, breadths, lengths) if down else (along, across, lengths, breadths)
        for box, at in zip(part.boxes, records(Rectangle, len(part.boxes), *sides), strict=True):
            self.boxes[box] = at
        if survey.loops or survey.literals:
            for box, moved, breadth, middle in zip(part.boxes, across, breadths, middles, strict=True):
                start = moved - across_by
                if box in survey.loops:
                    self._put_loop(box, start + breadth, middle, point)
                for literal in survey.literals.get(box, ()):
                    self._put_literal(literal, start, start + breadth, middle, area, point)
        self._put_wires(laid, *plan.ways(along, lengths, across_by, along_by))
        for strand, label in plan.labels.items():
            wire = self.wires[part.wires[strand]]
            assert wire is not None
            words = measure.label_text(wire.wire.label)
            self.wires[part.wires[strand]] = replace(wire, label=words, label_area=area(label))
        for frame, (border, tab) in zip(part.frames, plan.frames, strict=True):
            self.frames[frame] = area(border), area(tab)

    def _put_wires(self, laid: LaidOut, steps: list[str], ways: list[tuple[float, ...]]) -> None:
        """Record the ways of a part's wires, each from tail to head of the picture's wire."""
        numbers, wires = laid.part.wires, picked(self.survey.picture.wires, laid.part.wires)
        if not self.down:
            ways = [_exchange(letters)[1](way) for letters, way in zip(steps, ways, strict=True)]
            steps = [_exchange(letters)[0] for letters in steps]
        routed = records(RoutedWire, len(numbers), wires, steps, ways, repeat(""), repeat(None))
        for at in compress(range(len(routed)), laid.turned):
            routed[at] = _reversed(routed[at])
        for number, wire in zip(numbers, routed, strict=True):
            self.wires[number] = wire

    def _put_loop(self, box: int, edge: float, along: float, point: Callable[[Point], Point]) -> None:
        """Draw every wire from a box to itself beside it."""
        half = min(8.0, self.survey.along[box] / 4)
        ends = [(edge, along - half), (edge + LOOP, along - half), (edge + LOOP, along + half), (edge, along + half)]
        numbers = tuple(chain.from_iterable(map(point, ends)))
        for number in self.survey.loops[box]:
            self.wires[number] = RoutedWire(self.survey.picture.wires[number], "C", numbers)

    def _put_literal(
        self,
        literal: Literal,
        near_edge: float,
        far_edge: float,
        along: float,
        area: Callable[[Rectangle], Rectangle],
        point: Callable[[Point], Point],
    ) -> None:
        across_size, along_size = self.survey.across[literal.box], self.survey.along[literal.box]
        middle = along + literal.offset
        start = near_edge - LITERAL_GAP - across_size if literal.near else far_edge + LITERAL_GAP
        self.boxes[literal.box] = area(Rectangle(start, middle - along_size / 2, across_size, along_size))
        leave, meet = (start + across_size, near_edge) if literal.near else (start, far_edge)
        wire, (x, y), end = self.survey.picture.wires[literal.wire], point((leave, middle)), point((meet, middle))
        self.wires[literal.wire] = RoutedWire(wire, "H" if self.down else "V", (x, y, end[0 if self.down else 1]))


@lru_cache(maxsize=256)
def _exchange(steps: str) -> tuple[str, Callable[[tuple[float, ...]], tuple[float, ...]]]:
    """The steps of a way with across and along exchanged, and what brings its numbers in their order."""
    order = [1, 0]
    for step in steps:
        at = len(order)
        order += [at + 1, at, at + 3, at + 2, at + 5, at + 4] if step == "C" else [at]
    return steps.translate(_EXCHANGED), itemgetter(*order)


_EXCHANGED = str.maketrans("HV", "VH")


def _reversed(routed: RoutedWire) -> RoutedWire:
    """A wire that runs from its end to its start."""
    points = [*chain.from_iterable(reversed([piece[::-1] for piece in routed.pieces])), routed.start]
    numbers = [*points[0]]
    at = 1
    for step in reversed(routed.steps):
        if step == "C":
            numbers += chain.from_iterable(points[at : at + 3])
            at += 3
        else:
            numbers.append(points[at][0 if step == "H" else 1])
            at += 1
    return replace(routed, steps=routed.steps[::-1], numbers=tuple(numbers))
