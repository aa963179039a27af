"""Parts: what a picture consists of before anything has a place, by position in the picture.

Its texts and sizes, the frames that are in use, the literals that sit beside the box that uses them, and the groups of
boxes that wires or frames hold together. Sizes are "along" the flow of data or "across" it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from gradviz.layout import measure
from gradviz.layout.drawing import Direction
from gradviz.picture.records import BoxKind, Frame, Picture

T = TypeVar("T")

LITERAL_GAP = 22
"""Between a literal and its user: the length of the wire."""

LOOP = 24
"""How far a wire from a box to itself reaches out."""

PORT_MARGIN = 10
"""Between the end of a box's edge and the first wire that meets it."""

_LITERAL_STACK_GAP = 6
_LITERAL_WIDTH = 120
_PORT_ROOM = 8
_MARK_ROOM = 28
_MOST_PORT_ROOM = 240


@dataclass(slots=True)
class Literal:
    """A literal that sits beside the box that uses it: on which side, and its middle along, from that box's."""

    box: int
    wire: int
    near: bool
    offset: float


@dataclass(frozen=True, slots=True)
class Part:
    """Boxes that wires or frames hold together, literals and loops left out."""

    boxes: list[int]
    wires: list[int]
    frames: list[int]


def picked(column: Sequence[T], numbers: Sequence[int]) -> Sequence[T]:
    """What a column has for a part's boxes or wires; where the part is the whole picture, that is the column."""
    return column if len(numbers) == len(column) else [column[number] for number in numbers]


