"""The marks of an SVG: escaped text, outlines and lines of boxes, the scissors and the cross."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TypeVar

from gradviz.layout.drawing import MODULE_KINDS, PlacedBox, PlacedFrame, Rectangle
from gradviz.layout.measure import BADGE_AXIS, DETAIL_SIZE, TITLE_SIZE, is_plain, text_width
from gradviz.layout.tags import box_room, text_area
from gradviz.picture.records import BoxKind

BOX_CLASS = {
    BoxKind.LEAF: "leaf",
    BoxKind.CONST: "const",
    BoxKind.OP: "op",
    BoxKind.OFF: "off",
    BoxKind.OUTPUT: "out",
    BoxKind.RESULT: "res",
    BoxKind.OFF_OUTPUT: "offo",
    BoxKind.CUT: "cut",
    BoxKind.EXIT: "exit",
    BoxKind.ERROR: "err",
    BoxKind.SAVED: "saved",
    BoxKind.MORE: "more",
}
_ENDS = frozenset({BoxKind.OUTPUT, BoxKind.RESULT, BoxKind.OFF_OUTPUT})
_CORNER = {BoxKind.LEAF: 12, BoxKind.CUT: 15, BoxKind.CONST: 3, **dict.fromkeys(_ENDS, 7)}
_ANGULAR = frozenset({BoxKind.EXIT, BoxKind.ERROR, BoxKind.SAVED})
_FONTS = {"h": ("bold", 15), "t": ("bold", DETAIL_SIZE), "k": ("sans", DETAIL_SIZE), "s": ("sans", DETAIL_SIZE)}
_FONTS |= {"ct": ("bold", TITLE_SIZE), "": ("mono", TITLE_SIZE), "fh": ("bold", TITLE_SIZE), "fi": ("sans", TITLE_SIZE)}


FOLD_CUT = 8
"""Radius of the scissors at the corner of a box that holds cuts."""

_BAR = 5


def escape(text: str) -> str:
    """Text as XML content. What XML cannot hold at all must have been replaced before."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


Key = TypeVar("Key")


class Known(dict[Key, str]):
    """What `make` writes of each key; in a drawing, few occur only once. It begins anew with more than `most`."""

    def __init__(self, make: Callable[[Key], str], most: int = 4096) -> None:
        super().__init__()
        self._make = make
        self._most = most

    def __missing__(self, key: Key) -> str:
        if len(self) >= self._most:
            self.clear()
        written = self[key] = self._make(key)
        return written


def _written(value: float) -> str:
    whole = int(value)
    return str(whole) if whole == value else f"{value:.1f}".removesuffix(".0")


number: Callable[[float], str] = Known(_written, 100_000).__getitem__
"""A length with at most one decimal, and none where none is needed."""


def text(x: float, y: float, words: str, style: str = "", middle: bool = False) -> str:
    """One line of text."""
    return f'<text x="{number(x)}" y="{number(y)}"{end_of_text(words, style, middle)}</text>' if words else ""


def end_of_text(words: str, style: str, middle: bool = False) -> str:
    """The end of a text's opening tag, and its words.

    A width is given where its characters are not in our metrics, so that no font breaks out.
    """
    classes = " ".join(filter(None, ("m" if middle else "", style)))
    fit = f' class="{classes}"' if classes else ""
    if not is_plain(words):
        fitted = text_width(words, *_FONTS[style.partition(" ")[0]])
        fit += f' textLength="{number(fitted)}" lengthAdjust="spacingAndGlyphs"'
    return f"{fit}>{escape(words)}"


def rectangle(area: Rectangle, corner: float, style: str = "") -> str:
    """An upright rectangle."""
    mark = f'class="{style}" ' if style else ""
    return (
        f'<rect {mark}x="{number(area.x)}" y="{number(area.y)}" width="{number(area.width)}" '
        f'height="{number(area.height)}" rx="{number(corner)}"/>'
    )


def corner_of(kind: BoxKind, height: float) -> float:
    """The radius of a box's corners."""
    return min(_CORNER.get(kind, 6), height / 2)


