"""The main road: the chain of boxes that the eye should be able to follow straight through the drawing."""

from __future__ import annotations

from collections.abc import Sequence

from gradviz.layout.strands import Strands


def main_road(count: int, strands: Strands, worth: Sequence[int]) -> list[int]:
    """The boxes on the chain of strands that is worth most, first to last."""
    tails, heads = strands.tails, strands.heads
    best = [0] * count
    before = [-1] * count
    for number in strands.by_head:
        tail, head = tails[number], heads[number]
        reached = best[tail] + worth[number]
        if reached > best[head]:
            best[head], before[head] = reached, tail
    box = best.index(max(best))
    road = []
    while box >= 0:
        road.append(box)
        box = before[box]
    return road[::-1]
