"""The sorter: what is done to a sheet's rows on the way to a good order, one row after the other.

Rows are sorted after their neighbours above or below (barycenters and medians), and neighbours change places where that
saves a crossing. Frames that lie beside each other keep one order through all rows, and a frame's edges count as wires
that are expensive to cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from math import inf
from operator import mul, sub
from typing import TypeAlias

from gradviz.layout.rows import FAR_EDGE, NEAR_EDGE, TAB, Sheet
from gradviz.layout.tangle import is_tangled, weight_of_crossings

Rows: TypeAlias = list[tuple[int, ...]]
"""The vertices of each row, in their order across."""

_EDGE_WEIGHT = 8
_SAMPLED = 6
"""Of more rows only some are looked at where it does not matter how much crosses exactly."""
_ROAD_WEIGHT = 2


class Sorter:
    """Puts the rows of a sheet in order, in place."""

    def __init__(self, sheet: Sheet, remembers: bool) -> None:
        self.sheet = sheet
        rows = sheet.rows
        self.given = list(rows)
        self.loose = [number for number, row in enumerate(rows) if len(row) > 1]
        self.place = [0] * len(sheet.kind)
        # Wires can cross only where both rows hold more than one vertex.
        self.gaps: dict[int, list[int]] = {row: [] for row, below in pairwise(self.loose) if below == row + 1}
        for number, vertex in enumerate(sheet.upper):
            if (row := sheet.row[vertex]) in self.gaps:
                self.gaps[row].append(number)
        self.fences_in: list[Sequence[int]] = [()] * len(rows)
        # A frame's number is higher than that of any frame around it, so inner ones come first.
        for fence in range(len(sheet.fences) - 1, -1, -1):
            for row in range(sheet.first[fence], sheet.last[fence] + 1):
                self.fences_in[row] = (*self.fences_in[row], fence)
        self.standing = [float(fence) for fence in range(len(sheet.fences))]
        self._sides = ((sheet.up, sheet.upper), (sheet.down, sheet.lower))
        # What is done to a row follows from it and from the rows beside it, and sweeps meet the same ones again and
        # again. On a large sheet they are few, and what they leave behind would be much.
        self.remembers = remembers
        self._swept: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._passed: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._counted: dict[tuple[object, ...], int] = {}
        self._found: dict[int, int] = {}

    @cached_property
    def weight(self) -> list[int]:
        """How much it costs to cross each segment; a sheet whose order is good as it is never asks."""
        on_road = self.sheet.on_road
        weights = [
            _ROAD_WEIGHT if on_road[upper] and on_road[lower] else 1 for upper, lower in self.sheet.pairs()
        ]
        for sides in self.sheet.edges:
            for side in sides:
                for vertex in side[:-1]:
                    weights[self.sheet.down[vertex][0]] = _EDGE_WEIGHT
        return weights

    def begin(self, start: str) -> None:
        """A first order: as given, or as a depth-first walk from the first or the last row meets the vertices."""
        sheet = self.sheet
        keys = [float(vertex) for vertex in range(len(sheet.kind))]
        if start != "given":
            ahead, ends, behind = (
                (sheet.down, sheet.lower, sheet.up) if start == "down" else (sheet.up, sheet.upper, sheet.down)
            )
            met = [False] * len(keys)
            clock = 0
            for root in (vertex for vertex in range(len(keys)) if not behind[vertex]):
                stack = [root]
                while stack:
                    vertex = stack.pop()
                    if met[vertex]:
                        continue
                    met[vertex] = True
                    keys[vertex] = float(clock)
                    clock += 1
                    stack += [ends[number] for number in reversed(ahead[vertex])]
        self.standing = [float(fence) for fence in range(len(sheet.fences))]
        for row in self.loose:
            sheet.rows[row] = self.given[row]
            if start != "given" or self.fences_in[row]:
                self._sort(row, keys)
            else:
                for index, vertex in enumerate(self.given[row]):
                    self.place[vertex] = index

    def resume(self, rows: Rows) -> None:
        """Go on from an order that was left for another one."""
        self.standing = [float(fence) for fence in range(len(self.sheet.fences))]
        for row in self.loose:
            self.settle(row, rows[row])

    def sweep(self, downwards: bool, median: bool) -> None:
        """Sort every row after the one before it, in one direction."""
        sheet = self.sheet
        self._update_standing()
        # Where one sweep is all there is, lists of neighbours would not pay.
        around, ends = (sheet.up, sheet.upper) if downwards else (sheet.down, sheet.lower)
        keys = [-1.0] * len(sheet.kind)
        place = self.place
        outermost = 0 if downwards else len(sheet.rows) - 1
        for row in self.loose if downwards else reversed(self.loose):
            if row == outermost:
                continue
            vertices = sheet.rows[row]
            remembers = self.remembers and not self.fences_in[row]
            if remembers:
                met = (vertices, sheet.rows[row - 1 if downwards else row + 1], downwards, median)
                known = self._swept.get(met)
                if known is not None:
                    self.settle(row, known)
                    continue
            last = -1.0
            for vertex in vertices:
                numbers = around[vertex]
                if len(numbers) == 1:
                    last = float(place[ends[numbers[0]]])
                elif numbers:
                    places = [place[ends[number]] for number in numbers]
                    last = _middle(places) if median else sum(places) / len(places)
                # Who has no neighbour there stays beside whom he stands beside.
                keys[vertex] = last
            self._sort(row, keys)
            if remembers:
                self._swept[met] = sheet.rows[row]

    def settle(self, row: int, vertices: tuple[int, ...]) -> None:
        """Give a row its order."""
        if vertices != self.sheet.rows[row]:
            self.sheet.rows[row] = vertices
            for index, vertex in enumerate(vertices):
                self.place[vertex] = index

    def _update_standing(self) -> None:
        sheet = self.sheet
        total = [0.0] * len(sheet.fences)
        for fence, (near, far) in enumerate(sheet.edges):
            for vertex in (*near, *far):
                total[fence] += (self.place[vertex] + 0.5) / len(sheet.rows[sheet.row[vertex]])
            total[fence] /= 2 * len(near)
        self.standing = total

    def _sort(self, row: int, keys: Sequence[float]) -> None:
        """Sort a row by keys, each frame's vertices together, its near edge and its tab first, its far edge last."""
        sheet = self.sheet
        vertices = sheet.rows[row]
        if not self.fences_in[row]:
            sheet.rows[row] = tuple(sorted(vertices, key=keys.__getitem__))
            for index, vertex in enumerate(sheet.rows[row]):
                self.place[vertex] = index
            return
        groups: dict[int, list[tuple[float, int, list[int]]]] = {fence: [] for fence in (*self.fences_in[row], -1)}
        edge_key: dict[int, float] = {}
        for index, vertex in enumerate(vertices):
            kind = sheet.kind[vertex]
            if kind in (NEAR_EDGE, FAR_EDGE):
                fence = sheet.item[vertex]
                edge_key[fence] = edge_key.get(fence, 0.0) + keys[vertex] / 2
            elif kind is not TAB:
                groups[sheet.fence[vertex]].append((keys[vertex], index, [vertex]))
        for fence in self.fences_in[row]:
            members = self._line_up(groups[fence])
            flat = [vertex for _, _, block in members for vertex in block]
            key = sum(item[0] for item in members) / len(members) if members else edge_key[fence]
            number = row - sheet.first[fence]
            near, far = sheet.edges[fence]
            tab = [sheet.tabs[fence]] if number == 0 and fence in sheet.tabs else []
            index = members[0][1] if members else self.place[near[number]]
            block = [near[number], *tab, *flat, far[number]]
            groups[sheet.fences[fence].parent].append((key, index, block))
        sheet.rows[row] = tuple([vertex for _, _, block in self._line_up(groups[-1]) for vertex in block])
        for index, vertex in enumerate(sheet.rows[row]):
            self.place[vertex] = index

    def _line_up(self, items: list[tuple[float, int, list[int]]]) -> list[tuple[float, int, list[int]]]:
        """Items by key; those that are frames change places among themselves until they stand in the frames' order."""
        items.sort(key=lambda item: (item[0], item[1]))
        slots = [index for index, (_, _, block) in enumerate(items) if len(block) > 1]
        if len(slots) > 1:
            frames = sorted((items[index] for index in slots), key=self._frame_key)
            for index, item in zip(slots, frames, strict=True):
                items[index] = item
        return items

    def _frame_key(self, item: tuple[float, int, list[int]]) -> tuple[float, int]:
        fence = self.sheet.item[item[2][0]]
        return self.standing[fence], fence

    def transpose(self) -> bool:
        """Let neighbours of the same frame change places for as long as that saves crossings; whether any did."""
        rows = self.sheet.rows
        ever = False
        # Where nothing crosses above a row and below it, nothing can be saved.
        near = {row for gap, found in self._found.items() if found for row in (gap, gap + 1)}
        for _ in range(4):
            changed = False
            for number in self.loose:
                if number not in near:
                    continue
                met = (rows[number], rows[number - 1] if number else (), *rows[number + 1 : number + 2])
                passed = self._passed.get(met)
                if passed is None:
                    passed = self._passed[met] = self._pass(rows[number])
                if passed != rows[number]:
                    self.settle(number, passed)
                    near.update((number - 1, number + 1))
                    changed = ever = True
            if not changed:
                break
        return ever

    def _pass(self, vertices: tuple[int, ...]) -> tuple[int, ...]:
        """A row in which each vertex in turn has changed places with the next one if that saves crossings."""
        sheet = self.sheet
        row = list(vertices)
        for index in range(len(row) - 1):
            left, right = row[index], row[index + 1]
            if sheet.fence[left] != sheet.fence[right]:
                continue
            if sheet.kind[left] in _FIXED or sheet.kind[right] in _FIXED:
                continue
            if self._saved(left, right) > 0:
                row[index], row[index + 1] = right, left
        return tuple(row)

    def _saved(self, left: int, right: int) -> int:
        """Weight of the crossings that two neighbours' wires lose if the two change places."""
        place, weights = self.place, self.weight
        saved = 0
        for around, ends in self._sides:
            mine, yours = around[left], around[right]
            for number in mine if yours else ():
                here, weight = place[ends[number]], weights[number]
                for other in yours:
                    there = place[ends[other]]
                    if here > there:
                        saved += weight * weights[other]
                    elif here < there:
                        saved -= weight * weights[other]
        return saved

    def crossings(self, limit: float = inf) -> int:
        """Weight of all crossings, or of enough of them to see that they are more than `limit`."""
        if not self.remembers:
            return sum([self._crossings_in(row, numbers) for row, numbers in self.gaps.items()])
        rows, counted = self.sheet.rows, self._counted
        total = 0
        for row, numbers in self.gaps.items():
            if total > limit:
                break
            met = rows[row], rows[row + 1]
            found = counted.get(met)
            if found is None:
                found = counted[met] = self._crossings_in(row, numbers)
            self._found[row] = found
            total += found
        return total

    def about(self) -> int:
        """About as much, from some of the rows where they are many: enough to see which start is far behind."""
        if len(self.gaps) <= _SAMPLED:
            return self.crossings()
        step = len(self.gaps) // _SAMPLED + 1
        return step * sum([self._crossings_in(row, numbers) for row, numbers in list(self.gaps.items())[::step]])

    def _crossings_in(self, row: int, numbers: Sequence[int]) -> int:
        keys, size = self._keys(row, numbers)
        return weight_of_crossings(keys, map(self.weight.__getitem__, numbers), size)

    def _keys(self, row: int, numbers: Sequence[int]) -> tuple[list[int], int]:
        place, uppers, lowers = self.place, self.sheet.upper, self.sheet.lower
        size = len(self.sheet.rows[row + 1])
        return [place[uppers[number]] * size + place[lowers[number]] for number in numbers], size

    def is_tangled(self) -> bool:
        """Whether anything crosses at all."""
        return any(is_tangled(*self._keys(row, numbers)) for row, numbers in self.gaps.items())

    def stretch(self) -> int:
        """How far wires run across, in hundredths of a row's breadth: decides between orders that cross equally."""
        sheet, standing = self.sheet, [0.5] * len(self.place)
        for number in self.loose:
            row = sheet.rows[number]
            breadth = len(row)
            for index, vertex in enumerate(row):
                standing[vertex] = (index + 0.5) / breadth
        at = standing.__getitem__
        across = map(abs, map(sub, map(at, sheet.upper), map(at, sheet.lower)))
        return int(sum(map(mul, across, self.weight)) * 100)


_FIXED = frozenset((NEAR_EDGE, FAR_EDGE, TAB))


def _middle(places: list[int]) -> float:
    places.sort()
    half = len(places) // 2
    return float(places[half]) if len(places) % 2 else (places[half - 1] + places[half]) / 2
