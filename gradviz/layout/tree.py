"""A spanning tree of tight edges: one at a time gives way, and what hung by it moves on until another one holds it.

A kink is an edge whose flow is bounded on both sides: what hangs by it is held until the pull outweighs the kink.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import TypeAlias

Edge: TypeAlias = tuple[int, int, int, int]
"""Tail, head, least length, weight."""

Kink: TypeAlias = tuple[int, int, int, int]
"""Tail, head, length, weight: what `|level[head] - level[tail] - length|` costs."""

_UNBOUNDED = sys.maxsize


class Tree:
    """A spanning tree of tight edges and of kinks that are straight, rooted at node 0.

    hard        how many edges there are; kinks are numbered from there on
    leaving, entering
                for each node the edges at it, each with its other end and its least length
    bends       for each node the kinks at it, each with its other end, its length from here, and 1 at its tail, -1 at
                its head
    side        of each kink 1 where it is longer than straight, -1 where it is shorter, 0 where the tree holds it
    branches    for each node the tree edges at it, each with its other end
    link        for each node the tree edge that it hangs by
    parent      the node at that edge's other end, -1 for the root
    pull        net weight of the edges that leave the node's subtree: what moving it one level down would save. A kink
                pulls to its side, those of the tree do not pull. (Edges within the subtree cancel, so it is a plain sum
                of `tail - head` weights over the subtree.)
    least, most for each node the pull that its link bears
    """

    def __init__(self, count: int, edges: Sequence[Edge], kinks: Sequence[Kink], level: list[int]) -> None:
        self.count = count
        self.edges = [*edges, *kinks]
        self.hard = len(edges)
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
        self.bends: list[list[tuple[int, int, int, int]]] = [[] for _ in range(count)]
        self.side = [0] * len(self.edges)
        for number, (tail, head, length, _) in enumerate(kinks, self.hard):
            self.bends[tail].append((number, head, length, 1))
            self.bends[head].append((number, tail, -length, -1))
        self.branches: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        self.link = [-1] * count
        self.parent = [-1] * count
        self.least = [-_UNBOUNDED] * count
        self.most = [_UNBOUNDED] * count
        self._mark = [0] * count
        self._round = 0
        self._next = 1

    def grow(self) -> None:
        """Shift the part already spanned until one more edge is tight and take that in, until all nodes are spanned.

        What is spanned moves as a whole: its levels are kept without the shift, which is added at the end. So are the
        slacks of the edges that lead out of it, in one heap, and of those that lead into it, in the other; of two that
        are as tight the one of the lower number is taken. A kink is taken in where it happens to be straight.
        """
        edges, level, branches, bends = self.edges, self.level, self.branches, self.bends
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
                for number, other, length, _ in bends[node]:
                    if not spanned[other] and level[other] - here - length == shift:
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
        """Root the tree at node 0, let the kinks that are not in it pull, and add up each subtree's pull."""
        order = [0]
        edges, links, parents, pull, level, side = self.edges, self.link, self.parent, self.pull, self.level, self.side
        for number in range(self.hard, len(edges)):
            tail, head, length, weight = edges[number]
            side[number] = 1 if level[head] - level[tail] >= length else -1
            pull[tail] += side[number] * weight
            pull[head] -= side[number] * weight
        for node in order:
            link = links[node]
            for number, child in self.branches[node]:
                if number != link:
                    links[child], parents[child] = number, node
                    self._bear(child, number)
                    order.append(child)
                    if side[number]:
                        tail, head, _, weight = edges[number]
                        pull[tail] -= side[number] * weight
                        pull[head] += side[number] * weight
                        side[number] = 0
        for node in reversed(order[1:]):
            pull[parents[node]] += pull[node]

    def _bear(self, node: int, number: int) -> None:
        """Let a node hang by an edge or a kink."""
        if number >= self.hard:
            self.most[node] = self.edges[number][3]
            self.least[node] = -self.most[node]
        elif self.edges[number][1] == node:
            self.least[node], self.most[node] = -_UNBOUNDED, 0
        else:
            self.least[node], self.most[node] = 0, _UNBOUNDED

    def find_loose(self) -> int | None:
        """A node whose link may give way and make the whole shorter, looked for round robin, or None at the optimum."""
        pull, least, most = self.pull, self.least, self.most
        for node in chain(range(self._next, self.count), range(self._next)):
            if not least[node] <= pull[node] <= most[node]:
                self._next = node + 1
                return node
        return None

    def exchange(self, loose: int) -> None:
        """Cut `loose` with its subtree off, move it as far as its pull takes it, and hang it where it got stuck."""
        link, level, mark, pull = self.link[loose], self.level, self._mark, self.pull[loose]
        subtree = self._subtree(loose)
        self._round = current = self._round + 1
        for node in subtree:
            mark[node] = current
        # The first of the edges that stop the subtree soonest.
        sign, ahead = (1, self.leaving) if pull > self.most[loose] else (-1, self.entering)
        shift = inside = outside = entering = -1
        for node in subtree:
            base = sign * level[node]
            for number, other, length in ahead[node]:
                if mark[other] != current:
                    slack = sign * level[other] - base - length
                    if slack < shift or entering < 0:
                        shift, inside, outside, entering = slack, node, other, number
        if len(self.edges) > self.hard:
            gain = pull - self.most[loose] if sign > 0 else self.least[loose] - pull
            bend = self._stopping_bend(subtree, sign, gain, shift if entering >= 0 else _UNBOUNDED)
            if bend is not None:
                shift, entering, inside, outside = bend
        if shift:
            for node in subtree:
                level[node] += sign * shift
        if link >= self.hard:
            # It is not straight any more: it pulls back.
            self.side[link] = -sign if self.edges[link][0] == loose else sign
            self.pull[loose] -= sign * self.edges[link][3]
        self._rehang(loose, inside, outside, link, entering)
        if entering >= self.hard:
            self.side[entering] = 0
            self.pull[inside] -= sign * self.edges[entering][3]

    def _stopping_bend(
        self, subtree: Sequence[int], sign: int, gain: int, limit: int
    ) -> tuple[int, int, int, int] | None:
        """Where a subtree that gains so much a level is stopped by a kink before `limit`: how far off, and its ends.

        On its way it takes every kink that it makes straight to the other side, as long as it gains.
        """
        level, mark, current, side, parents, pull = (
            self.level, self._mark, self._round, self.side, self.parent, self.pull,
        )  # fmt: skip
        stops = []
        for node in subtree:
            here = level[node]
            for number, other, length, way in self.bends[node]:
                if sign * way * side[number] > 0 and mark[other] != current:
                    slack = sign * (level[other] - here - length)
                    if slack < limit:
                        stops.append((slack, number, node, other))
        stops.sort()
        for stop in stops:
            _, number, inside, outside = stop
            cost = 2 * self.edges[number][3]
            if gain <= cost:
                return stop
            gain -= cost
            side[number] = -side[number]
            for node, change in ((inside, -sign * cost), (outside, sign * cost)):
                while node >= 0:
                    pull[node] += change
                    node = parents[node]
        return None

    def _subtree(self, root: int) -> list[int]:
        nodes = [root]
        branches, links = self.branches, self.link
        for node in nodes:
            link = links[node]
            nodes += [other for number, other in branches[node] if number != link]
        return nodes

    def _rehang(self, loose: int, inside: int, outside: int, leaving: int, entering: int) -> None:
        """Hang the subtree of `loose` by its node `inside` from `outside`, and correct the pulls on the way."""
        pull, links, parents, branches = self.pull, self.link, self.parent, self.branches
        least, most = self.least, self.most
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
        low, high = 0, 0
        while True:
            pull[node], below = whole - below, pull[node]
            links[node], link = link, links[node]
            parents[node], parent = parent, parents[node]
            least[node], most[node], low, high = low, high, -most[node], -least[node]
            if node == loose:
                break
            node, parent = parent, node
        self._bear(inside, entering)

    def settle(self) -> list[bool]:
        """At the optimum, for each edge whether it is tight in every best solution.

        From then on a kink is an edge that keeps it on its side, or two that keep it straight.
        """
        rigid = [False] * len(self.edges)
        for node, number in enumerate(self.link):
            if number < 0:
                continue
            pull = self.pull[node]
            if number < self.hard:
                rigid[number] = pull != 0
            elif pull in (self.least[node], self.most[node]):
                self.side[number] = 1 if (pull < 0) == (self.edges[number][0] == node) else -1
        for number in range(self.hard, len(self.edges)):
            tail, head, length, _ = self.edges[number]
            if self.side[number] >= 0:
                self.leaving[tail].append((number, head, length))
                self.entering[head].append((number, tail, length))
            if self.side[number] <= 0:
                self.leaving[head].append((number, tail, -length))
                self.entering[tail].append((number, head, -length))
        return rigid

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
