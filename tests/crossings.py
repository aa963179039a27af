"""Crossings: in how many places of a drawing one wire runs across another, in ours and in Graphviz's alike.

Every curve is taken as the straight lines between points on it, sixteen to a Bézier piece. Places that lie within a
pixel of each other are one: where a wire crosses several that run as one line, the eye sees one crossing. Wires that
share a box may run together, part and meet there; only where both run on to either side of a point do they cross.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gradviz.layout.check import polyline
from gradviz.layout.drawing import Drawing, Point

_STEPS = 16
_CELL = 96.0
_HAIR = 1e-6
_POINTS_PER_INCH = 72


@dataclass(frozen=True)
class Curve:
    """A wire as the points along it, and the names of the boxes that it joins."""

    tail: str
    head: str
    points: Sequence[Point]


def of_drawing(drawing: Drawing) -> int:
    """The crossings in a drawing of ours."""
    return count([Curve(wire.wire.tail, wire.wire.head, polyline(wire)) for wire in drawing.wires])


def of_plain(text: str) -> int:
    """The crossings in what `dot -Tplain` wrote."""
    return count([curve for line in text.splitlines() if (curve := _edge(line)) is not None])


def size_of_plain(text: str) -> tuple[float, float]:
    """Width and height of what `dot -Tplain` wrote, in points."""
    _, _, width, height = text.split(maxsplit=4)[:4]
    return float(width) * _POINTS_PER_INCH, float(height) * _POINTS_PER_INCH


def _edge(line: str) -> Curve | None:
    """`edge tail head n x1 y1 .. xn yn`: a start, and three control points for every Bézier piece after it."""
    words = line.split()
    if not words or words[0] != "edge":
        return None
    numbers = [float(word) * _POINTS_PER_INCH for word in words[4 : 4 + 2 * int(words[3])]]
    controls = list(zip(numbers[::2], numbers[1::2], strict=True))
    points = controls[:1]
    for at in range(0, len(controls) - 1, 3):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = controls[at : at + 4]
        for step in range(1, _STEPS + 1):
            t = step / _STEPS
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            points.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return Curve(words[1], words[2], points)


def count(curves: Sequence[Curve]) -> int:
    """In how many places curves cross."""
    lines = [(*begin, *end, number) for number, curve in enumerate(curves) for begin, end in pairwise(curve.points)]
    squares: dict[tuple[int, int], list[int]] = {}
    for line, (x0, y0, x1, y1, _) in enumerate(lines):
        for column in range(int(min(x0, x1) // _CELL), int(max(x0, x1) // _CELL) + 1):
            for row in range(int(min(y0, y1) // _CELL), int(max(y0, y1) // _CELL) + 1):
                squares.setdefault((column, row), []).append(line)
    places: set[tuple[int, int]] = set()
    for found in squares.values():
        for place in _places(curves, [lines[line] for line in found]):
            places.add((round(place[0]), round(place[1])))
    return len(places)


def _places(curves: Sequence[Curve], lines: list[tuple[float, float, float, float, int]]) -> Iterator[Point]:
    """Where the straight lines in one square of the grid cross, those of one curve left out."""
    for at, (ax, ay, bx, by, one) in enumerate(lines):
        low, high, top, bottom = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
        for cx, cy, dx, dy, two in lines[at + 1 :]:
            if one == two or max(cx, dx) < low or high < min(cx, dx) or max(cy, dy) < top or bottom < min(cy, dy):
                continue
            across = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
            if abs(across) < _HAIR:
                continue
            t = ((cx - ax) * (dy - cy) - (cy - ay) * (dx - cx)) / across
            u = ((cx - ax) * (by - ay) - (cy - ay) * (bx - ax)) / across
            first, second = curves[one], curves[two]
            if first.tail == second.tail or first.head == second.head or first.tail == second.head or (
                first.head == second.tail
            ):
                crosses = _HAIR < t < 1 - _HAIR and _HAIR < u < 1 - _HAIR
            else:
                crosses = 0 <= t < 1 and 0 <= u < 1
            if crosses:
                yield ax + t * (bx - ax), ay + t * (by - ay)
