"""The findings of an SVG: tags on the culprits, bands below the lost roads, and the list under the picture.

A finding's number stands in an octagon for an error and in a diamond for a warning, on the culprit and in the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradviz.layout.drawing import Drawing, Rectangle
from gradviz.layout.measure import one_line, text_width, wrap
from gradviz.layout.tags import TAG_SIZE
from gradviz.picture.records import Remark
from gradviz.views.svg_marks import escape, number, text
from gradviz.views.svg_wires import stretch

LEAST_WIDTH = 560
"""Room that the list asks for, however narrow the drawing is."""

_MOST_WIDTH = 860
_INDENT = TAG_SIZE + 10
_LINE = 17
_GAP = 12
_MOST_LINES = 8

_SHAPES = {
    "error": ("te", "M-4-10H4L10-4V4L4 10H-4L-10 4V-4z"),
    "warning": ("tw", "M0-11 11 0 0 11-11 0z"),
    "note": ("tn", "M-10-10H10V10H-10z"),
}
"""Class and outline of a tag, around its middle, by severity."""

RING = {"error": "xe", "warning": "xw"}
"""Class of the culprit itself: of a box's group, of a frame and its tab."""

_BAND = {"error": "re", "warning": "rw"}


def bands(drawing: Drawing) -> Iterator[str]:
    """The bands below the wires of lost roads, the gravest on top."""
    for road in sorted({wire.wire.road for wire in drawing.wires if wire.wire.road}, reverse=True):
        style = _BAND[drawing.picture.remarks[road - 1].severity]
        ways = "".join(stretch(wire) for wire in drawing.wires if wire.wire.road == road)
        yield f'<path class="{style}" d="{ways}"/>'


def band_sample(drawing: Drawing) -> str:
    """A piece of the gravest band, for the legend; empty where there is none."""
    road = min((wire.wire.road for wire in drawing.wires if wire.wire.road), default=0)
    return f'<path class="{_BAND[drawing.picture.remarks[road - 1].severity]}" d="M3-4H25"/>' if road else ""


def ring(numbers: Sequence[int], remarks: Sequence[Remark]) -> str:
    """The class that makes a box or a frame stand out as the culprit of these remarks; empty for none."""
    return RING.get(remarks[numbers[0] - 1].severity, "") if numbers else ""


def tags(areas: Sequence[Rectangle], numbers: Sequence[int], remarks: Sequence[Remark]) -> str:
    """The tags of one culprit, each with the whole finding as its tooltip."""
    return "".join(
        _tag(area.x + area.width / 2, area.y + area.height / 2, remarks[at - 1])
        for area, at in zip(areas, numbers, strict=True)
    )


def _tag(x: float, y: float, remark: Remark) -> str:
    style, outline = _SHAPES[remark.severity]
    lines = [remark.heading, remark.message, f"help: {remark.help}" if remark.help else ""]
    tooltip = escape("\n".join(one_line(line) for line in lines if line))
    small = "n" if remark.number < 10 else "ns"
    return (
        f'<g class="{style}" transform="translate({number(x)} {number(y)})"><title>{tooltip}</title>'
        f'<path d="{outline}"/>{text(0, 4 if remark.number < 10 else 3, str(remark.number), small, True)}</g>'
    )


class Listing:
    """The list under a picture that is `width` wide."""

    def __init__(self, remarks: Sequence[Remark], width: float) -> None:
        room = min(width, _MOST_WIDTH) - _INDENT
        self._entries = [(remark, _lines(remark, room)) for remark in remarks]

    @property
    def height(self) -> float:
        """From the lower edge of what is above it to its own."""
        return sum(_LINE * (len(lines) + 1) + _GAP for _, lines in self._entries)

    def draw(self, x: float, y: float) -> Iterator[str]:
        """Every entry, from `y` downwards."""
        for remark, lines in self._entries:
            y += _LINE
            style = _SHAPES[remark.severity][0]
            parts = [_tag(x + TAG_SIZE / 2, y - 4, remark)]
            parts.append(text(x + _INDENT, y, one_line(remark.heading), f"fh {style}"))
            for line, kind in lines:
                y += _LINE
                parts.append(text(x + _INDENT, y, line, kind))
            yield f"<g>{''.join(parts)}</g>"
            y += _GAP


def _lines(remark: Remark, room: float) -> list[tuple[str, str]]:
    """The message and the help as lines, each with its class."""
    told = [(line, "fi") for line in wrap(one_line(remark.message), "sans", 12, room, _MOST_LINES)]
    if remark.help:
        told += [(line, "s") for line in wrap(one_line(f"help: {remark.help}"), "sans", 11, room, _MOST_LINES)]
    return told


def heading_width(remarks: Sequence[Remark]) -> float:
    """Width of the widest heading in the list."""
    return max((_INDENT + text_width(one_line(remark.heading), "bold", 12) for remark in remarks), default=0)
