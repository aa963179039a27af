"""How wide a text will be and how large its box, from font metrics of our own, so that no font need be installed.

A viewer picks the font, and we cannot ask which. The widths are those of the widest of the usual ones (DejaVu), so a
text set in another is narrower than its box, never wider. All sizes are in pixels.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate

from gradviz.layout.tags import TAG_SIZE, box_room, tab_room
from gradviz.picture.records import Box, BoxKind

TITLE_SIZE = 12
DETAIL_SIZE = 11
PADDING = 12
LINE_HEIGHT = 15
BADGE_AXIS = 15
"""Distance from a cut badge's near end to the middle of its scissors, through which the road runs."""

_FLOOR, _LOW_FLOOR = 96, 40
"""No box is narrower."""
_USUAL = {
    BoxKind.OP: _FLOOR, BoxKind.LEAF: _FLOOR, BoxKind.OFF: _FLOOR, BoxKind.OUTPUT: _FLOOR, BoxKind.OFF_OUTPUT: _FLOOR,
    BoxKind.RESULT: _FLOOR, BoxKind.CONST: _LOW_FLOOR,
}  # fmt: skip
"""Kinds of boxes that hold two lines of text and nothing else, and how wide they are at least."""
_SURELY_FITS = 34
"""Up to so many characters a title in ASCII is shown whole, and no longer one is."""
_CLIPPED = -1
"""Stands for the length of any longer one, for they are clipped to the same length."""
_BADGE_TEXT = 32
_MAX_TEXT = 250
_MAX_ERROR = 420
_MAX_TAB = 300
_MAX_LABEL = 120
_JOINER = "\u200d"

# Advance widths of U+0020 to U+007E in hundredths of an em, rounded up.
_SANS = (
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34,
    84, 84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75, 79, 61, 79, 70, 64, 62, 74, 69, 99,
    69, 62, 69, 40, 34, 40, 84, 50, 50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53,
    40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84,
)  # fmt: skip
_BOLD = (
    35, 46, 53, 84, 70, 101, 88, 31, 46, 46, 53, 84, 38, 42, 38, 37, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 40, 40,
    84, 84, 84, 59, 100, 78, 77, 74, 84, 69, 69, 83, 84, 38, 38, 78, 64, 100, 84, 86, 74, 86, 78, 73, 69, 82, 78, 111,
    78, 73, 73, 46, 37, 46, 84, 50, 50, 68, 72, 60, 72, 68, 44, 72, 72, 35, 35, 67, 35, 105, 72, 69, 72, 72, 50, 60,
    48, 72, 66, 93, 65, 66, 59, 72, 37, 72, 84,
)  # fmt: skip
_MONO_ADVANCE = 61
_WIDE_ADVANCE = 140
_OTHER_ADVANCE = 100
_LETTER_ADVANCE = {"sans": 80, "bold": 88, "mono": _MONO_ADVANCE}


class _Advances(dict[str, int]):
    """Width of each character of one font in hundredths of an em; one outside ASCII is looked at when it is met."""

    def __init__(self, font: str, advances: Sequence[int]) -> None:
        super().__init__(zip(map(chr, range(0x20, 0x7F)), advances, strict=True))
        self._font = font

    def __missing__(self, character: str) -> int:
        width = self[character] = _advance(character, self._font)
        return width


_ADVANCES = {
    font: _Advances(font, advances)
    for font, advances in {"sans": _SANS, "bold": _BOLD, "mono": (_MONO_ADVANCE,) * len(_SANS)}.items()
}


@lru_cache(maxsize=8192)
def text_width(text: str, font: str, size: float) -> float:
    """Width of one line of `text`; `font` is "mono", "sans" or "bold"."""
    if font == "mono" and text.isascii():
        return len(text) * _MONO_ADVANCE * size / 100
    return sum(_advances(text, font)) * size / 100


def _advances(text: str, font: str) -> Iterable[int]:
    """Width of each character in hundredths of an em."""
    return map(_ADVANCES[font].__getitem__, text)


def _advance(character: str, font: str) -> int:
    """Width of a character outside ASCII in hundredths of an em, on the safe side."""
    if unicodedata.category(character) in ("Mn", "Me") or character == _JOINER:
        return 0
    if character == "·":
        return _LETTER_ADVANCE["mono"] if font == "mono" else 38
    if unicodedata.east_asian_width(character) in ("W", "F") or ord(character) >= 0x1F000:
        return _WIDE_ADVANCE
    if ord(character) < 0x250 or 0x370 <= ord(character) < 0x530:
        return _LETTER_ADVANCE[font] if character.islower() or font == "mono" else 100
    return _OTHER_ADVANCE


def is_plain(text: str) -> bool:
    """Whether our metrics cover every character, so that no viewer's fallback font decides how wide it is."""
    if text.isascii() and text.isprintable():
        return True
    return all(" " <= character <= "~" or character in "·…×" for character in text)


