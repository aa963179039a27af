"""Ranks: which row each box goes to, so that data flows one way and wires are short.

Exact (network simplex) while the picture is small; beyond that longest paths, with every box that nothing holds back
pulled down to its first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradviz.layout.simplex import Edge, longest_path, solve

SMALL = 300
"""Up to so many boxes the exact way is taken."""

_TOP = 1          # weight of the wish to start at the top
_FRAME = 4        # weight of the wish that a frame spans few rows
_WIRE = 16        # times a wire's own weight
_OUTPUT_SLACK = 4


@dataclass(frozen=True, slots=True)
class Link:
    """A wire as ranks see it: from one box to another, by position, and how much its length matters."""

    tail: int
    head: int
    weight: int


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


def ranks(count: int, links: Sequence[Link], frames: Sequence[Sequence[int]], sinks: Sequence[int]) -> list[int]:
    """Rank of each box, from 0. `links` are acyclic; `frames` lists each frame's boxes; `sinks` want the last rank."""
    if not count:
        return []
    found = _exact(count, links, frames) if count <= SMALL else _quick(count, links)
    last = max(found)
    for box in sinks:
        if last - found[box] <= _OUTPUT_SLACK:
            found[box] = last
    return found


def _exact(count: int, links: Sequence[Link], frames: Sequence[Sequence[int]]) -> list[int]:
    edges: list[Edge] = [(link.tail, link.head, 1, _WIRE * link.weight) for link in links]
    has_input = {link.head for link in links}
    root = count
    edges += [(root, box, 0, _TOP) for box in range(count) if box not in has_input]
    nodes = count + 1
    for boxes in frames:
        first, last = nodes, nodes + 1
        nodes += 2
        edges += [(first, box, 0, 0) for box in boxes]
        edges += [(box, last, 0, 0) for box in boxes]
        edges.append((first, last, 0, _FRAME))
    levels = solve(nodes, edges)[:count]
    lowest = min(levels)
    found = [level - lowest for level in levels]
    _even_out(found, links, frames)
    return found


def _even_out(found: list[int], links: Sequence[Link], frames: Sequence[Sequence[int]]) -> None:
    """Boxes that are as well off in several rows move to the emptiest of them, or to the middle one."""
    count = len(found)
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    pull = [0] * count
    for link in links:
        above[link.head].append(link.tail)
        below[link.tail].append(link.head)
        pull[link.head] -= link.weight
        pull[link.tail] += link.weight
    spans = [(-1, count)] * count
    for boxes in frames:
        first, last = min(found[box] for box in boxes), max(found[box] for box in boxes)
        for box in boxes:
            spans[box] = max(spans[box][0], first), min(spans[box][1], last)
    crowd = [0] * (max(found) + 1)
    for rank in found:
        crowd[rank] += 1
    for box in range(count):
        if pull[box] or not above[box] or not below[box]:
            continue
        low = max(max(found[other] for other in above[box]) + 1, spans[box][0])
        high = min(min(found[other] for other in below[box]) - 1, spans[box][1])
        crowd[found[box]] -= 1
        middle = (low + high) / 2
        found[box] = min(range(low, high + 1), key=lambda rank: (crowd[rank], abs(rank - middle), rank))
        crowd[found[box]] += 1


def _quick(count: int, links: Sequence[Link]) -> list[int]:
    found = longest_path(count, [(link.tail, link.head, 1, 1) for link in links])
    pull = [0] * count
    lowest_use = [-1] * count
    below: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        pull[link.tail] += link.weight
        pull[link.head] -= link.weight
        below[link.tail].append(link.head)
    for box in sorted(range(count), key=lambda box: -found[box]):
        if below[box] and pull[box] > 0:
            lowest_use[box] = min(found[other] for other in below[box]) - 1
            found[box] = lowest_use[box]
    return found