def outline(kind: BoxKind, area: Rectangle) -> str:
    """The shape of a box. Each kind that colour tells apart has a shape, a dash or a second line of its own."""
    if kind not in _ANGULAR:
        corner = corner_of(kind, area.height)
        shape = rectangle(area, corner)
        if kind in _ENDS:
            inset = 3 if area.height > 20 else 2
            inner = Rectangle(area.x + inset, area.y + inset, area.width - 2 * inset, area.height - 2 * inset)
            shape += rectangle(inner, max(corner - inset, 1), "in")
        return shape
    x, y, right, bottom = area.x, area.y, area.right, area.bottom
    middle = (y + bottom) / 2
    if kind is BoxKind.EXIT:
        slope = min(9.0, area.height / 3)
        points = (x + slope, y, right - slope, y, right, middle, right - slope, bottom, x + slope, bottom, x, middle)
        return _polygon(points)
    if kind is BoxKind.ERROR:
        cut = min(8.0, area.height / 3)
        points = (x + cut, y, right - cut, y, right, y + cut, right, bottom - cut, right - cut, bottom, x + cut, bottom)
        return _polygon((*points, x, bottom - cut, x, y + cut))
    fold = min(8.0, area.height / 3)
    page = _polygon((x, y, right - fold, y, right, y + fold, right, bottom, x, bottom))
    return page + _polygon((right - fold, y, right - fold, y + fold, right, y + fold))


def fold_bars(area: Rectangle, kind: BoxKind) -> str:
    """What tells a box of many from a box of one: a bar at either side, as flowcharts mark a subprocess."""
    corner = corner_of(kind, area.height)
    inset = corner - sqrt(corner**2 - (corner - _BAR) ** 2) if corner > _BAR else 0  # where the corner is round
    left, right, top, bottom = area.x + _BAR, area.right - _BAR, area.y + inset, area.bottom - inset
    way = f"M{number(left)} {number(top)}V{number(bottom)}M{number(right)} {number(top)}V{number(bottom)}"
    return f'<path class="sub" d="{way}"/>'


def _polygon(points: tuple[float, ...]) -> str:
    pairs = " ".join(f"{number(x)},{number(y)}" for x, y in zip(points[::2], points[1::2], strict=True))
    return f'<polygon class="e" points="{pairs}"/>'


def cross_at(x: float, y: float) -> str:
    """A cross on a disc around a point."""
    at = f"{number(x)} {number(y)}"
    return f'<g class="lost" transform="translate({at})"><circle class="dot" r="7"/><path d="M-3-3 3 3M-3 3 3-3"/></g>'


def scissors(x: float, y: float, radius: float) -> str:
    """The mark of a cut: open scissors on a disc, drawn and not typed, since few fonts have the sign."""
    scale = "" if radius == BADGE_AXIS else f" scale({number(radius / BADGE_AXIS)})"
    return (
        f'<g transform="translate({number(x)} {number(y)}){scale}"><circle class="dot" r="{BADGE_AXIS}"/>'
        '<path class="sn" d="M-3.1 3.4 3.6-8M3.1 3.4-3.6-8"/><circle class="sn" cx="-4.2" cy="5.6" r="2.6"/>'
        '<circle class="sn" cx="4.2" cy="5.6" r="2.6"/></g>'
    )


def hook(x: float, y: float) -> str:
    """The mark of a hook on a gradient: a hook on a disc, drawn for the same reason."""
    at = f"{number(x)} {number(y)}"
    return f'<g class="hk" transform="translate({at})"><circle r="8"/><path d="M2-4.5V1C2 5-3.5 5-3.5 1V-.5"/></g>'


def is_module(placed: PlacedFrame) -> bool:
    """Whether a frame stands for a module's scope, not for a grad-mode region."""
    return placed.frame.kind in MODULE_KINDS


def box_text(placed: PlacedBox) -> str:
    """The one or two lines of a box."""
    area = placed.area
    middle = area.y + area.height / 2
    if placed.box.kind is BoxKind.CUT:  # its tags lie behind the text
        x = area.x + 2 * BADGE_AXIS + 5
        first = middle + 4 - (7 if placed.detail else 0)
        return text(x, first, placed.title, "ct") + text(x, first + 15, placed.detail, "k")
    free = text_area(area, box_room(placed.box)) if placed.tags else area
    x = free.x + free.width / 2
    style = "ct" if placed.box.kind is BoxKind.ERROR else ""
    title = text(x, middle - 3 if placed.detail else middle + 4, placed.title, style)
    return title + text(x, middle + 12, placed.detail, "k")
