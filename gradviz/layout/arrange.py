"""Arrange: a picture becomes a drawing. Parts that nothing joins are laid out one by one and packed side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradviz.layout import drawing, measure, order, place, rank, route, rows, spine
from gradviz.layout.drawing import (
    Direction,
    Drawing,
    Piece,
    PlacedBox,
    PlacedFrame,
    Point,
    Rectangle,
    RoutedWire,
)
from gradviz.picture import BoxKind, Frame, Picture, Wire, WireKind

_PART_GAP = 48
_LITERAL_GAP = 22
_LITERAL_STACK_GAP = 6
_LITERAL_WIDTH = 120
_PORT_MARGIN = 10
_PORT_ROOM = 8
_MOST_PORT_ROOM = 240
_LOOP = 24
_ASPECT = 1.5

_ACCENTED = (WireKind.GRADIENT, WireKind.CUT)
_ROAD = {WireKind.GRADIENT: 1000}


def arrange(picture: Picture, direction: Direction = "TB") -> Drawing:
    """Give every box, wire and frame of a picture its place.

    `direction` is "TB" for data that flows from top to bottom, "LR" for left to right. Raises `ValueError` for another
    direction, or for a wire or a frame that refers to what the picture does not hold.
    """
    if direction not in ("TB", "LR"):
        raise ValueError(f"unknown direction `{direction}`")
    return _Arrangement(picture, direction).run()


@dataclass(slots=True)
class _Literal:
    """A literal that sits beside the box that uses it: on which side, and its middle along, from that box's."""

    box: int
    wire: int
    near: bool
    offset: float


@dataclass(slots=True)
class _Part:
    """Boxes that wires or frames hold together, and their plan: across and along, not yet x and y."""

    boxes: list[int]
    wires: list[int]
    frames: list[int]
    plan: route.Plan | None = None
    turned: list[bool] = field(default_factory=list)


