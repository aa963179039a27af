"""Tags: the numbered plates that findings put on their culprits; how much room they take, and where they lie.

A box or a frame's tab holds its tags beside its text, so it is the wider for each. Sizes are in pixels.
"""

from __future__ import annotations

from gradviz.layout.drawing import Rectangle
from gradviz.picture.records import Box, BoxKind

TAG_SIZE = 22
TAG_GAP = 4
_TEXT_GAP = 6
_INSET = 8
_SLANTED_INSET = 14
_TAB_INSET = 3
_PADDING = 12
"""What a box leaves free beside its text; tags start within it."""

_SLANTED = (BoxKind.EXIT, BoxKind.ERROR)
"""Kinds whose ends are no upright lines."""


def box_room(box: Box) -> int:
    """How much wider a box is for its tags; an even number."""
    return _room(len(box.findings), _inset(box))


def tab_room(count: int) -> int:
    """How much wider a tab is for `count` tags; an even number."""
    return _room(count, _TAB_INSET)


def _room(count: int, inset: int) -> int:
    return count and 2 * ((inset + count * (TAG_SIZE + TAG_GAP) - TAG_GAP + _TEXT_GAP - _PADDING + 1) // 2)


def _inset(box: Box) -> int:
    return _SLANTED_INSET if box.kind in _SLANTED else _INSET


def box_tags(box: Box, area: Rectangle) -> tuple[Rectangle, ...]:
    """Where the tags of a box lie: at its left, or behind the text of a cut's badge, which begins with its scissors."""
    count, inset = len(box.findings), _inset(box)
    width = count * (TAG_SIZE + TAG_GAP) - TAG_GAP
    start = area.right - inset - width if box.kind is BoxKind.CUT else area.x + inset
    return _row(start, area, count)


def tab_tags(count: int, tab: Rectangle) -> tuple[Rectangle, ...]:
    """Where the `count` tags of a frame lie on its tab."""
    return _row(tab.x + _TAB_INSET, tab, count)


def _row(start: float, area: Rectangle, count: int) -> tuple[Rectangle, ...]:
    top = area.y + (area.height - TAG_SIZE) / 2
    step = TAG_SIZE + TAG_GAP
    return tuple(Rectangle(start + step * number, top, TAG_SIZE, TAG_SIZE) for number in range(count))


def text_area(area: Rectangle, room: int, *, before: bool = True) -> Rectangle:
    """What `area` leaves for a text when tags take `room` of it, `before` the text or behind it."""
    return Rectangle(area.x + (room if before else 0), area.y, area.width - room, area.height)
