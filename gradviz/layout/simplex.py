"""Network simplex: the exact answer to "levels that keep every edge at least so long, at the least total length".

Ranks are such levels, and so are the columns of a small drawing (each `|x - y|` becomes two edges). A spanning tree of
tight edges is improved by exchanging one edge at a time, as in Gansner, Koutsofios, North and Vo, "A technique for
drawing directed graphs" (1993). Exact, but slow beyond a few hundred nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from operator import add, sub
from typing import TypeAlias

Edge: TypeAlias = tuple[int, int, int, int]
"""Tail, head, least length, weight."""


def solve(count: int, edges: Sequence[Edge], most_pivots: int = 20_000) -> list[int]:
    """Levels of nodes 0 to count - 1, from 0 up, that minimise the weighted sum of `level[head] - level[tail]`.

    The edges must be acyclic and hold all nodes together; `ValueError` where they do not. After `most_pivots`
    exchanges the levels found so far are returned; they keep every least length too.
    """
    if not count:
        return []
    found = _improved(count, edges, longest_path(count, edges), most_pivots).level
    lowest = min(found)
    return [level - lowest for level in found]


def extremes(
    count: int, edges: Sequence[Edge], start: Sequence[int], walled: int, most_pivots: int = 20_000
) -> tuple[list[int], list[int]]:
    """Of all best levels the lowest and the highest of the first `walled` nodes that do not widen their range.

    `start` are levels to begin with that keep every least length; the closer they are, the sooner it is done.

    An edge that carries flow in the dual problem is tight in every best solution, and whatever keeps these edges tight
    is one. So one solution is enough to find both ends: how far a node can move is a shortest way over slacks.
    """
    tree = _improved(count, edges, list(start), most_pivots)
    level = tree.level
    rigid = [False] * len(edges)
    for node, number in enumerate(tree.link):
        if number >= 0 and tree.pull[node]:
            rigid[number] = True
    found = level[:walled]
    lowest, highest = min(found), max(found)
    # Whoever has another one before it, or beside it, is held by that one and not by the wall.
    inner = [(tail, head) for tail, head, length, _ in edges if length >= 0 and tail < walled and head < walled]
    first = set(range(walled)).difference([head for _, head in inner])
    last = set(range(walled)).difference([tail for tail, _ in inner])
    down = tree.reaches([(found[node] - lowest, node) for node in first], rigid, tree.leaving, tree.entering, 1)
    up = tree.reaches([(highest - found[node], node) for node in last], rigid, tree.entering, tree.leaving, -1)
    return list(map(sub, found, down)), list(map(add, found, up))


def _improved(count: int, edges: Sequence[Edge], start: list[int], most_pivots: int) -> _Tree:
    """The best tree, or that after so many exchanges."""
    tree = _Tree(count, edges, start)
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


class _Tree:
    """A spanning tree of tight edges, rooted at node 0.

    leaving, entering
                for each node the edges at it, each with its other end and its least length
    branches    for each node the tree edges at it, each with its other end
    link        for each node the tree edge that it hangs by
    hanging     for each node the side of that edge that it is on: 1 for the head, -1 for the tail
    parent      the node at that edge's other end, -1 for the root
    pull        net weight of the edges that leave the node's subtree: what moving it one level down would save.
                (Edges within the subtree cancel, so it is a plain sum of `tail - head` weights over the subtree.)
    """

    def __init__(self, count: int, edges: Sequence[Edge], level: list[int]) -> None:
        self.count = count
        self.edges = edges
        self.level = level
        leaving: list[list[tuple[int, int, int]]] = [[] for _ in range(count)]
        entering: list[list[tuple[int, int, int]]] = [[] for _ in range(count)]
        pull = [0] * count
        for number, (tail, head, length, weight) in enumerate(edges):
            leaving[tail].append((number, head, length))
            entering[head].append((number, tail, length))
            if weight:
                pull[tail] += weight
                pull[head] -= weight
        self.leaving, self.entering, self.pull = leaving, entering, pull
        self.branches: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        self.link = [-1] * count
        self.hanging = [0] * count
        self.parent = [-1] * count
        self._mark = [0] * count
        self._round = 0
        self._next = 1

    def grow(self) -> None:
        """Shift the part already spanned until one more edge is tight and take that in, until all nodes are spanned.

        What is spanned moves as a whole: its levels are kept without the shift, which is added at the end. So are the
        slacks of the edges that lead out of it, in one heap, and of those that lead into it, in the other; of two that
        are as tight the one of the lower number is taken.
        """
        edges, level, branches = self.edges, self.level, self.branches
        spanned = [False] * self.count
        outward: list[tuple[int, int]] = []
        inward: list[tuple[int, int]] = []
        shift = 0
        start, left = 0, self.count
        while True:
            spanned[start] = True
            level[start] -= shift
            queue = [start]
            for node in queue:
                here = level[node]
                for ends, leads, sign in ((self.leaving[node], outward, 1), (self.entering[node], inward, -1)):
                    for number, other, length in ends:
                        if spanned[other]:
                            continue
                        # Free of the shift, as `here` is.
                        slack = sign * (level[other] - here) - length
                        if slack != sign * shift:
                            heappush(leads, (slack, number))
                            continue
                        spanned[other] = True
                        level[other] -= shift
                        branches[node].append((number, other))
                        branches[other].append((number, node))
                        queue.append(other)
            left -= len(queue)
            if not left:
                break
            while outward and spanned[edges[outward[0][1]][1]]:
                heappop(outward)
            while inward and spanned[edges[inward[0][1]][0]]:
                heappop(inward)
            if not outward and not inward:
                raise ValueError("the edges do not hold all nodes together")
            leaves = bool(outward) and (not inward or outward[0][0] - shift <= inward[0][0] + shift)
            slack, number = outward[0] if leaves else inward[0]
            shift = slack if leaves else -slack
            tail, head, _, _ = edges[number]
            branches[tail].append((number, head))
            branches[head].append((number, tail))
            start = head if leaves else tail
        if shift:
            self.level = [found + shift for found in level]

    def hang(self) -> None:
        """Root the tree at node 0, and add up each subtree's pull."""
        order = [0]
        edges, links, parents, hanging, pull = self.edges, self.link, self.parent, self.hanging, self.pull
        for node in order:
            link = links[node]
            for number, child in self.branches[node]:
                if number != link:
                    links[child], parents[child] = number, node
                    hanging[child] = 1 if edges[number][1] == child else -1
                    order.append(child)
        for node in reversed(order[1:]):
            pull[parents[node]] += pull[node]

    def find_loose(self) -> int | None:
        """A node whose link may give way and make the whole shorter, looked for round robin, or None at the optimum."""
        pull, hanging = self.pull, self.hanging
        for node in chain(range(self._next, self.count), range(self._next)):
            if pull[node] * hanging[node] > 0:
                self._next = node + 1
                return node
        return None

    def exchange(self, loose: int) -> None:
        """Cut `loose` with its subtree off, move it as far as its pull takes it, and hang it where it got stuck."""
        leaving, level, mark = self.link[loose], self.level, self._mark
        subtree = self._subtree(loose)
        self._round = current = self._round + 1
        for node in subtree:
            mark[node] = current
        # The first of the edges that stop the subtree soonest.
        sign, ahead = (1, self.leaving) if self.pull[loose] > 0 else (-1, self.entering)
        shift = inside = outside = entering = -1
        for node in subtree:
            base = sign * level[node]
            for number, other, length in ahead[node]:
                if mark[other] != current:
                    slack = sign * level[other] - base - length
                    if slack < shift or entering < 0:
                        shift, inside, outside, entering = slack, node, other, number
        if shift:
            for node in subtree:
                level[node] += sign * shift
        self._rehang(loose, inside, outside, leaving, entering)

    def _subtree(self, root: int) -> list[int]:
        nodes = [root]
        branches, links = self.branches, self.link
        for node in nodes:
            link = links[node]
            nodes += [other for number, other in branches[node] if number != link]
        return nodes

    def _rehang(self, loose: int, inside: int, outside: int, leaving: int, entering: int) -> None:
        """Hang the subtree of `loose` by its node `inside` from `outside`, and correct the pulls on the way."""
        pull, links, parents, hanging, branches = self.pull, self.link, self.parent, self.hanging, self.branches
        whole = pull[loose]
        above = parents[loose]
        # Above the point where the two ways meet, the corrections cancel.
        for node, change in ((above, -whole), (outside, whole)):
            while node >= 0:
                pull[node] += change
                node = parents[node]
        branches[loose].remove((leaving, above))
        branches[above].remove((leaving, loose))
        branches[inside].append((entering, outside))
        branches[outside].append((entering, inside))
        # From `inside` up to `loose` the tree hangs the other way round; all else in the subtree hangs as it did.
        node, below, link, parent = inside, 0, entering, outside
        side = 1 if self.edges[entering][1] == inside else -1
        while True:
            pull[node], below = whole - below, pull[node]
            links[node], link = link, links[node]
            parents[node], parent = parent, parents[node]
            hanging[node], side = side, -hanging[node]
            if node == loose:
                break
            node, parent = parent, node

    def reaches(
        self,
        heap: list[tuple[int, int]],
        rigid: Sequence[bool],
        onwards: Sequence[Sequence[tuple[int, int, int]]],
        backwards: Sequence[Sequence[tuple[int, int, int]]],
        sign: int,
    ) -> list[int]:
        """How far each node can move where those in `heap` could move so far alone, and rigid edges stay tight."""
        level = self.level
        # No node can move further than the whole is wide.
        reach = [max(level) - min(level) + 1] * self.count
        for distance, node in heap:
            reach[node] = distance
        heapify(heap)
        while heap:
            distance, node = heappop(heap)
            if distance > reach[node]:
                continue
            # Whoever can move just as far is next, and need not queue.
            tied = [node]
            for node in tied:
                base = distance - sign * level[node]
                for _, other, length in onwards[node]:
                    # A node can move as far as what it leans on, and over the slack between the two.
                    after = base + sign * level[other] - length
                    if after < reach[other]:
                        reach[other] = after
                        if after > distance:
                            heappush(heap, (after, other))
                        else:
                            tied.append(other)
                for number, other, _ in backwards[node]:
                    if rigid[number] and distance < reach[other]:
                        reach[other] = distance
                        tied.append(other)
        return reach