def clip(text: str, font: str, size: float, limit: float) -> str:
    """The text, with its middle replaced by an ellipsis where it is wider than `limit` pixels."""
    if font == "mono" and text.isascii():
        if len(text) * _MONO_ADVANCE * size <= 100 * limit:
            return text
        half = int((100 * limit / size - _OTHER_ADVANCE) / 2 // _MONO_ADVANCE)
        return f"{text[:half]}…{text[len(text) - half :]}"
    if len(text) <= 400 and text_width(text, font, size) <= limit:
        return text
    room = (limit - text_width("…", font, size)) * 100 / size
    front = _fitting(text, font, room / 2)
    back = _fitting(text[: len(front) - 1 if front else None : -1], font, room / 2)[::-1]
    # An accent must not land on the ellipsis.
    while back and unicodedata.combining(back[0]):
        back = back[1:]
    return front + "…" + back


def _fitting(text: str, font: str, room: float) -> str:
    """The longest start of `text` that is at most `room` hundredths of an em wide."""
    text = text[:400]
    return text[: bisect_right(list(accumulate(_advances(text, font))), room)]


def one_line(text: str) -> str:
    """The text as one line that any viewer can show, with what cannot be printed written as Python would escape it.

    That covers newlines, what XML forbids, lone surrogates, and marks that turn the direction of writing. The joiner
    inside an emoji stays.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == _JOINER else character.encode("unicode_escape").decode()
        for character in text
    )


def box_texts(box: Box) -> tuple[str, str]:
    """The box's title and detail as they will be shown: one line each, clipped."""
    font = "bold" if box.kind in (BoxKind.CUT, BoxKind.ERROR) else "mono"
    limit = _MAX_ERROR if box.kind is BoxKind.ERROR else _MAX_TEXT
    return clip(one_line(box.title), font, TITLE_SIZE, limit), clip(one_line(box.detail), "sans", DETAIL_SIZE, limit)


def fit(boxes: Sequence[Box]) -> tuple[list[str], list[str], list[int], list[int]]:
    """Title, detail, width and height of each box. What was measured is kept, for a large picture has many alike."""
    titles, details, widths, heights = [], [], [], []
    usual: dict[tuple[int, int, str], tuple[str, int]] = {}
    others: dict[tuple[BoxKind, str, str, int], tuple[str, str, int, int]] = {}
    for box in boxes:
        kind, title, detail, tags = box.kind, box.title, box.detail, len(box.findings)
        floor = _USUAL.get(kind)
        if floor is None or tags or not (title.isascii() and title.isprintable()) or (not detail and is_literal(box)):
            found = others.get((kind, title, detail, tags))
            if found is None:
                shown = box_texts(box)
                found = others[kind, title, detail, tags] = *shown, *box_size(box, *shown)
            title, detail, width, height = found
        else:
            # Most boxes have a title of their own, of which the length is what counts, and a detail that many have.
            length = len(title)
            if length > _SURELY_FITS:
                title = clip(title, "mono", TITLE_SIZE, _MAX_TEXT)
                length = _CLIPPED
            line = usual.get((floor, length, detail))
            if line is None:
                line = usual[floor, length, detail] = _fit_usual(floor, title, detail)
            height = 40 if detail else 28
            detail, width = line
        titles.append(title)
        details.append(detail)
        widths.append(width)
        heights.append(height)
    return titles, details, widths, heights


def _fit_usual(floor: int, title: str, detail: str) -> tuple[str, int]:
    """The detail as it is shown, and the width of a box that holds nothing but it and the title."""
    shown = clip(one_line(detail), "sans", DETAIL_SIZE, _MAX_TEXT)
    text = max(text_width(title, "mono", TITLE_SIZE), text_width(shown, "sans", DETAIL_SIZE))
    return shown, _even(max(text + 2 * PADDING, floor))


def box_size(box: Box, title: str, detail: str) -> tuple[int, int]:
    """Width and height of a box around the two lines of text and its tags."""
    room = box_room(box)
    if box.kind is BoxKind.CUT:
        text = max(text_width(title, "bold", TITLE_SIZE), text_width(detail, "sans", DETAIL_SIZE))
        return _even(text + _BADGE_TEXT + PADDING) + room, 42 if detail else 30
    font = "bold" if box.kind is BoxKind.ERROR else "mono"
    text = max(text_width(title, font, TITLE_SIZE), text_width(detail, "sans", DETAIL_SIZE))
    if is_literal(box):
        return _even(max(text + 2 * 9, 28)) + room, 22
    floor = _LOW_FLOOR if box.kind in (BoxKind.CONST, BoxKind.SAVED) else _FLOOR
    extra = 20 if box.kind in (BoxKind.ERROR, BoxKind.EXIT) else 0
    return _even(max(text + 2 * PADDING + extra, floor)) + room, 40 if detail else 28


def is_literal(box: Box) -> bool:
    """Whether a box is a plain Python argument (`2`, `0.1`): small, of one line."""
    return box.kind is BoxKind.CONST and not box.detail


def tab_text(title: str) -> str:
    """A frame's title as its tab shows it."""
    return clip(one_line(title), "bold", DETAIL_SIZE, _MAX_TAB)


def tab_size(text: str, tags: int = 0) -> tuple[int, int]:
    """Width and height of the tab around a frame's title and its tags."""
    return _even(text_width(text, "bold", DETAIL_SIZE) + 2 * PADDING) + tab_room(tags), TAG_SIZE + 6 if tags else 22


def wrap(text: str, font: str, size: float, width: float, most: int = 4) -> list[str]:
    """A text as lines that are at most `width` wide; no more than `most`, the last one clipped."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most - 1 and text_width(rest, font, size) > width:
        fitting = 0
        used = 0.0
        for index, character in enumerate(rest):
            used += text_width(character, font, size)
            if used > width:
                break
            if character == " ":
                fitting = index
        if not fitting:
            break
        lines.append(rest[:fitting])
        rest = rest[fitting + 1 :]
    return [*lines, clip(rest, font, size, width)]


def label_text(label: str) -> str:
    """A wire's label as it is shown beside the wire."""
    return clip(one_line(label), "sans", DETAIL_SIZE, _MAX_LABEL)


def label_size(text: str) -> tuple[int, int]:
    """Width and height of a wire's label."""
    return _even(text_width(text, "sans", DETAIL_SIZE) + 4), 16


def _even(width: float) -> int:
    """Rounded up to an even number, so that half of it is whole too."""
    return 2 * -(-int(width + 0.999) // 2)
