"""Outlines as steps with absolute points: the data of an SVG path, and rectangles, polygons and circles as paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Step: TypeAlias = tuple[str, tuple[Point, ...]]
"""`M` and `L` with one point, `C` with a cubic Bézier's two controls and its end, `Z` with none."""

_TOKEN = re.compile(r"[A-Za-z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TAKES = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "Z": 0}
_ROUND = 0.5523
"""Distance of the controls, in radii, at which a Bézier is a quarter of a circle."""


def read_path(data: str) -> list[Step]:
    """The steps of a path's data. Raises `ValueError` for a letter that the SVG view does not write."""
    steps: list[Step] = []
    tokens: list[str] = _TOKEN.findall(data)
    x = y = 0.0
    start = (0.0, 0.0)
    letter = ""
    at = 0
    while at < len(tokens):
        if tokens[at].isalpha():
            letter = tokens[at]
            at += 1
        elif letter.upper() == "M":  # more points after a move are lines
            letter = "L" if letter == "M" else "l"
        kind = letter.upper()
        if kind not in _TAKES:
            raise ValueError(f"the SVG view writes no path with `{letter}`")
        numbers = [float(token) for token in tokens[at : at + _TAKES[kind]]]
        at += _TAKES[kind]
        if letter.islower():
            before = {"H": [x], "V": [y]}.get(kind, [x, y] * 3)
            numbers = [number + base for number, base in zip(numbers, before, strict=False)]
        if kind == "Z":
            steps.append(("Z", ()))
            x, y = start
            continue
        if kind == "H":
            numbers = [numbers[0], y]
        elif kind == "V":
            numbers = [x, numbers[0]]
        points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        x, y = points[-1]
        if kind == "M":
            start = x, y
        steps.append((kind if kind in "MC" else "L", points))
    return steps


def polygon(numbers: Sequence[float]) -> list[Step]:
    """A closed line through the points whose x and y are in turn in `numbers`."""
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    return [("M", (points[0],)), *(("L", (point,)) for point in points[1:]), ("Z", ())]


def rounded(x: float, y: float, width: float, height: float, radius: float) -> list[Step]:
    """An upright rectangle; its corners have `radius`, or half a side where that is less."""
    right, bottom = x + width, y + height
    across, down = min(radius, width / 2), min(radius, height / 2)
    if not across or not down:
        return polygon((x, y, right, y, right, bottom, x, bottom))
    i, j = across * (1 - _ROUND), down * (1 - _ROUND)
    return [
        ("M", ((x + across, y),)),
        ("L", ((right - across, y),)),
        ("C", ((right - i, y), (right, y + j), (right, y + down))),
        ("L", ((right, bottom - down),)),
        ("C", ((right, bottom - j), (right - i, bottom), (right - across, bottom))),
        ("L", ((x + across, bottom),)),
        ("C", ((x + i, bottom), (x, bottom - j), (x, bottom - down))),
        ("L", ((x, y + down),)),
        ("C", ((x, y + j), (x + i, y), (x + across, y))),
        ("Z", ()),
    ]


def circle(x: float, y: float, radius: float) -> list[Step]:
    """A circle around a point."""
    return rounded(x - radius, y - radius, 2 * radius, 2 * radius, radius)
