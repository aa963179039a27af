"""Threads: chains of vertices, each taken out of its rows and led back in where its wires cross least.

Sorting row by row cannot take a wire from one side of a branch to the other, for every single row would be the worse
for it. Here all rows of a thread change at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add
from typing import TypeAlias

from gradviz.layout.rows import BEND
from gradviz.layout.sorter import Sorter

Side: TypeAlias = Callable[[Iterable[int]], int]
"""Which of several places that are as good a thread goes to: `min` for the first one, `max` for the last."""

_NEVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Thread:
    """A chain with the leaves that it alone uses.

    content      row -> what of it stands there
    first, last  the ends of the chain
    """

    content: dict[int, list[int]]
    first: int
    last: int


def rethread(sorter: Sorter) -> None:
    """Lead every thread where it crosses least; a thread that is a wire may first go another way that is as good.

    A wire around a branch crosses the branch's leaves, and one within it the branch's end: what was beside the wire
    may then have a better place.
    """
    threads = _find_threads(sorter)
    _improve(sorter, threads)
    for thread in threads:
        if sorter.sheet.kind[thread.first] != BEND:
            continue
        for side in (min, max):
            rows, crossings = list(sorter.sheet.rows), sorter.crossings()
            if not crossings:
                return
            _Weaver(sorter, thread).lead(side, elsewhere=True)
            if sorter.crossings() <= crossings:
                _improve(sorter, threads)
            if sorter.crossings() >= crossings:
                sorter.resume(rows)


def _improve(sorter: Sorter, threads: Sequence[Thread]) -> None:
    """Lead one thread after the other, for as long as that saves crossings."""
    crossings, before = sorter.crossings(), -1
    while crossings and crossings != before:
        before = crossings
        for thread in threads:
            rows = list(sorter.sheet.rows)
            _Weaver(sorter, thread).lead(min, elsewhere=False)
            if (found := sorter.crossings()) < crossings:
                crossings = found
            else:
                sorter.resume(rows)


def _find_threads(sorter: Sorter) -> list[Thread]:
    """The threads that have another vertex beside them somewhere."""
    sheet = sorter.sheet
    up, down, upper, lower, row = sheet.up, sheet.down, sheet.upper, sheet.lower, sheet.row
    hanging = [not up[vertex] and len(down[vertex]) == 1 for vertex in range(len(sheet.kind))]
    held = [[upper[number] for number in numbers if not hanging[upper[number]]] for numbers in up]
    found = []
    for first in range(len(sheet.kind)):
        if hanging[first] or (len(held[first]) == 1 and len(down[held[first][0]]) == 1):
            continue
        chain = [first]
        while len(down[chain[-1]]) == 1 and len(held[below := lower[down[chain[-1]][0]]]) == 1:
            chain.append(below)
        content: dict[int, list[int]] = {}
        for vertex in chain:
            for leaf in [upper[number] for number in up[vertex] if hanging[upper[number]]]:
                content.setdefault(row[leaf], []).append(leaf)
            content.setdefault(row[vertex], []).append(vertex)
        if any(len(sheet.rows[number]) > len(own) for number, own in content.items()):
            found.append(Thread(content, first, chain[-1]))
    return found


class _Weaver:
    """Leads one thread through its rows, with what stands there beside it where it is.

    own     the thread's vertices
    others  row -> those beside it, and those of the row before it and of the row after it
    place   vertex -> its place among these
    """

    def __init__(self, sorter: Sorter, thread: Thread) -> None:
        self.sorter = sorter
        self.thread = thread
        sheet = sorter.sheet
        self.own = {vertex for vertices in thread.content.values() for vertex in vertices}
        rows = range(max(min(thread.content) - 1, 0), min(sheet.row[thread.last] + 2, len(sheet.rows)))
        self.others = {row: [v for v in sheet.rows[row] if v not in self.own] for row in rows}
        self.place = {vertex: at for vertices in self.others.values() for at, vertex in enumerate(vertices)}

    def lead(self, side: Side, *, elsewhere: bool) -> None:
        """Lead the thread where it crosses least; with `elsewhere`, its first vertex must leave its place."""
        sheet, thread = self.sorter.sheet, self.thread
        rows = sorted(thread.content)
        costs = [0] * (len(self.others[rows[0]]) + 1)
        ways: list[list[int]] = []
        for row in rows:
            if row != rows[0]:
                costs, way = self._onward(row - 1, costs, side)
                ways.append(way)
            if row == sheet.row[thread.first]:
                costs = [*map(add, costs, self._ends(thread.first, sheet.up, sheet.upper))]
                if elsewhere:
                    before = sheet.rows[row][: sheet.rows[row].index(thread.first)]
                    costs[len(before) - len(self.own.intersection(before))] += _NEVER
        costs = [*map(add, costs, self._ends(thread.last, sheet.down, sheet.lower))]
        at = _least(costs, side)
        for row in reversed(rows):
            own = [vertex for vertex in sheet.rows[row] if vertex in self.own]
            self.sorter.settle(row, (*self.others[row][:at], *own, *self.others[row][at:]))
            at = ways.pop()[at] if ways else at

    def _onward(self, row: int, costs: Sequence[int], side: Side) -> tuple[list[int], list[int]]:
        """What it costs at least to come to each place in the row after `row`, and from which place in `row`."""
        down, weights = self.sorter.sheet.down, self.sorter.weight
        weight = sum([weights[number] for vertex in self.thread.content[row] for number in down[vertex]])
        width = len(self.others[row + 1]) + 1
        # How much comes from left of each place above and goes to left of each place below.
        grid = [[0] * width for _ in costs]
        for upper, lower, crossed in self._passing(row):
            grid[upper + 1][lower + 1] += crossed
        left, sums = [0] * width, []
        for line in grid:
            left = [*map(add, left, accumulate(line))]
            sums.append(left)
        found = [
            [cost + weight * (line[-1] + left[to] - 2 * line[to]) for cost, line in zip(costs, sums, strict=True)]
            for to in range(width)
        ]
        return [min(each) for each in found], [_least(each, side) for each in found]

    def _ends(self, end: int, around: Sequence[Sequence[int]], ends: Sequence[int]) -> list[int]:
        """What the segments to other threads at one end of this one cross, for each place that the end can have."""
        sheet, weights = self.sorter.sheet, self.sorter.weight
        row, above = sheet.row[end], ends is sheet.upper
        costs = [0] * (len(self.others[row]) + 1)
        outer = [(self.place[ends[number]], weights[number]) for number in around[end] if ends[number] not in self.own]
        for upper, lower, crossed in self._passing(row - 1 if above else row) if outer else ():
            there, here = (upper, lower) if above else (lower, upper)
            for place, weight in outer:
                if there != place:
                    for at in range(here + 1) if there < place else range(here + 1, len(costs)):
                        costs[at] += weight * crossed
        return costs

    def _passing(self, row: int) -> Iterator[tuple[int, int, int]]:
        """The segments from `row` to the next that are not the thread's: the places of their ends, and their weight."""
        sheet, sorter = self.sorter.sheet, self.sorter
        for vertex in self.others[row]:
            for number in sheet.down[vertex]:
                if (lower := sheet.lower[number]) not in self.own:
                    yield self.place[vertex], self.place[lower], sorter.weight[number]


def _least(costs: Sequence[int], side: Side) -> int:
    least = min(costs)
    return side(at for at, cost in enumerate(costs) if cost == least)
