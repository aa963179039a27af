"""Pack: laid-out parts become one drawing, put side by side, and across and along become x and y."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradviz.layout import measure
from gradviz.layout.drawing import Drawing, Piece, PlacedBox, PlacedFrame, Point, Rectangle, RoutedWire
from gradviz.layout.parts import LITERAL_GAP, LOOP, Literal, Part, Survey
from gradviz.layout.route import Plan
from gradviz.layout.tags import box_tags, tab_tags
from gradviz.picture.records import Box, BoxKind, Frame, Wire

_PART_GAP = 48
_ASPECT = 1.5


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A part and its plan; `turned` says for each of its wires whether it was laid out from head to tail."""

    part: Part
    plan: Plan
    turned: list[bool]


def pack(survey: Survey, parts: Sequence[LaidOut]) -> Drawing:
    """Everything in its place, in the picture's order."""
    return _Packer(survey, parts).run()


class _Packer:
    def __init__(self, survey: Survey, parts: Sequence[LaidOut]) -> None:
        self.survey = survey
        self.parts = parts
        self.boxes: dict[int, Rectangle] = {}
        self.wires: dict[int, tuple[Point, tuple[Piece, ...]]] = {}
        self.labels: dict[int, Rectangle] = {}
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
            tuple([self._box(number, box) for number, box in enumerate(picture.boxes)]),
            tuple([self._wire(number, wire) for number, wire in enumerate(picture.wires)]),
            tuple(self._frame(frame, at) for frame, at in placed),
            width,
            height,
        )

    def _box(self, number: int, box: Box) -> PlacedBox:
        area = self.boxes[number]
        return PlacedBox(box, area, *self.survey.texts[number], box_tags(box, area) if box.findings else ())

    def _wire(self, number: int, wire: Wire) -> RoutedWire:
        label = measure.label_text(wire.label) if wire.label else ""
        return RoutedWire(wire, *self.wires[number], label, self.labels.get(number))

    def _frame(self, frame: Frame, at: int) -> PlacedFrame:
        border, tab = self.frames[at]
        return PlacedFrame(frame, border, tab, measure.tab_text(frame.title), tab_tags(len(frame.findings), tab))

    def _pack(self) -> tuple[float, float]:
        """Put the parts beside each other, in as many shelves as make the whole a little wider than high."""
        extents = [self._extent(part) for part in self.parts]
        area = sum((extent.width + _PART_GAP) * (extent.height + _PART_GAP) for extent in extents)
        limit = max([extent.width for extent in extents], default=0.0)
        limit = max(limit, math.sqrt(area) * _ASPECT)
        x = y = shelf = width = 0.0
        for part, extent in zip(self.parts, extents, strict=True):
            if x and x + extent.width > limit:
                x, y, shelf = 0.0, y + shelf + _PART_GAP, 0.0
            self._put(part, x - extent.x, y - extent.y)
            width = max(width, x + extent.width)
            shelf = max(shelf, extent.height)
            x += extent.width + _PART_GAP
        return width, y + shelf

    def _extent(self, laid: LaidOut) -> Rectangle:
        """The rectangle around a part, in x and y of its own."""
        plan = laid.plan
        across: list[float] = []
        along: list[float] = []
        for box, (middle, at) in zip(laid.part.boxes, plan.centers, strict=True):
            start, end = self._span(box, middle)
            half = self.survey.along(box) / 2
            reach = LOOP if box in self.survey.loops else 0
            across += (start, end + reach)
            along += (at - half, at + half + reach)
            for literal in self.survey.literals.get(box, ()):
                room = LITERAL_GAP + self.survey.across(literal.box)
                half = self.survey.along(literal.box) / 2
                across.append(start - room if literal.near else end + room)
                along += (at + literal.offset - half, at + literal.offset + half)
        for area in (*plan.frames, *plan.tabs, *(label for label in plan.labels if label is not None)):
            across += (area.x, area.right)
            along += (area.y, area.bottom)
        for begin, pieces in plan.ways:
            # Along the flow a wire stays between its boxes; what guides a curve lies above or below the curve's ends.
            across.append(begin[0])
            across += [piece[-1][0] for piece in pieces]
        xs, ys = (across, along) if self.survey.direction == "TB" else (along, across)
        left, top = min(xs), min(ys)
        return Rectangle(left, top, max(xs) - left, max(ys) - top)

    def _span(self, box: int, middle: float) -> tuple[float, float]:
        """Where a box begins and ends across, if its axis is at `middle`."""
        size = self.survey.across(box)
        badge = self.survey.direction == "TB" and self.survey.picture.boxes[box].kind is BoxKind.CUT
        start = middle - (measure.BADGE_AXIS if badge else size / 2)
        return start, start + size

    def _put(self, laid: LaidOut, x: float, y: float) -> None:
        """Record a part's places, moved by (x, y)."""
        part, plan = laid.part, laid.plan
        down = self.survey.direction == "TB"

        def point(at: Point) -> Point:
            return (at[0] + x, at[1] + y) if down else (at[1] + x, at[0] + y)

        def area(at: Rectangle) -> Rectangle:
            if down:
                return Rectangle(at.x + x, at.y + y, at.width, at.height)
            return Rectangle(at.y + x, at.x + y, at.height, at.width)

        for box, (middle, along) in zip(part.boxes, plan.centers, strict=True):
            start, end = self._span(box, middle)
            top, (width, height) = along - self.survey.along(box) / 2, self.survey.sizes[box]
            self.boxes[box] = Rectangle(*((start + x, top + y) if down else (top + x, start + y)), width, height)
            if box in self.survey.loops:
                self._put_loop(box, end, along, point)
            for literal in self.survey.literals.get(box, ()):
                self._put_literal(literal, start, end, along, area, point)
        for number, turned, (start_at, pieces), label in zip(
            part.wires, laid.turned, plan.ways, plan.labels, strict=True
        ):
            if down:
                begin = start_at[0] + x, start_at[1] + y
                rest = tuple([tuple([(one + x, other + y) for one, other in piece]) for piece in pieces])
            else:
                begin = start_at[1] + x, start_at[0] + y
                rest = tuple([tuple([(other + x, one + y) for one, other in piece]) for piece in pieces])
            self.wires[number] = _reversed(begin, rest) if turned else (begin, rest)
            if label is not None:
                self.labels[number] = area(label)
        for frame, border, tab in zip(part.frames, plan.frames, plan.tabs, strict=True):
            self.frames[frame] = area(border), area(tab)

    def _put_loop(self, box: int, edge: float, along: float, point: Callable[[Point], Point]) -> None:
        """Draw every wire from a box to itself beside it."""
        half = min(8.0, self.survey.along(box) / 4)
        ends = [(edge, along - half), (edge + LOOP, along - half), (edge + LOOP, along + half), (edge, along + half)]
        start, *piece = (point(at) for at in ends)
        for number in self.survey.loops[box]:
            self.wires[number] = start, (tuple(piece),)

    def _put_literal(
        self,
        literal: Literal,
        near_edge: float,
        far_edge: float,
        along: float,
        area: Callable[[Rectangle], Rectangle],
        point: Callable[[Point], Point],
    ) -> None:
        across_size, along_size = self.survey.across(literal.box), self.survey.along(literal.box)
        middle = along + literal.offset
        start = near_edge - LITERAL_GAP - across_size if literal.near else far_edge + LITERAL_GAP
        self.boxes[literal.box] = area(Rectangle(start, middle - along_size / 2, across_size, along_size))
        leave, meet = (start + across_size, near_edge) if literal.near else (start, far_edge)
        self.wires[literal.wire] = point((leave, middle)), ((point((meet, middle)),),)


def _reversed(start: Point, pieces: tuple[Piece, ...]) -> tuple[Point, tuple[Piece, ...]]:
    """A path from its end to its start."""
    points = [start] + [piece[-1] for piece in pieces]
    back = [(*piece[-2::-1], begin) for piece, begin in zip(pieces, points, strict=False)]
    return points[-1], tuple(back[::-1])
