"""The main road: the chain of boxes that the eye should be able to follow straight through the drawing."""

from __future__ import annotations

from collections.abc import Sequence


def main_road(count: int, links: Sequence[tuple[int, int, int]]) -> list[int]:
    """The boxes on the heaviest chain of links, first to last. `links` are tail, head, weight, and acyclic."""
    outgoing: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    waiting = [0] * count
    for tail, head, weight in links:
        outgoing[tail].append((head, weight))
        waiting[head] += 1
    best = [0] * count
    before = [-1] * count
    ready = [box for box in range(count) if not waiting[box]]
    for box in ready:
        for head, weight in outgoing[box]:
            reached = best[box] + weight
            if reached > best[head]:
                best[head], before[head] = reached, box
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    box = max(range(count), key=lambda box: (best[box], -box))
    road = []
    while box >= 0:
        road.append(box)
        box = before[box]
    return road[::-1]
