"""The SVG view: a drawing as one file that any viewer shows, light or dark, with no script and nothing to fetch."""

from __future__ import annotations

from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Literal
from zlib import crc32

from gradviz.layout.drawing import Drawing, PlacedFrame
from gradviz.layout.measure import clip, one_line, text_width, wrap
from gradviz.layout.tags import tab_room, text_area
from gradviz.picture.records import Remark
from gradviz.progress import step
from gradviz.views.svg_boxes import boxes, joined, tooltip
from gradviz.views.svg_findings import LEAST_WIDTH as LEAST_LIST_WIDTH
from gradviz.views.svg_findings import Listing, bands, heading_width, ring, tags
from gradviz.views.svg_legend import ROW_HEIGHT, draw_legend, legend_items, shelf_width, shelve
from gradviz.views.svg_marks import escape, is_module, number, rectangle, text
from gradviz.views.svg_style import style_sheet
from gradviz.views.svg_wires import cross, wires

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradviz.diagnose import Finding
    from gradviz.graphs import Graph
    from gradviz.views import Options

_MARGIN = 24
_TOP = 80
_LEAST_WIDTH = 360
_MOST_TEXT = 900
_LINE = 16
_SUMMARY_LINES = 2


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> str:
    """The graph as SVG text."""
    return "".join(draw_pieces(graph, options, findings))


def draw_pieces(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> Iterator[str]:
    """The graph as SVG text in many small pieces, for a file that need not be held in memory."""
    return write_pieces(lay_out(graph, options, findings))


def lay_out(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> Drawing:
    """The picture of the graph, in which everything has its place."""
    from gradviz.layout import arrange
    from gradviz.picture.composing import compose

    direction: Literal["TB", "LR"] = "LR" if options.direction == "LR" else "TB"
    picture = compose(graph, options, findings)
    with step(f"laying out {len(picture.boxes):,} boxes"):
        return arrange(picture, direction)


def write(drawing: Drawing) -> str:
    """A drawing as SVG text that ends with a newline."""
    return "\n".join(chain(_parts(drawing), ("",)))


def write_pieces(drawing: Drawing) -> Iterator[str]:
    """The text of `write` in pieces, each of one or more lines."""
    for part in _parts(drawing):
        yield part + "\n"


def _parts(drawing: Drawing) -> Iterator[str]:
    """The text of `write` in pieces, none of which ends with a newline."""
    picture = drawing.picture
    title, summary = one_line(picture.title), one_line(picture.summary)
    remarks = picture.remarks
    legend = legend_items(drawing)
    width = max(
        drawing.width,
        _LEAST_WIDTH,
        min(_MOST_TEXT, text_width(title, "bold", 15)),
        min(_MOST_TEXT, text_width(summary, "sans", 11)),
        *(item.width for item in legend),
        LEAST_LIST_WIDTH if remarks else 0,
        heading_width(remarks),
    )
    shelves = shelve(legend, max(width, 560))
    width = ceil(max([width, *map(shelf_width, shelves)]))
    notes = [line for note in picture.notes for line in wrap(one_line(note), "sans", 11, width)]
    told = wrap(summary, "sans", 11, width, _SUMMARY_LINES)
    top = _TOP + _LINE * (len(told) - 1)
    folds, hooks = any(box.fold is not None for box in picture.boxes), any(box.hooked for box in picture.boxes)
    listing = Listing(remarks, width)
    list_at = top + drawing.height + (20 if drawing.boxes else -24)
    bottom = top + drawing.height + (10 if drawing.boxes else -24) + listing.height + (8 if remarks else 0)
    legend_at = bottom + _LINE * len(notes) + (12 if notes else 0) + 26
    height = ceil(legend_at) + ROW_HEIGHT * len(shelves) - (8 if shelves else 22)
    name = f"{crc32(picture.title.encode('utf-8', 'replace')):08x}"
    size = f"{number(width + 2 * _MARGIN)} {number(height)}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gv" viewBox="0 0 {size}" width="{size.split()[0]}" '
        f'height="{size.split()[1]}" role="img" aria-labelledby="t{name} d{name}">',
        f'<title id="t{name}">{escape("gradviz: " + title)}</title>',
        f'<desc id="d{name}">{escape(one_line(picture.description))}</desc>',
        f"<style>\n{style_sheet(findings=bool(remarks), folds=folds, hooks=hooks)}\n</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        text(_MARGIN, 34, clip(title, "bold", 15, width), "h"),
        *(text(_MARGIN, 54 + _LINE * index, line, "s") for index, line in enumerate(told)),
        f'<g transform="translate({number(_MARGIN + (width - drawing.width) // 2)} {top})">',
    )
    parts = chain(
        head,
        marks(drawing),
        ("</g>",),
        listing.draw(_MARGIN, list_at),
        (text(_MARGIN, bottom + 18 + _LINE * index, line, "s") for index, line in enumerate(notes)),
        draw_legend(shelves, _MARGIN, legend_at),
        ("</svg>",),
    )
    return filter(None, parts)


def marks(drawing: Drawing) -> Iterator[str]:
    """All that has a place in the drawing, each part an element: frames, bands, wires, boxes, tabs, crosses.

    Each group with a class is a box, in order, except `lost`, a cross; each group without one is a frame's tab.
    """
    remarks = drawing.picture.remarks
    return chain(
        (_frame(placed, remarks) for placed in sorted(drawing.frames, key=lambda placed: -placed.area.width)),
        bands(drawing),
        wires(drawing),
        boxes(drawing, remarks),
        (_tab(placed, remarks) for placed in drawing.frames),
        (cross(wire) for wire in drawing.wires if wire.wire.lost),
    )


def _frame(placed: PlacedFrame, remarks: Sequence[Remark]) -> str:
    style = "fm" if is_module(placed) else "f"
    return rectangle(placed.area, 10, joined(style, ring(placed.frame.findings, remarks)))


def _tab(placed: PlacedFrame, remarks: Sequence[Remark]) -> str:
    tab, numbers = placed.tab, placed.frame.findings
    style = "fmt" if is_module(placed) else "ft"
    shape = rectangle(tab, tab.height / 2, joined(style, ring(numbers, remarks)))
    free = text_area(tab, tab_room(len(numbers)))
    words = text(free.x + free.width / 2, tab.y + tab.height / 2 + 4, placed.title, "t", True)
    hint = tooltip(placed.frame.title, placed.title, placed.frame.tooltip)
    return f"<g>{hint}{shape}{words}{tags(placed.tags, numbers, remarks)}</g>"