class _Arrangement:
    """One run of `arrange`. Boxes, wires and frames are known by their positions in the picture."""

    def __init__(self, picture: Picture, direction: Direction) -> None:
        self.picture = picture
        self.direction = direction
        self.texts = [measure.box_texts(box) for box in picture.boxes]
        self.sizes = [
            measure.box_size(box, *texts) for box, texts in zip(picture.boxes, self.texts, strict=True)
        ]
        self.box_at = {box.id: number for number, box in enumerate(picture.boxes)}
        self.ends = [(self._box(wire.tail), self._box(wire.head)) for wire in picture.wires]
        self._make_room()
        self.frames, self.frame_of = self._used_frames()
        self.loops: dict[int, list[int]] = {}
        for number, (tail, head) in enumerate(self.ends):
            if tail == head:
                self.loops.setdefault(tail, []).append(number)
        self.literals: dict[int, list[_Literal]] = {}
        self.literal_boxes: set[int] = set()
        self.literal_wires: set[int] = set()
        self._find_literals()

    def _box(self, id: str) -> int:
        try:
            return self.box_at[id]
        except KeyError:
            raise ValueError(f"a wire refers to box `{id}`, which the picture does not hold") from None

    def _make_room(self) -> None:
        """Widen the boxes at whose edge many wires meet, so that their arrowheads can be told apart."""
        leaving, coming = Counter(tail for tail, _ in self.ends), Counter(head for _, head in self.ends)
        axis = 0 if self.direction == "TB" else 1
        for box, size in enumerate(self.sizes):
            if self.picture.boxes[box].kind is not BoxKind.CUT:
                most = max(leaving[box], coming[box])
                needed = min((most - 1) * _PORT_ROOM + 2 * _PORT_MARGIN, _MOST_PORT_ROOM)
                self.sizes[box] = (max(size[0], needed), size[1]) if axis == 0 else (size[0], max(size[1], needed))

    def _used_frames(self) -> tuple[list[Frame], list[int]]:
        """The frames that hold a box, outer ones before inner ones, and each box's frame in that list, or -1."""
        by_id = {frame.id: frame for frame in self.picture.frames}
        used: dict[str, bool] = {}
        for box in self.picture.boxes:
            id = box.frame
            while id is not None and id not in used:
                if id not in by_id:
                    raise ValueError(f"frame `{id}` is not in the picture")
                used[id] = True
                id = by_id[id].parent
        placed: dict[str, int] = {}
        frames: list[Frame] = []
        for frame in self.picture.frames:
            chain: list[Frame] = []
            at: Frame | None = frame if frame.id in used else None
            while at is not None and at.id not in placed:
                if len(chain) > len(by_id):
                    raise ValueError(f"frame `{at.id}` lies within itself")
                chain.append(at)
                at = by_id[at.parent] if at.parent is not None else None
            for item in reversed(chain):
                placed[item.id] = len(frames)
                frames.append(item)
        return frames, [placed[box.frame] if box.frame is not None else -1 for box in self.picture.boxes]

    def _across(self, box: int) -> int:
        return self.sizes[box][0 if self.direction == "TB" else 1]

    def _along(self, box: int) -> int:
        return self.sizes[box][1 if self.direction == "TB" else 0]

    def _find_literals(self) -> None:
        """Choose the literals that sit beside their one use, before or after it by argument position."""
        incoming: list[list[int]] = [[] for _ in self.picture.boxes]
        uses = [0] * len(self.picture.boxes)
        for number, (tail, head) in enumerate(self.ends):
            incoming[head].append(number)
            uses[tail] += 1
        for user, numbers in enumerate(incoming):
            kind = self.picture.boxes[user].kind
            if kind is BoxKind.CUT or measure.is_literal(self.picture.boxes[user]):
                continue
            seen_value = False
            sides: dict[bool, list[_Literal]] = {True: [], False: []}
            for number in numbers:
                tail, head = self.ends[number]
                if not self._is_beside(tail, head, incoming, uses) or self.picture.wires[number].label:
                    seen_value = True
                    continue
                near = not seen_value or len(numbers) == 1
                side = sides[near] if self._fits(sides[near], tail, head) else sides[not near]
                if self._fits(side, tail, head):
                    side.append(_Literal(tail, number, side is sides[True], 0.0))
            for literals in sides.values():
                total = sum(self._along(item.box) for item in literals) + _LITERAL_STACK_GAP * (len(literals) - 1)
                at = -total / 2
                for item in literals:
                    item.offset = at + self._along(item.box) / 2
                    at += self._along(item.box) + _LITERAL_STACK_GAP
            chosen = sides[True] + sides[False]
            if chosen:
                self.literals[user] = chosen
                self.literal_boxes.update(item.box for item in chosen)
                self.literal_wires.update(item.wire for item in chosen)

    def _is_beside(self, tail: int, head: int, incoming: Sequence[Sequence[int]], uses: Sequence[int]) -> bool:
        box = self.picture.boxes[tail]
        return (
            measure.is_literal(box)
            and tail != head
            and uses[tail] == 1
            and not incoming[tail]
            and self.sizes[tail][0] <= _LITERAL_WIDTH
            and self.frame_of[tail] == self.frame_of[head]
        )

    def _fits(self, literals: Sequence[_Literal], tail: int, head: int) -> bool:
        """Whether one more literal on a side can still meet its user's side with a straight wire."""
        if not literals:
            return True
        furthest = (self._along(tail) + _LITERAL_STACK_GAP) / 2
        return len(literals) == 1 and furthest <= self._along(head) / 2 - 5

    def run(self) -> Drawing:
        """The picture with places."""
        parts = self._parts()
        for part in parts:
            self._lay_out(part)
        return _Placer(self, parts).run()

    def _parts(self) -> list[_Part]:
        """What wires and frames hold together, in the order of the first boxes."""
        count = len(self.picture.boxes)
        leader = list(range(count + len(self.frames)))

        def find(item: int) -> int:
            while leader[item] != item:
                leader[item] = leader[leader[item]]
                item = leader[item]
            return item

        def unite(one: int, other: int) -> None:
            one, other = find(one), find(other)
            leader[max(one, other)] = min(one, other)

        placed = {frame.id: number for number, frame in enumerate(self.frames)}
        for number, frame in enumerate(self.frames):
            if frame.parent is not None:
                unite(count + number, count + placed[frame.parent])
        for box in range(count):
            if self.frame_of[box] >= 0:
                unite(box, count + self.frame_of[box])
        for tail, head in self.ends:
            unite(tail, head)
        parts: dict[int, _Part] = {}
        for box in range(count):
            part = parts.setdefault(find(box), _Part([], [], []))
            if box not in self.literal_boxes:
                part.boxes.append(box)
        for number in range(len(self.frames)):
            parts[find(count + number)].frames.append(number)
        for number, (tail, head) in enumerate(self.ends):
            if number not in self.literal_wires and tail != head:
                parts[find(tail)].wires.append(number)
        return list(parts.values())

    def _lay_out(self, part: _Part) -> None:
        """Rank, order, place and route one part."""
        local = {box: number for number, box in enumerate(part.boxes)}
        fence_at = {frame: number for number, frame in enumerate(part.frames)}
        wires = [self.picture.wires[number] for number in part.wires]
        reached = {self.ends[number][1] for number in part.wires}
        links = [
            rank.Link(local[tail], local[head], _weight(wire.kind, tail in reached))
            for (tail, head), wire in zip((self.ends[number] for number in part.wires), wires, strict=True)
        ]
        forward = rank.acyclic(len(local), links)
        part.turned = [link is not turned for link, turned in zip(links, forward, strict=True)]
        fences = [self._fence(frame, fence_at) for frame in part.frames]
        cells = [self._cell(box, fence_at) for box in part.boxes]
        sinks = self._sinks(part, forward)
        ranks = rank.ranks(len(cells), forward, self._groups(part, cells, fences), sinks)
        road = spine.main_road(
            len(cells),
            [(link.tail, link.head, _ROAD.get(wire.kind, 1)) for link, wire in zip(forward, wires, strict=True)],
        )
        sheet = rows.cut(cells, self._strands(wires, forward), fences, ranks, road, self.direction == "TB")
        candidates = []
        for ordered in order.orders(sheet):
            sheet.rows = ordered
            candidates.append((place.place(sheet), ordered))
        placement, sheet.rows = min(candidates, key=lambda candidate: candidate[0].bent)
        part.plan = route.route(sheet, placement, [wire.lost for wire in wires])

    def _fence(self, frame: int, fence_at: dict[int, int]) -> rows.Fence:
        parent = self.frames[frame].parent
        outer = next((fence_at[number] for number in fence_at if self.frames[number].id == parent), -1)
        width, height = measure.tab_size(measure.tab_text(self.frames[frame].title))
        return rows.Fence(outer, (width, height) if self.direction == "TB" else (height, width))

    def _cell(self, box: int, fence_at: dict[int, int]) -> rows.Cell:
        across, along = self._across(box), self._along(box)
        before = after = across // 2
        room = max(before - _PORT_MARGIN, 0)
        if self.picture.boxes[box].kind is BoxKind.CUT:
            room = 3
            if self.direction == "TB":
                before, after = measure.BADGE_AXIS, across - measure.BADGE_AXIS
        reach = [before, after]
        for literal in self.literals.get(box, ()):
            side = 0 if literal.near else 1
            edge = before if literal.near else after
            reach[side] = max(reach[side], edge + _LITERAL_GAP + self._across(literal.box))
            along = max(along, math.ceil(2 * abs(literal.offset)) + self._along(literal.box))
        if box in self.loops:
            reach[1] = max(reach[1], after + _LOOP)
        frame = self.frame_of[box]
        return rows.Cell(reach[0], reach[1], along, room, fence_at[frame] if frame >= 0 else -1)

    def _groups(
        self, part: _Part, cells: Sequence[rows.Cell], fences: Sequence[rows.Fence]
    ) -> list[rank.Group]:
        modules = [self.frames[frame].kind in drawing.MODULE_KINDS for frame in part.frames]
        members = _members(cells, fences)
        return [rank.Group(boxes, module) for boxes, module in zip(members, modules, strict=True)]

    def _sinks(self, part: _Part, links: Sequence[rank.Link]) -> list[int]:
        tails = {link.tail for link in links}
        outputs = (BoxKind.OUTPUT, BoxKind.OFF_OUTPUT)
        return [
            number
            for number, box in enumerate(part.boxes)
            if self.picture.boxes[box].kind in outputs and number not in tails
        ]

    def _strands(self, wires: Sequence[Wire], links: Sequence[rank.Link]) -> list[rows.Strand]:
        ducts: dict[tuple[int, WireKind, bool, int], int] = {}
        twins: dict[tuple[int, int, WireKind, bool], int] = {}
        strands = []
        for wire, link in zip(wires, links, strict=True):
            # Wires between the same two boxes run side by side, so that one can see how many they are.
            pair = (link.tail, link.head, wire.kind, wire.lost)
            twin = twins[pair] = twins.get(pair, -1) + 1
            duct = ducts.setdefault((link.tail, wire.kind, wire.lost, twin), len(ducts))
            size = None
            if wire.label:
                width, height = measure.label_size(measure.label_text(wire.label))
                size = (width, height) if self.direction == "TB" else (height, width)
            strands.append(rows.Strand(link.tail, link.head, duct, link.weight, size))
        return strands


