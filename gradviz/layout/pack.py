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
from gradviz.picture.records import BoxKind, Frame

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
            tuple(
                PlacedBox(box, self.boxes[number], *self.survey.texts[number], box_tags(box, self.boxes[number]))
                for number, box in enumerate(picture.boxes)
            ),
            tuple(
                RoutedWire(wire, *self.wires[number], measure.label_text(wire.label), self.labels.get(number))
                for number, wire in enumerate(picture.wires)
            ),
            tuple(self._frame(frame, at) for frame, at in placed),
            width,
            height,
        )

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
        self._put(laid, 0.0, 0.0)
        part = laid.part
        areas = [self.boxes[box] for box in part.boxes]
        areas += [self.boxes[item.box] for box in part.boxes for item in self.survey.literals.get(box, ())]
        areas += [area for frame in part.frames for area in self.frames[frame]]
        areas += [self.labels[wire] for wire in part.wires if wire in self.labels]
        points = [self.wires[wire][0] for wire in part.wires]
        looping = [self.boxes[box] for box in part.boxes if box in self.survey.loops]
        points += [(area.right + LOOP, area.bottom + LOOP) for area in looping]
        points += [point for wire in part.wires for piece in self.wires[wire][1] for point in piece]
        left = min([area.x for area in areas] + [x for x, _ in points])
        top = min([area.y for area in areas] + [y for _, y in points])
        right = max([area.right for area in areas] + [x for x, _ in points])
        bottom = max([area.bottom for area in areas] + [y for _, y in points])
        return Rectangle(left, top, right - left, bottom - top)

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

        for box, (across, along) in zip(part.boxes, plan.centers, strict=True):
            size_across, size_along = self.survey.across(box), self.survey.along(box)
            badge = down and self.survey.picture.boxes[box].kind is BoxKind.CUT
            start = across - (measure.BADGE_AXIS if badge else size_across / 2)
            self.boxes[box] = area(Rectangle(start, along - size_along / 2, size_across, size_along))
            if box in self.survey.loops:
                self._put_loop(box, start + size_across, along, point)
            for literal in self.survey.literals.get(box, ()):
                self._put_literal(literal, start, start + size_across, along, area, point)
        for number, turned, (start_at, pieces), label in zip(
            part.wires, laid.turned, plan.ways, plan.labels, strict=True
        ):
            begin, rest = point(start_at), tuple(tuple(point(at) for at in piece) for piece in pieces)
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
