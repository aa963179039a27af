"""Ranks: which row each box goes to, so that data flows one way and wires are short.

Exact (network simplex) while the picture is small; beyond that longest paths, with every box that nothing holds back
pulled down to its first use. Either way frames keep apart from what leads into them and out of them, where that closes
no cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gradviz.layout.simplex import Edge, longest_path, solve

SMALL = 600
"""Up to so many boxes the exact way is taken."""

_TOP = 1          # weight of the wish to start at the top
_FRAME = 4        # weight of the wish that a frame spans few rows
_WIRE = 16        # times a wire's own weight
_OUTPUT_SLACK = 4
_GROUPS_WITH_DOORS = 60


@dataclass(frozen=True, slots=True)
class Link:
    """A wire as ranks see it: from one box to another, by position, and how much its length matters."""

    tail: int
    head: int
    weight: int


@dataclass(frozen=True, slots=True)
class Group:
    """A frame as ranks see it: its boxes, and whether it is a module, which everything enters from above."""

    boxes: Sequence[int]
    is_module: bool


def acyclic(count: int, links: Sequence[Link]) -> list[Link]:
    """The links, those turned round that would close a cycle. A log is acyclic; this keeps a damaged one drawable."""
    outgoing: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        outgoing[link.tail].append(link.head)
    # Post-order of a depth-first walk: a link whose head finishes after its tail runs backwards.
    finish = [-1] * count
    seen = [False] * count
    clock = 0
    for root in range(count):
        if seen[root]:
            continue
        seen[root] = True
        stack = [(root, iter(outgoing[root]))]
        while stack:
            node, heads = stack[-1]
            for head in heads:
                if not seen[head]:
                    seen[head] = True
                    stack.append((head, iter(outgoing[head])))
                    break
            else:
                finish[node] = clock
                clock += 1
                stack.pop()
    return [
        link if finish[link.head] < finish[link.tail] else Link(link.head, link.tail, link.weight) for link in links
    ]


def ranks(count: int, links: Sequence[Link], groups: Sequence[Group], sinks: Sequence[int]) -> list[int]:
    """Rank of each box, from 0. `links` are acyclic; `groups` are the frames; `sinks` want the last rank."""
    if not count:
        return []
    found = _exact(count, links, groups) if count <= SMALL else _quick(count, links, groups)
    last = max(found)
    for box in sinks:
        if last - found[box] <= _OUTPUT_SLACK:
            found[box] = last
    return found


def _exact(count: int, links: Sequence[Link], groups: Sequence[Group]) -> list[int]:
    """Ranks by network simplex. Beside the boxes the problem has a top, and each frame's first and last row."""
    edges: list[Edge] = [(link.tail, link.head, 1, _WIRE * link.weight) for link in links]
    fed = {link.head for link in links}
    top = count
    edges += [(top, box, 0, _TOP) for box in range(count) if box not in fed]
    nodes = count + 1
    doors = _doors(count, links, groups, nodes) if len(groups) <= _GROUPS_WITH_DOORS else [[] for _ in groups]
    spans = [_span(group, nodes + 2 * number) for number, group in enumerate(groups)]
    every = nodes + 2 * len(groups)
    fit = _is_acyclic(every, [*edges, *(edge for parts in (spans, doors) for part in parts for edge in part)])
    for span, own in zip(spans, doors, strict=True):
        edges += span
        # Where doors close a cycle, they are tried one frame after the other.
        if fit or (own and _is_acyclic(every, edges + own)):
            edges += own
    nodes = every
    levels = solve(nodes, edges)
    _even_out(levels, count, edges)
    lowest = min(levels[:count])
    return [level - lowest for level in levels[:count]]


def _span(group: Group, first: int) -> list[Edge]:
    """Edges that hold a frame's boxes between the nodes of its first row, `first`, and of its last, the next one."""
    last = first + 1
    edges = [(first, box, 0, 0) for box in group.boxes]
    edges += [(box, last, 0, 0) for box in group.boxes]
    edges.append((first, last, 0, _FRAME))
    return edges


def _doors(count: int, links: Sequence[Link], groups: Sequence[Group], nodes: int) -> list[list[Edge]]:
    """For each frame edges that make wires enter through its first row and leave through its last, not at its sides.

    `nodes` is the node of the first frame's first row; two nodes a frame. A leaf may stand beside a region: an update
    under `no_grad` would else drag all parameters to the top.
    """
    around: list[list[int]] = [[] for _ in range(count)]
    for number, group in enumerate(groups):
        for box in group.boxes:
            around[box].append(number)
    fed = {link.head for link in links}
    enter: list[set[int]] = [set() for _ in groups]
    leave: list[set[int]] = [set() for _ in groups]
    for link in links:
        tail_in, head_in = around[link.tail], around[link.head]
        if tail_in == head_in:
            continue
        for number in head_in:
            if number not in tail_in and (groups[number].is_module or link.tail in fed):
                enter[number].add(link.tail)
        for number in tail_in:
            if number not in head_in:
                leave[number].add(link.head)
    return [
        [(box, nodes + 2 * number, 1, 0) for box in sorted(enter[number])]
        + [(nodes + 2 * number + 1, box, 1, 0) for box in sorted(leave[number])]
        for number in range(len(groups))
    ]


def _is_acyclic(count: int, edges: Sequence[Edge]) -> bool:
    try:
        longest_path(count, edges)
    except ValueError:
        return False
    return True


def _even_out(levels: list[int], count: int, edges: Sequence[Edge]) -> None:
    """Boxes that are as well off on several levels move to the emptiest of them, or to the middle one."""
    incoming: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    outgoing: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    pull = [0] * count
    for tail, head, length, weight in edges:
        if tail < count:
            outgoing[tail].append((head, length))
            pull[tail] += weight
        if head < count:
            incoming[head].append((tail, length))
            pull[head] -= weight
    crowd = Counter(levels[:count])
    for box in range(count):
        if pull[box] or not incoming[box] or not outgoing[box]:
            continue
        low = max(levels[tail] + length for tail, length in incoming[box])
        high = min(levels[head] - length for head, length in outgoing[box])
        crowd[levels[box]] -= 1
        middle = (low + high) / 2
        levels[box] = min(range(low, high + 1), key=lambda level: (crowd[level], abs(level - middle), level))
        crowd[levels[box]] += 1


def _quick(count: int, links: Sequence[Link], groups: Sequence[Group]) -> list[int]:
    """Ranks by longest paths. Frames have doors all or none."""
    edges: list[Edge] = [(link.tail, link.head, 1, 0) for link in links]
    for number, group in enumerate(groups):
        edges += _span(group, count + 2 * number)
    nodes = count + 2 * len(groups)
    doors = [edge for own in _doors(count, links, groups, count) for edge in own]
    try:
        found = longest_path(nodes, edges + doors)
        edges += doors
    except ValueError:
        found = longest_path(nodes, edges)
    pull = [0] * count
    for link in links:
        pull[link.tail] += link.weight
        pull[link.head] -= link.weight
    below: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for tail, head, length, _ in edges:
        if tail < count and pull[tail] > 0:
            below[tail].append((head, length))
    for box in sorted(range(count), key=lambda box: -found[box]):
        if below[box]:
            found[box] = min([found[head] - length for head, length in below[box]])
    # Rows that boxes have left are taken out.
    used = {level: rank for rank, level in enumerate(sorted(set(found[:count])))}
    return [used[level] for level in found[:count]]
