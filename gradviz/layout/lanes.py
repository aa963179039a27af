"""Lanes: where many wires pass very many rows, these run beside the rows, and have bends in their first and last alone.

A deep graph at random has as many bends as wires times rows: a hundred million in one of 30,000 boxes. No order of the
rows would make such a picture clear, so it is not worth the time to look for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappush, heapreplace

from gradviz.layout.strands import Strands

BENDS = 24
"""So many bends a cell may have on the whole before the longest wires leave the rows."""

FEW = 20_000
"""So many bends any sheet may have."""

FAR = 64
"""A wire that passes more rows than this is one of the longest."""

GAP = 10
"""Between two lanes, and between the first one and what stands beside it."""


def find_long(strands: Strands, row: Sequence[int]) -> frozenset[int]:
    """The strands that are to run in lanes, by the rows of the cells: none, as long as there are bends enough.

    One that has a label stays where its words have a place.
    """
    most = FEW + BENDS * len(row)
    tails, heads = strands.tails, strands.heads
    # At most so many bends, if no strand shared any with another.
    if sum(map(row.__getitem__, heads)) - sum(map(row.__getitem__, tails)) <= most:
        return frozenset()
    lengths = [row[head] - row[tail] for tail, head in strands.ends()]
    longest: dict[int, int] = {}
    for duct, length in zip(strands.ducts, lengths, strict=True):
        if length > longest.get(duct, 0):
            longest[duct] = length
    if sum(longest.values()) <= most:
        return frozenset()
    return frozenset([n for n, length in enumerate(lengths) if length > FAR and n not in strands.labels])


def allot(spans: Iterable[tuple[int, int]]) -> list[int]:
    """A lane for each span of rows, so that no two spans in one lane have a row in common; as few lanes as can be.

    Spans come by their first rows. A lane is taken again by the first one that finds it free.
    """
    lanes: list[int] = []
    free: list[tuple[int, int]] = []
    for first, last in spans:
        if free and free[0][0] < first:
            lanes.append(free[0][1])
            heapreplace(free, (last, lanes[-1]))
        else:
            lanes.append(len(free))
            heappush(free, (last, lanes[-1]))
    return lanes
