"""Strands: a part's wires as layout sees them, in columns, and turned so that they form no cycle.

Columns of numbers instead of a record a wire: a large picture has hundreds of thousands, and the garbage collector
would visit each of those records again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import lt


@dataclass(frozen=True, slots=True)
class Strands:
    """Wires by number, from cell to cell in the direction of the flow.

    tails, heads
                the cells at the ends
    weights     how much a wire's length, or a kink in it, would hurt
    ducts       whom it may run with: long wires of one duct share their bends
    labels      strand -> the size of its label across and along
    marked      whether a mark must fit before its head
    by_head     the strands in an order in which whatever leads into a cell comes before what leads out of it
    """

    tails: list[int]
    heads: list[int]
    weights: list[int]
    ducts: Sequence[int]
    labels: dict[int, tuple[int, int]] = field(default_factory=dict)
    marked: Sequence[bool] = ()
    by_head: Sequence[int] = ()

    def ends(self) -> Iterator[tuple[int, int]]:
        """Tail and head of each strand."""
        return zip(self.tails, self.heads, strict=True)


def turn_round(count: int, tails: list[int], heads: list[int]) -> tuple[list[bool], list[int]]:
    """Turn those of the wires round, in place, that would close a cycle among `count` cells.

    Returns for each wire whether it was turned, and an order as `Strands.by_head` has it. A log is acyclic, and its
    boxes mostly stand in the order of the flow; this keeps a damaged one drawable.
    """
    if all(map(lt, tails, heads)):
        return [False] * len(tails), _by_head(count, tails, heads, range(count))
    finish = _finishes(count, tails, heads)
    # A wire whose head finishes after its tail runs backwards.
    turned = [finish[tail] < finish[head] for tail, head in zip(tails, heads, strict=True)]
    for number, turns in enumerate(turned):
        if turns:
            tails[number], heads[number] = heads[number], tails[number]
    return turned, _by_head(count, tails, heads, [-clock for clock in finish])


def _by_head(count: int, tails: Sequence[int], heads: Sequence[int], place: Sequence[int]) -> list[int]:
    """The wires by the places of their heads, and those to one head by their tails."""
    keys = [place[head] * count + tail for tail, head in zip(tails, heads, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _finishes(count: int, tails: Sequence[int], heads: Sequence[int]) -> list[int]:
    """For each cell when a depth-first walk is done with it."""
    outgoing: list[list[int]] = [[] for _ in range(count)]
    for tail, head in zip(tails, heads, strict=True):
        outgoing[tail].append(head)
    finish = [-1] * count
    seen = [False] * count
    clock = 0
    for root in range(count):
        if seen[root]:
            continue
        seen[root] = True
        stack = [(root, iter(outgoing[root]))]
        while stack:
            cell, ahead = stack[-1]
            for head in ahead:
                if not seen[head]:
                    seen[head] = True
                    stack.append((head, iter(outgoing[head])))
                    break
            else:
                finish[cell] = clock
                clock += 1
                stack.pop()
    return finish
