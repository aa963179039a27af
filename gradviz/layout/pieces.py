"""Pieces: a problem of levels, cut where all that goes on from above to below is one node.

What is best for one piece is so whatever the others do, so each is solved by itself, and those that are alike are
solved once: a deep model is mostly one block time after time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from gradviz.layout import simplex
from gradviz.layout.simplex import longest_path
from gradviz.layout.tree import Edge

_FEW = 100
"""So few nodes are solved as a whole before it would be known where to cut."""


def solve(count: int, edges: Sequence[Edge]) -> list[int]:
    """Levels of nodes 0 to count - 1, from 0 up, as `simplex.solve` finds them; the edges must be as it wants them."""
    if count <= _FEW:
        return simplex.solve(count, edges)
    first = _first_levels(count, edges)
    waists = _waists(first, edges)
    levels = [0] * count
    known: dict[tuple[Edge, ...], list[int]] = {}
    for waist, own in zip([-1, *waists], _cut(first, edges, waists), strict=True):
        nodes = sorted({node for edge in own for node in edge[:2]})
        at = dict(zip(nodes, range(len(nodes)), strict=True))
        form = tuple([(at[tail], at[head], length, weight) for tail, head, length, weight in own])
        if form not in known:
            known[form] = simplex.solve(len(nodes), form)
        found = known[form]
        # The node that two pieces share stands where the upper one has it.
        shift = levels[waist] - found[at[waist]] if waist >= 0 else 0
        for node, level in zip(nodes, found, strict=True):
            levels[node] = level + shift
    lowest = min(levels)
    return [level - lowest for level in levels] if lowest else levels


def _first_levels(count: int, edges: Sequence[Edge]) -> list[int]:
    """The lowest levels, but a node without a node before it stands right before the first one after it."""
    levels = longest_path(count, edges)
    fed = {head for _, head, _, _ in edges}
    last: dict[int, int] = {}
    for tail, head, length, _ in edges:
        if tail not in fed:
            last[tail] = min(levels[head] - length, last.get(tail, levels[head]))
    for node, level in last.items():
        levels[node] = level
    return levels


def _waists(levels: Sequence[int], edges: Sequence[Edge]) -> list[int]:
    """The nodes past which no edge goes, from above to below; neither the first level has one nor the last."""
    rows = max(levels, default=0) + 1
    passing = [0] * (rows + 1)
    for tail, head, _, _ in edges:
        above, below = levels[tail] + 1, levels[head]
        if above != below:
            passing[min(above, below)] += 1
            passing[max(above, below)] -= 1
    fed: list[list[int]] = [[] for _ in range(rows)]
    for node in {edge[1] for edge in edges}:
        fed[levels[node]].append(node)
    # The last level is an end, and no place for a cut.
    found = zip(fed[:-1], accumulate(passing), strict=False)
    return [nodes[0] for nodes, over in found if len(nodes) == 1 and not over]


def _cut(levels: Sequence[int], edges: Sequence[Edge], waists: Sequence[int]) -> list[list[Edge]]:
    """The edges of each piece: those that lead on from a waist's level or from below it, up to the next one's."""
    piece_of = [*accumulate(_marked(max(levels, default=0) + 1, [levels[waist] for waist in waists]))]
    pieces: list[list[Edge]] = [[] for _ in range(len(waists) + 1)]
    for edge in edges:
        pieces[piece_of[levels[edge[0]]]].append(edge)
    return pieces


def _marked(count: int, ones: Sequence[int]) -> list[int]:
    marks = [0] * count
    for at in ones:
        marks[at] = 1
    return marks