class Survey:
    """A picture's parts.

    titles, details of each box: its two lines as shown
    widths, heights of each box: its size
    across, along   of each box: the same size, as the flow sees it
    tails, heads    of each wire: the boxes at its ends
    frames          those that hold a box, outer ones before inner ones
    frame_of        of each box: its frame's position in `frames`, or -1
    parent_of       of each frame: that of the frame around it, or -1
    badges          the boxes that are a cut's badge
    loops           box -> its wires to itself
    literals        box -> the literals that sit beside it
    """

    def __init__(self, picture: Picture, direction: Direction) -> None:
        self.picture = picture
        self.direction = direction
        boxes, wires = picture.boxes, picture.wires
        self.titles, self.details, self.widths, self.heights = measure.fit(boxes)
        self.across, self.along = self.widths, self.heights
        if direction == "LR":
            self.across, self.along = self.along, self.across
        box_at = dict(zip([box.id for box in boxes], range(len(boxes)), strict=True))
        try:
            self.tails = [box_at[wire.tail] for wire in wires]
            self.heads = [box_at[wire.head] for wire in wires]
        except KeyError as error:
            raise ValueError(f"a wire refers to box `{error.args[0]}`, which the picture does not hold") from None
        cut = BoxKind.CUT  # asking an enum takes as long as looking at ten boxes
        self.badges = {number for number, box in enumerate(boxes) if box.kind is cut}
        self._make_room()
        self.frames, self.frame_of, self.parent_of = self._used_frames()
        self.loops: dict[int, list[int]] = {}
        for number, (tail, head) in enumerate(zip(self.tails, self.heads, strict=True)):
            if tail == head:
                self.loops.setdefault(tail, []).append(number)
        self.literals = self._find_literals()

    def _make_room(self) -> None:
        """Widen the boxes at whose edge many wires meet, so that their arrowheads and marks can be told apart."""
        leaving, coming = Counter(self.tails), Counter(self.heads)
        marked = {head for head, wire in zip(self.heads, self.picture.wires, strict=True) if wire.lost}
        # Any box is wide enough for one wire, and most pictures' boxes for several.
        step = _MARK_ROOM if marked else _PORT_ROOM
        fit = (min(self.across, default=0) - 2 * PORT_MARGIN) // step + 1
        crowded = {box for count in (leaving, coming) for box, wires in count.items() if wires > fit}
        for box in sorted(crowded - self.badges):
            step = _MARK_ROOM if box in marked else _PORT_ROOM
            room = max((leaving[box] - 1) * _PORT_ROOM, (coming[box] - 1) * step)
            needed = min(room + 2 * PORT_MARGIN, _MOST_PORT_ROOM)
            if needed > self.across[box]:
                self.across[box] = needed

    def _used_frames(self) -> tuple[list[Frame], list[int], list[int]]:
        """`frames`, `frame_of` and `parent_of`."""
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
        frame_of = [placed[box.frame] if box.frame is not None else -1 for box in self.picture.boxes]
        return frames, frame_of, [placed[frame.parent] if frame.parent is not None else -1 for frame in frames]

    def _find_literals(self) -> dict[int, list[Literal]]:
        """The literals that sit beside their one use, before or after it by argument position."""
        small = {number for number, box in enumerate(self.picture.boxes) if not box.detail and measure.is_literal(box)}
        found: dict[int, list[Literal]] = {}
        if not small:
            return found
        users = sorted({head for tail, head in zip(self.tails, self.heads, strict=True) if tail in small})
        if not users:
            return found
        incoming: list[list[int]] = [[] for _ in self.picture.boxes]
        uses = Counter(self.tails)
        for number, head in enumerate(self.heads):
            incoming[head].append(number)
        for user in users:
            numbers = incoming[user]
            if user in self.badges or user in small:
                continue
            near: list[Literal] = []
            far: list[Literal] = []
            seen_value = False
            for number in numbers:
                tail = self.tails[number]
                if self.picture.wires[number].label or not self._is_beside(tail, user, incoming, uses):
                    seen_value = True
                    continue
                side, other = (far, near) if seen_value else (near, far)
                if not self._fits(side, tail, user):
                    side = other
                if self._fits(side, tail, user):
                    side.append(Literal(tail, number, side is near, 0.0))
            self._stack(near)
            self._stack(far)
            if near or far:
                found[user] = near + far
        return found

    def _stack(self, literals: Sequence[Literal]) -> None:
        """Put the literals of one side one after the other along, their whole in the middle."""
        total = sum(self.along[item.box] for item in literals) + _LITERAL_STACK_GAP * (len(literals) - 1)
        at = -total / 2
        for item in literals:
            item.offset = at + self.along[item.box] / 2
            at += self.along[item.box] + _LITERAL_STACK_GAP

    def _is_beside(self, tail: int, head: int, incoming: Sequence[Sequence[int]], uses: Counter[int]) -> bool:
        box = self.picture.boxes[tail]
        return (
            measure.is_literal(box)
            and tail != head
            and uses[tail] == 1
            and not incoming[tail]
            and self.widths[tail] <= _LITERAL_WIDTH
            and self.frame_of[tail] == self.frame_of[head]
        )

    def _fits(self, literals: Sequence[Literal], tail: int, head: int) -> bool:
        """Whether one more literal on a side can still meet its user's side with a straight wire."""
        if not literals:
            return True
        furthest = (self.along[tail] + _LITERAL_STACK_GAP) / 2
        return len(literals) == 1 and furthest <= self.along[head] / 2 - 5

    def parts(self) -> list[Part]:
        """What wires and frames hold together, in the order of the first boxes."""
        count = len(self.picture.boxes)
        leader = list(range(count + len(self.frames)))
        pairs = [(count + number, count + parent) for number, parent in enumerate(self.parent_of) if parent >= 0]
        pairs += [(box, count + frame) for box, frame in enumerate(self.frame_of) if frame >= 0]
        for one, other in chain(pairs, zip(self.tails, self.heads, strict=True)):
            while leader[one] != one:
                leader[one] = one = leader[leader[one]]
            while leader[other] != other:
                leader[other] = other = leader[leader[other]]
            if one < other:
                leader[other] = one
            else:
                leader[one] = other
        # A leader's number is never higher than that of whom it leads.
        for number, above in enumerate(leader):
            leader[number] = leader[above]
        beside = [literal for literals in self.literals.values() for literal in literals]
        no_boxes, no_wires = {literal.box for literal in beside}, {literal.wire for literal in beside}
        boxes = [box for box in range(count) if box not in no_boxes]
        wires = [
            number
            for number, (tail, head) in enumerate(zip(self.tails, self.heads, strict=True))
            if tail != head and number not in no_wires
        ]
        if leader and not any(leader):
            return [Part(boxes, wires, [*range(len(self.frames))])]
        parts = {number: Part([], [], []) for number, above in enumerate(leader) if number == above}
        for box in boxes:
            parts[leader[box]].boxes.append(box)
        for number in range(len(self.frames)):
            parts[leader[count + number]].frames.append(number)
        for number in wires:
            parts[leader[self.tails[number]]].wires.append(number)
        return list(parts.values())