def _weight(kind: WireKind, from_op: bool) -> int:
    """How short and straight a wire should be. A leaf may stand further off: it is often shared."""
    if from_op:
        return 4 if kind in _ACCENTED else 3
    return 2 if kind in _ACCENTED else 1


def _members(cells: Sequence[rows.Cell], fences: Sequence[rows.Fence]) -> list[list[int]]:
    """The cells in each fence, those of inner fences too."""
    members: list[list[int]] = [[] for _ in fences]
    for number, cell in enumerate(cells):
        fence = cell.frame
        while fence >= 0:
            members[fence].append(number)
            fence = fences[fence].parent
    return members


class _Placer:
    """Turns the parts' plans into one drawing: packs them, and maps across and along to x and y."""

    def __init__(self, arrangement: _Arrangement, parts: Sequence[_Part]) -> None:
        self.all = arrangement
        self.parts = parts
        self.boxes: dict[int, Rectangle] = {}
        self.wires: dict[int, tuple[Point, tuple[Piece, ...]]] = {}
        self.labels: dict[int, Rectangle] = {}
        self.frames: dict[int, tuple[Rectangle, Rectangle]] = {}

    def run(self) -> Drawing:
        """Everything in its place, in the picture's order."""
        width, height = self._pack()
        picture = self.all.picture
        by_id = {self.all.frames[number].id: number for number in self.frames}
        placed = [(frame, by_id[frame.id]) for frame in picture.frames if frame.id in by_id]
        return Drawing(
            picture,
            self.all.direction,
            tuple(
                PlacedBox(box, self.boxes[number], *self.all.texts[number])
                for number, box in enumerate(picture.boxes)
            ),
            tuple(
                RoutedWire(wire, *self.wires[number], measure.label_text(wire.label), self.labels.get(number))
                for number, wire in enumerate(picture.wires)
            ),
            tuple(PlacedFrame(frame, *self.frames[at], measure.tab_text(frame.title)) for frame, at in placed),
            width,
            height,
        )

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

    def _extent(self, part: _Part) -> Rectangle:
        """The rectangle around a part, in x and y of its own."""
        self._put(part, 0.0, 0.0)
        areas = [self.boxes[box] for box in part.boxes]
        areas += [self.boxes[item.box] for box in part.boxes for item in self.all.literals.get(box, ())]
        areas += [area for frame in part.frames for area in self.frames[frame]]
        areas += [self.labels[wire] for wire in part.wires if wire in self.labels]
        points = [self.wires[wire][0] for wire in part.wires]
        points += [(self.boxes[box].right + _LOOP, self.boxes[box].bottom + _LOOP) for box in self._looping(part)]
        points += [point for wire in part.wires for piece in self.wires[wire][1] for point in piece]
        left = min([area.x for area in areas] + [x for x, _ in points])
        top = min([area.y for area in areas] + [y for _, y in points])
        right = max([area.right for area in areas] + [x for x, _ in points])
        bottom = max([area.bottom for area in areas] + [y for _, y in points])
        return Rectangle(left, top, right - left, bottom - top)

    def _looping(self, part: _Part) -> list[int]:
        return [box for box in part.boxes if box in self.all.loops]

    def _put(self, part: _Part, x: float, y: float) -> None:
        """Record a part's places, moved by (x, y)."""
        plan = part.plan
        assert plan is not None
        down = self.all.direction == "TB"

        def point(at: Point) -> Point:
            return (at[0] + x, at[1] + y) if down else (at[1] + x, at[0] + y)

        def area(at: Rectangle) -> Rectangle:
            if down:
                return Rectangle(at.x + x, at.y + y, at.width, at.height)
            return Rectangle(at.y + x, at.x + y, at.height, at.width)

        for box, (across, along) in zip(part.boxes, plan.centers, strict=True):
            size_across, size_along = self.all._across(box), self.all._along(box)
            badge = down and self.all.picture.boxes[box].kind is BoxKind.CUT
            start = across - (measure.BADGE_AXIS if badge else size_across / 2)
            self.boxes[box] = area(Rectangle(start, along - size_along / 2, size_across, size_along))
            if box in self.all.loops:
                self._put_loop(box, start + size_across, along, point)
            for literal in self.all.literals.get(box, ()):
                self._put_literal(literal, start, start + size_across, along, area, point)
        for number, turned, (start_at, pieces), label in zip(
            part.wires, part.turned, plan.ways, plan.labels, strict=True
        ):
            begin, rest = point(start_at), tuple(tuple(point(at) for at in piece) for piece in pieces)
            self.wires[number] = _reversed(begin, rest) if turned else (begin, rest)
            if label is not None:
                self.labels[number] = area(label)
        for frame, border, tab in zip(part.frames, plan.frames, plan.tabs, strict=True):
            self.frames[frame] = area(border), area(tab)

    def _put_loop(self, box: int, edge: float, along: float, point: Callable[[Point], Point]) -> None:
        """Draw every wire from a box to itself beside it."""
        half = min(8.0, self.all._along(box) / 4)
        ends = [(edge, along - half), (edge + _LOOP, along - half), (edge + _LOOP, along + half), (edge, along + half)]
        start, *piece = (point(at) for at in ends)
        for number in self.all.loops[box]:
            self.wires[number] = start, (tuple(piece),)

    def _put_literal(
        self,
        literal: _Literal,
        near_edge: float,
        far_edge: float,
        along: float,
        area: Callable[[Rectangle], Rectangle],
        point: Callable[[Point], Point],
    ) -> None:
        across_size, along_size = self.all._across(literal.box), self.all._along(literal.box)
        middle = along + literal.offset
        start = near_edge - _LITERAL_GAP - across_size if literal.near else far_edge + _LITERAL_GAP
        self.boxes[literal.box] = area(Rectangle(start, middle - along_size / 2, across_size, along_size))
        leave, meet = (start + across_size, near_edge) if literal.near else (start, far_edge)
        self.wires[literal.wire] = point((leave, middle)), ((point((meet, middle)),),)


def _reversed(start: Point, pieces: tuple[Piece, ...]) -> tuple[Point, tuple[Piece, ...]]:
    """A path from its end to its start."""
    points = [start] + [piece[-1] for piece in pieces]
    back = [(*piece[-2::-1], begin) for piece, begin in zip(pieces, points, strict=False)]
    return points[-1], tuple(back[::-1])
