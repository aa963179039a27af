"""Network simplex: the exact answer to "levels that keep every edge at least so long, at the least total length".

Ranks are such levels, and so are the columns of a small drawing, where wires besides want to be straight: they are
kinks. A spanning tree of tight edges is improved by exchanging one edge at a time, as in Gansner, Koutsofios, North and
Vo, "A technique for drawing directed graphs" (1993). Exact, but slow beyond a few hundred nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add, sub

from gradviz.layout.tree import Edge, Kink, Tree


def solve(count: int, edges: Sequence[Edge], most_pivots: int = 20_000) -> list[int]:
    """Levels of nodes 0 to count - 1, from 0 up, that minimise the weighted sum of `level[head] - level[tail]`.

    The edges must be acyclic and hold all nodes together; `ValueError` where they do not. After `most_pivots`
    exchanges the levels found so far are returned; they keep every least length too.
    """
    if not count:
        return []
    # What computes stands right above its use more often than right below what it needs.
    from_below = longest_path(count, [(head, tail, length, weight) for tail, head, length, weight in edges])
    found = _improved(count, edges, [-level for level in from_below], most_pivots).level
    lowest = min(found)
    return [level - lowest for level in found]


def extremes(
    count: int, edges: Sequence[Edge], kinks: Sequence[Kink], start: Sequence[int], most_pivots: int = 20_000
) -> tuple[list[int], list[int]]:
    """Of all best levels the lowest and the highest that do not widen the range of all nodes but the last, a wall.

    The best are those at which the edges and the kinks together cost least. `start` are levels to begin with that keep
    every least length; the closer they are, the sooner it is done.

    An edge that carries flow in the dual problem is tight in every best solution, and whatever keeps these edges tight
    is one; so does a kink stay straight, or on its side. So one solution is enough to find both ends: how far a node
    can move is a shortest way over slacks.
    """
    tree = _improved(count, edges, list(start), most_pivots, kinks)
    rigid = tree.settle()
    found = tree.level[:-1]
    lowest, highest = min(found), max(found)
    # Whoever has another one before it, or beside it, is held by that one and not by the wall.
    wall = count - 1
    inner = [(tail, head) for tail, head, length, _ in edges if length >= 0 and tail != wall and head != wall]
    first = set(range(wall)).difference([head for _, head in inner])
    last = set(range(wall)).difference([tail for tail, _ in inner])
    down = tree.reaches([(found[node] - lowest, node) for node in first], rigid, tree.leaving, tree.entering, 1)
    up = tree.reaches([(highest - found[node], node) for node in last], rigid, tree.entering, tree.leaving, -1)
    return list(map(sub, found, down)), list(map(add, found, up))


def _improved(
    count: int, edges: Sequence[Edge], start: list[int], most_pivots: int, kinks: Sequence[Kink] = ()
) -> Tree:
    """The best tree, or that after so many exchanges."""
    tree = Tree(count, edges, kinks, start)
    tree.grow()
    tree.hang()
    for _ in range(most_pivots):
        loose = tree.find_loose()
        if loose is None:
            break
        tree.exchange(loose)
    return tree


def longest_path(count: int, edges: Sequence[Edge]) -> list[int]:
    """The lowest levels, from 0 up, that keep every least length. The edges must be acyclic."""
    outgoing: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    waiting = [0] * count
    for tail, head, length, _ in edges:
        outgoing[tail].append((head, length))
        waiting[head] += 1
    level = [0] * count
    ready = [node for node in range(count) if not waiting[node]]
    for node in ready:
        here = level[node]
        for head, length in outgoing[node]:
            if here + length > level[head]:
                level[head] = here + length
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    if len(ready) != count:
        raise ValueError("the edges form a cycle")
    return level
