"""Blocks: vertices that stand in one straight line, and the distances that they must keep from each other.

Only segments that do not cross may line vertices up, so the blocks are lines that never cross, "left of" has no cycle
among them, and any block can be moved as far as its neighbours allow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from gradviz.layout.rows import BEND, BOX, FAR_EDGE, LABEL, NEAR_EDGE, TAB, Sheet

PORT_SPACING = 18
_PORT_LEAST = 7
_SHORT_ROW = 8
"""Up to so many vertices looking at all is quicker than searching."""
_EDGES = (NEAR_EDGE, FAR_EDGE)
_BENDS = (BEND, LABEL)


def separation(sheet: Sheet, left: int, right: int) -> int:
    """Least distance between the axes of two neighbours in a row."""
    return sheet.after[left] + GAPS[sheet.kind[left]][sheet.kind[right]] + sheet.before[right]


def _gap(left: int, right: int) -> int:
    if left in _EDGES or right in _EDGES:
        return 20 if left == FAR_EDGE and right == NEAR_EDGE else 14
    if left in _BENDS and right in _BENDS:
        return 14
    return 24 if left == BOX and right == BOX else 16


GAPS = tuple(tuple(_gap(left, right) for right in range(TAB + 1)) for left in range(TAB + 1))
"""Between two neighbours of a row, by the kind of the left one and of the right one."""


def ports(sheet: Sheet, place: Sequence[int], with_road: bool) -> tuple[list[int], list[int]]:
    """Where each segment meets its upper and its lower vertex, from that vertex's axis.

    Ports are spread in the order in which the other ends stand; the main road's keep the middle, if it has to be
    straight.
    """
    upper_port, lower_port = [0] * len(sheet.upper), [0] * len(sheet.upper)
    on_road, rooms = sheet.on_road, sheet.cells.room
    for around, found, ends in ((sheet.down, upper_port, sheet.lower), (sheet.up, lower_port, sheet.upper)):
        place_of = [place[end] for end in ends].__getitem__
        crowded = [vertex for vertex, numbers in enumerate(around[: sheet.cell_count]) if len(numbers) > 1]
        for vertex in crowded:
            numbers, room = around[vertex], rooms[vertex]
            last = len(numbers) - 1
            if last > 1:
                ranked: Sequence[int] = sorted(numbers, key=place_of)
            else:
                ranked = numbers if place_of(numbers[0]) <= place_of(numbers[1]) else numbers[::-1]
            middle = last / 2
            if with_road and on_road[vertex]:
                main = [at for at, number in enumerate(ranked) if on_road[ends[number]]]
                if main:
                    middle = (main[0] + main[-1]) / 2
            step = min(PORT_SPACING, room / max(middle, last - middle))
            for index, number in enumerate(ranked):
                found[number] = round((index - middle) * step)
    return upper_port, lower_port


def straighten_ports(sheet: Sheet, axes: Sequence[int], upper_port: list[int], lower_port: list[int]) -> None:
    """Move ports a little where that takes a small kink out of a wire."""
    for number, (upper, lower) in enumerate(sheet.pairs()):
        kink = axes[upper] + upper_port[number] - axes[lower] - lower_port[number]
        if 0 < abs(kink) <= PORT_SPACING:
            if _may_move(sheet, upper, sheet.down[upper], upper_port, number, -kink):
                upper_port[number] -= kink
            elif _may_move(sheet, lower, sheet.up[lower], lower_port, number, kink):
                lower_port[number] += kink


def _may_move(
    sheet: Sheet, vertex: int, numbers: Sequence[int], port: Sequence[int], number: int, shift: int
) -> bool:
    """Whether a port can move without leaving its box's edge, passing another port, or coming too close to one."""
    if sheet.kind[vertex] != BOX:
        return False
    target = port[number] + shift
    if abs(target) > sheet.cells.room[vertex]:
        return False
    for other in numbers:
        before, after = port[number] - port[other], target - port[other]
        if other != number and (before * after <= 0 or abs(after) < min(_PORT_LEAST, abs(before))):
            return False
    return True


def places(sheet: Sheet) -> list[int]:
    """Each vertex's position in its row."""
    place = [0] * len(sheet.kind)
    for row in sheet.rows:
        for index, vertex in enumerate(row):
            place[vertex] = index
    return place


