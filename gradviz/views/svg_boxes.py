"""The boxes of an SVG, each a group of its tooltip, its outline and its one or two lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from gradviz.layout.drawing import Drawing, PlacedBox
from gradviz.layout.measure import BADGE_AXIS, one_line
from gradviz.picture.records import BoxKind, Remark
from gradviz.views.svg_findings import ring, tags
from gradviz.views.svg_marks import (
    BOX_CLASS,
    FOLD_CUT,
    Known,
    box_text,
    corner_of,
    end_of_text,
    escape,
    fold_bars,
    hook,
    number,
    outline,
    scissors,
)

_TOOLTIP_LIMIT = 2000
_BEGIN, _BREAK, _END = "<title>", "\n", "</title>"
_PLAIN = frozenset({BoxKind.LEAF, BoxKind.CONST, BoxKind.OP, BoxKind.OFF, BoxKind.MORE})
"""Kinds whose outline is one rectangle and whose text is plain; nearly all boxes are of these."""


def boxes(drawing: Drawing, remarks: Sequence[Remark]) -> Iterator[str]:
    """Every box, in order. What two boxes of one size and kind have in common is written out once."""
    plain: dict[BoxKind, tuple[str, dict[tuple[float, float], str]]] = {
        kind: (f'<g class="{BOX_CLASS[kind]}">', {}) for kind in _PLAIN
    }
    for placed in drawing.boxes:
        box, area, title, detail = placed.box, placed.area, placed.title, placed.detail
        known = plain.get(box.kind)
        if known is None or box.findings or box.hooked or box.fold is not None or not title:
            yield _box(placed, remarks)
            continue
        begin, shapes = known
        x, y, width, height = area.x, area.y, area.width, area.height
        shape = shapes.get((width, height))
        if shape is None:
            corner = number(corner_of(box.kind, height))
            shape = f'" width="{number(width)}" height="{number(height)}" rx="{corner}"/><text x="'
            shapes[width, height] = shape
        axis, middle = number(x + width / 2), y + height / 2
        hint = _hints[box.tooltip] if title == box.title else tooltip(box.title, title, box.tooltip)
        start = f'{begin}{hint}<rect x="{number(x)}" y="{number(y)}{shape}{axis}" y="'
        if detail:
            yield (
                f'{start}{number(middle - 3)}"{_titles[title]}</text>'
                f'<text x="{axis}" y="{number(middle + 12)}"{_details[detail]}</text></g>'
            )
        else:
            yield f'{start}{number(middle + 4)}"{_titles[title]}</text></g>'


def _box(placed: PlacedBox, remarks: Sequence[Remark]) -> str:
    """A box of any kind."""
    box, area = placed.box, placed.area
    kind, numbers = box.kind, box.findings
    style, mark, marks = BOX_CLASS[kind], "", ""
    if numbers:
        # A cut is red whatever a rule says of it.
        style = joined(style, "" if kind is BoxKind.CUT else ring(numbers, remarks))
        marks = tags(placed.tags, numbers, remarks)
    if kind is BoxKind.CUT:
        mark = scissors(area.x + BADGE_AXIS, area.y + area.height / 2, BADGE_AXIS)
    elif box.fold is not None:
        mark = fold_bars(area, kind)
        if box.cuts:
            marks += scissors(area.x + 2, area.y + 2, FOLD_CUT)
    if box.hooked:
        marks += hook(area.right - 2, area.y + 2)
    hint = tooltip(box.title, placed.title, box.tooltip)
    return f'<g class="{style}">{hint}{outline(kind, area)}{mark}{box_text(placed)}{marks}</g>'


def joined(*classes: str) -> str:
    """Those of the classes that are not empty, as an attribute's value."""
    return " ".join(filter(None, classes))


def tooltip(title: str, shown: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """Lines of label and text; the whole title comes first where the drawing shows only part of it."""
    hint = _hints[pairs]
    if title == shown:
        return hint
    whole = escape(_cut_off(title))
    return f"{_BEGIN}{whole}{_BREAK}{hint[len(_BEGIN) :]}" if hint else f"{_BEGIN}{whole}{_END}"


def _hint(pairs: tuple[tuple[str, str], ...]) -> str:
    return f"{_BEGIN}{_BREAK.join(map(_told, pairs))}{_END}" if pairs else ""


def _line(pair: tuple[str, str]) -> str:
    label, words = pair
    return escape(f"{one_line(label)}: {_cut_off(words)}")


def _cut_off(words: str) -> str:
    """A tooltip's text on one line, without the end that no screen has room for."""
    return one_line(words if len(words) <= _TOOLTIP_LIMIT else words[:_TOOLTIP_LIMIT] + "…")


_told = Known(_line).__getitem__
_hints = Known(_hint, 1024)
_titles = Known[str](partial(end_of_text, style=""))
_details = Known[str](partial(end_of_text, style="k"))
