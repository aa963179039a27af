"""The drawing: what layout hands to a view, every box, wire and frame of a picture with its place in pixels.

x grows to the right, y downwards, and (0, 0) is the drawing's upper left corner, whichever way the data flows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, TypeAlias, TypeVar

from gradviz.picture.records import Box, Frame, Picture, Wire

Direction: TypeAlias = Literal["TB", "LR"]
Point: TypeAlias = tuple[float, float]
Piece: TypeAlias = tuple[Point, ...]
"""One stretch of a path: one point ends a straight line; three are a cubic Bézier's two controls and its end."""


MODULE_KINDS = ("module", "scope", "loop")
"""Kinds of frames that stand for a module's scope or a loop, not for a grad-mode region."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """An upright rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of its lower edge."""
        return self.y + self.height

    def overlaps(self, other: Rectangle) -> bool:
        """Whether the two share more than an edge."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def contains(self, other: Rectangle) -> bool:
        """Whether `other` lies in it, edges included."""
        return self.x <= other.x and other.right <= self.right and self.y <= other.y and other.bottom <= self.bottom


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """A box, where it lies, its one or two lines of text, clipped to what fits, and where its tags lie."""

    box: Box
    area: Rectangle
    title: str
    detail: str
    tags: tuple[Rectangle, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutedWire:
    """A wire's path from its tail's edge to its head's; `label_area` is where its label is written, if it has one.

    A large drawing has many, so a path is flat: a letter for each of its steps, as SVG has them, and the numbers that
    these take.

    steps    `V` leads straight to another y, `H` to another x, `C` is a cubic Bézier
    numbers  x and y of the start; then that y, that x, or the x and y of two controls and of the end
    """

    wire: Wire
    steps: str
    numbers: tuple[float, ...]
    label: str = ""
    label_area: Rectangle | None = None

    @property
    def start(self) -> Point:
        """The point at which it leaves its tail."""
        return self.numbers[0], self.numbers[1]

    @property
    def end(self) -> Point:
        """The point at which it meets its head."""
        return self.pieces[-1][-1]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The path's stretches."""
        x, y, *rest = self.numbers
        numbers = iter(rest)
        found: list[Piece] = []
        for step in self.steps:
            if step == "C":
                piece = tuple([(next(numbers), next(numbers)) for _ in range(3)])
            else:
                piece = ((next(numbers), y) if step == "H" else (x, next(numbers)),)
            found.append(piece)
            x, y = piece[-1]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """A frame's border, the tab that sits on it and where its tags lie; `title` is the tab's text, clipped to fit."""

    frame: Frame
    area: Rectangle
    tab: Rectangle
    title: str
    tags: tuple[Rectangle, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture with places. Boxes, wires and frames are in its order; frames that hold no box are left out."""

    picture: Picture
    direction: Direction
    boxes: tuple[PlacedBox, ...]
    wires: tuple[RoutedWire, ...]
    frames: tuple[PlacedFrame, ...]
    width: float
    height: float


Record = TypeVar("Record")


def records(kind: type[Record], count: int, *columns: Iterable[object]) -> list[Record]:
    """`count` records of a kind from a column of values for each of its fields.

    A large drawing has hundreds of thousands, and a frozen record that sets its own fields takes twice as long.
    """
    found = [*map(kind.__new__, repeat(kind, count))]
    names: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]
    for name, column in zip(names, columns, strict=True):
        deque(map(getattr(kind, name).__set__, found, column), maxlen=0)
    return found