class Alignment:
    """The segments chosen to be straight: at most one up and one down from each vertex, none crossing another.

    below       for each vertex the one that leads down from it, or -1
    held_above  for each vertex whether one leads up from it
    """

    def __init__(self, sheet: Sheet, place: Sequence[int]) -> None:
        self._sheet = sheet
        self._place = place
        self._chosen: dict[int, list[tuple[int, int]]] = {}
        self.below = [-1] * len(sheet.kind)
        self.held_above = [False] * len(sheet.kind)

    def __len__(self) -> int:
        return sum(self.held_above)

    def add(self, number: int) -> bool:
        """Choose a segment, unless it crosses or touches one that was chosen before; whether it was."""
        sheet = self._sheet
        upper, lower = sheet.upper[number], sheet.lower[number]
        if self.below[upper] >= 0 or self.held_above[lower]:
            return False
        row, rows = sheet.row[upper], sheet.rows
        # What has either row to itself crosses nothing.
        if len(rows[row]) > 1 and len(rows[row + 1]) > 1 and not self._fits(row, upper, lower):
            return False
        self.below[upper] = number
        self.held_above[lower] = True
        return True

    def _fits(self, row: int, upper: int, lower: int) -> bool:
        """Whether a segment would cross none; it counts as chosen from then on."""
        beside = self._sheet.rows[row]
        here, there = self._place[upper], self._place[lower]
        if len(beside) <= _SHORT_ROW:
            below, ends, place = self.below, self._sheet.lower, self._place
            # None of those that were chosen crosses another, so the nearest one on either side tells.
            for at in range(here - 1, -1, -1):
                if (number := below[beside[at]]) >= 0:
                    if place[ends[number]] > there:
                        return False
                    break
            for at in range(here + 1, len(beside)):
                if (number := below[beside[at]]) >= 0:
                    return place[ends[number]] > there
            return True
        chosen = self._chosen.setdefault(row, [])
        index = bisect_left(chosen, (here, there))
        if index and chosen[index - 1][1] > there:
            return False
        if index < len(chosen) and chosen[index][1] < there:
            return False
        chosen.insert(index, (here, there))
        return True


def base_alignment(sheet: Sheet, place: Sequence[int], with_road: bool) -> Alignment:
    """What must be straight: the frames' edges, the main road, and long wires between their first and last bend."""
    alignment = Alignment(sheet, place)
    road, bends = [], []
    kinds, on_road = sheet.kind, sheet.on_road
    for number, (upper, lower) in enumerate(sheet.pairs()):
        kind = kinds[upper]
        if on_road[upper] and on_road[lower]:
            road.append(number)
        elif kind == BOX:
            continue
        elif kind in _EDGES:
            alignment.add(number)
        elif kinds[lower] in _BENDS:
            bends.append(number)
    for number in (*(road if with_road else ()), *bends):
        alignment.add(number)
    return alignment


@dataclass(frozen=True, slots=True)
class Blocks:
    """The vertices of a sheet in blocks.

    block       for each vertex its block; blocks are numbered in the order of their first vertices
    shift       for each vertex its axis, from its block's
    left, right pairs of blocks that are neighbours somewhere
    least       of each pair the least distance
    """

    count: int
    block: list[int]
    shift: list[int]
    left: list[int]
    right: list[int]
    least: list[int]


def build(sheet: Sheet, alignment: Alignment, upper_port: Sequence[int], lower_port: Sequence[int]) -> Blocks:
    """The blocks that an alignment makes."""
    lowers, on_road, follower = sheet.lower, sheet.on_road, alignment.below
    block, shift = [-1] * len(sheet.kind), [0] * len(sheet.kind)
    count = 0
    for start, follows in enumerate(alignment.held_above):
        if follows:
            continue
        vertex = start
        block[vertex] = count
        while (number := follower[vertex]) >= 0:
            lower = lowers[number]
            step = 0 if on_road[vertex] and on_road[lower] else upper_port[number] - lower_port[number]
            block[lower], shift[lower] = count, shift[vertex] + step
            vertex = lower
        count += 1
    keep: dict[int, int] = {}
    after, before, kinds = sheet.after, sheet.before, sheet.kind
    for row in sheet.rows:
        if len(row) < 2:
            continue
        left = row[0]
        for right in row[1:]:
            pair = block[left] * count + block[right]
            least = after[left] + GAPS[kinds[left]][kinds[right]] + before[right] + shift[left] - shift[right]
            if least > keep.get(pair, least - 1):
                keep[pair] = least
            left = right
    return Blocks(
        count, block, shift, [pair // count for pair in keep], [pair % count for pair in keep], list(keep.values())
    )
