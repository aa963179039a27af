"""Network simplex: the exact answer to "levels that keep every edge at least so long, at the least total length".

Ranks are such levels, and so are the columns of a small drawing (each `|x - y|` becomes two edges). A spanning tree of
tight edges is improved by exchanging one edge at a time, as in Gansner, Koutsofios, North and Vo, "A technique for
drawing directed graphs" (1993). Exact, but slow beyond a few hundred nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    tree = _Tree(count, edges)
    tree.grow()
    tree.hang()
    for _ in range(most_pivots):
        loose = tree.find_loose()
        if loose is None:
            break
        tree.exchange(loose)
    lowest = min(tree.level)
    return [level - lowest for level in tree.level]


def longest_path(count: int, edges: Sequence[Edge]) -> list[int]:
    """The lowest levels, from 0 up, that keep every least length. The edges must be acyclic."""
    outgoing: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for number, (tail, head, _, _) in enumerate(edges):
        outgoing[tail].append(number)
        waiting[head] += 1
    level = [0] * count
    ready = [node for node in range(count) if not waiting[node]]
    for node in ready:
        for number in outgoing[node]:
            _, head, length, _ = edges[number]
            level[head] = max(level[head], level[node] + length)
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    if len(ready) != count:
        raise ValueError("the edges form a cycle")
    return level


class _Tree:
    """A spanning tree of tight edges, rooted at node 0.

    branches    for each node the tree edges at it
    link        for each node the tree edge that it hangs by
    parent      the node at that edge's other end, -1 for the root
    pull        net weight of the edges that leave the node's subtree: what moving it one level down would save.
                (Edges within the subtree cancel, so it is a plain sum of `tail - head` weights over the subtree.)
    """

    def __init__(self, count: int, edges: Sequence[Edge]) -> None:
        self.count = count
        self.edges = edges
        self.level = longest_path(count, edges)
        self.around: list[list[int]] = [[] for _ in range(count)]
        self.pull = [0] * count
        for number, (tail, head, _, weight) in enumerate(edges):
            self.around[tail].append(number)
            self.around[head].append(number)
            self.pull[tail] += weight
            self.pull[head] -= weight
        self.branches: list[list[int]] = [[] for _ in range(count)]
        self.link = [-1] * count
        self.parent = [-1] * count
        self._mark = [0] * count
        self._round = 0
        self._next = 1

    def grow(self) -> None:
        """Shift the part already spanned until one more edge is tight and take that in, until all nodes are spanned."""
        level = self.level
        spanned = [False] * self.count
        members: list[int] = []
        frontier: list[int] = []
        self._span(0, spanned, members, frontier)
        while len(members) < self.count:
            frontier = [n for n in frontier if spanned[self.edges[n][0]] != spanned[self.edges[n][1]]]
            if not frontier:
                raise ValueError("the edges do not hold all nodes together")
            best = min(frontier, key=self._slack)
            tail, head, _, _ = self.edges[best]
            shift = self._slack(best) if spanned[tail] else -self._slack(best)
            for node in members:
                level[node] += shift
            self.branches[tail].append(best)
            self.branches[head].append(best)
            self._span(head if spanned[tail] else tail, spanned, members, frontier)

    def _span(self, start: int, spanned: list[bool], members: list[int], frontier: list[int]) -> None:
        """Take in `start` and all that hangs on it by tight edges; other edges that lead out join the frontier."""
        spanned[start] = True
        queue = [start]
        for node in queue:
            for number in self.around[node]:
                other = self._other(number, node)
                if spanned[other]:
                    continue
                if self._slack(number):
                    frontier.append(number)
                    continue
                spanned[other] = True
                self.branches[node].append(number)
                self.branches[other].append(number)
                queue.append(other)
        members.extend(queue)

    def _slack(self, number: int) -> int:
        tail, head, length, _ = self.edges[number]
        return self.level[head] - self.level[tail] - length

    def _other(self, number: int, node: int) -> int:
        tail, head, _, _ = self.edges[number]
        return head if tail == node else tail

    def hang(self) -> None:
        """Root the tree at node 0 and add up each subtree's pull."""
        for node in reversed(self._hang_below(0)):
            if self.parent[node] >= 0:
                self.pull[self.parent[node]] += self.pull[node]

    def _hang_below(self, root: int) -> list[int]:
        """Set `link` and `parent` in what hangs below `root`, whose own are set; returns it, parents first."""
        order = [root]
        for node in order:
            for number in self.branches[node]:
                if number != self.link[node]:
                    child = self._other(number, node)
                    self.link[child], self.parent[child] = number, node
                    order.append(child)
        return order

    def find_loose(self) -> int | None:
        """A node whose link may give way and make the whole shorter, looked for round robin, or None at the optimum."""
        for step in range(self.count):
            node = (self._next + step) % self.count
            number = self.link[node]
            if number < 0:
                continue
            pull = self.pull[node]
            if (pull < 0) if self.edges[number][0] == node else (pull > 0):
                self._next = node + 1
                return node
        return None

    def exchange(self, loose: int) -> None:
        """Cut `loose` with its subtree off, move it as far as its pull takes it, and hang it where it got stuck."""
        leaving = self.link[loose]
        subtree = self._subtree(loose)
        self._round += 1
        for node in subtree:
            self._mark[node] = self._round
        downwards = self.pull[loose] > 0
        entering = min(self._stops(subtree, downwards), key=self._slack)
        shift = self._slack(entering) if downwards else -self._slack(entering)
        if shift:
            for node in subtree:
                self.level[node] += shift
        tail, head, _, _ = self.edges[entering]
        self._rehang(loose, *((tail, head) if downwards else (head, tail)), leaving, entering)

    def _subtree(self, root: int) -> list[int]:
        nodes = [root]
        for node in nodes:
            link = self.link[node]
            for number in self.branches[node]:
                if number != link:
                    nodes.append(self._other(number, node))
        return nodes

    def _stops(self, subtree: list[int], downwards: bool) -> list[int]:
        """The edges that would stop the marked subtree on its way."""
        mark, current, edges = self._mark, self._round, self.edges
        near, far = (0, 1) if downwards else (1, 0)
        return [
            number
            for node in subtree
            for number in self.around[node]
            if edges[number][near] == node and mark[edges[number][far]] != current
        ]

    def _rehang(self, loose: int, inside: int, outside: int, leaving: int, entering: int) -> None:
        """Hang the subtree of `loose` by its node `inside` from `outside`, and correct the pulls on the way."""
        whole = self.pull[loose]
        above = self.parent[loose]
        # Above the point where the two ways meet, the corrections cancel.
        for node, change in ((above, -whole), (outside, whole)):
            while node >= 0:
                self.pull[node] += change
                node = self.parent[node]
        node, below = inside, 0
        while True:
            self.pull[node], below = whole - below, self.pull[node]
            if node == loose:
                break
            node = self.parent[node]
        self.branches[loose].remove(leaving)
        self.branches[above].remove(leaving)
        self.branches[inside].append(entering)
        self.branches[outside].append(entering)
        self.link[inside], self.parent[inside] = entering, outside
        self._hang_below(inside)
