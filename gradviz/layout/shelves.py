"""Shelves: rectangles beside and below each other, so that the whole of them is small and not too narrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = 48
_ASPECT = 1.5
_WIDENINGS = 8

Size = tuple[float, float]
"""Width and height."""


@dataclass(frozen=True, slots=True)
class Shelves:
    """The upper left corner of each rectangle, in their order, and the size of the whole."""

    corners: list[tuple[float, float]]
    width: float
    height: float

    @property
    def cost(self) -> tuple[float, float]:
        """The wide side is what a screen has more room for."""
        return max(self.width, _ASPECT * self.height), self.width * self.height


def shelve(sizes: Sequence[Size]) -> Shelves:
    """Rectangles in rows one below the other; or the largest by itself, and the rest in rows below it or beside it."""
    if not sizes:
        return Shelves([], 0.0, 0.0)
    area = sum((width + _GAP) * (height + _GAP) for width, height in sizes)
    found = [_rows(sizes, max(max(width for width, _ in sizes), math.sqrt(area) * _ASPECT))]
    if len(sizes) > 2:
        largest = max(range(len(sizes)), key=lambda number: (sizes[number][0] * sizes[number][1], -number))
        found += [_with_rest(sizes, largest, beside=beside) for beside in (False, True)]
    return min(found, key=lambda shelves: shelves.cost)


def _rows(sizes: Sequence[Size], most: float) -> Shelves:
    """All in their order, in rows of at most a certain width."""
    corners = []
    x = y = row = breadth = 0.0
    for width, height in sizes:
        if x and x + width > most:
            x, y, row = 0.0, y + row + _GAP, 0.0
        corners.append((x, y))
        breadth, row = max(breadth, x + width), max(row, height)
        x += width + _GAP
    return Shelves(corners, breadth, y + row)


def _with_rest(sizes: Sequence[Size], largest: int, *, beside: bool) -> Shelves:
    """The largest first, and the others below it in rows as wide as it is, or beside it in few that are as high."""
    width, height = sizes[largest]
    others = [size for number, size in enumerate(sizes) if number != largest]
    widest = max(other for other, _ in others)
    rest = _rows(others, widest if beside else max(width, widest))
    for times in range(2, _WIDENINGS) if beside else ():
        if rest.height > height:
            rest = _rows(others, times * (widest + _GAP))
    x, y = (width + _GAP, 0.0) if beside else (0.0, height + _GAP)
    corners = [(left + x, top + y) for left, top in rest.corners]
    corners.insert(largest, (0.0, 0.0))
    return Shelves(corners, max(width, x + rest.width), max(height, y + rest.height))
