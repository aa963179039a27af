"""The legend of an SVG: a sample and a word or two for each thing that occurs in the drawing, and for nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradviz.layout.drawing import Drawing, Rectangle
from gradviz.layout.measure import text_width
from gradviz.picture.records import BoxKind, WireKind
from gradviz.picture.signs import HOOK, frames, signs
from gradviz.views.svg_findings import band_sample
from gradviz.views.svg_marks import (
    BOX_CLASS,
    cross_at,
    fold_bars,
    hook,
    is_module,
    outline,
    rectangle,
    scissors,
    text,
)
from gradviz.views.svg_wires import wire_sample

ROW_HEIGHT = 22
_SAMPLE_GAP = 7
_GAP = 20

WIRE_WORDS = {
    WireKind.GRADIENT: "gradient",
    WireKind.TRACKED: "tracked, no gradient comes",
    WireKind.SHADOW: "data only",
    WireKind.ALIAS: "same storage",
    WireKind.SAVED: "kept for backward",
    WireKind.ERROR: "error",
}
"""What a wire of a kind is; cuts have an entry of their own in the legend."""

BOX_WORDS = {
    BoxKind.LEAF: "requires grad",
    BoxKind.CONST: "requires no grad",
    BoxKind.OP: "tracked op",
    BoxKind.OFF: "not tracked",
    BoxKind.OUTPUT: "output",
    BoxKind.RESULT: "another result",
    BoxKind.OFF_OUTPUT: "output without grad_fn",
    BoxKind.SAVED: "saved tensor",
    BoxKind.EXIT: "left for Python",
    BoxKind.ERROR: "raised here",
    BoxKind.MORE: "not drawn",
}
"""The same of boxes."""

FOLD_WORDS = {
    (BoxKind.OP, BoxKind.OFF): "many ops in one box",
    (BoxKind.LEAF, BoxKind.CONST): "many leaves in one box",
}
"""The same of boxes that stand for many, whichever of the kinds occurs."""


@dataclass(frozen=True, slots=True)
class Item:
    """One sample, drawn from (0, -4) on, and its words; `width` includes the gap after it."""

    sample: str
    sample_width: int
    words: str

    @property
    def width(self) -> float:
        """Room it takes in its row."""
        return self.sample_width + _SAMPLE_GAP + text_width(self.words, "sans", 11) + _GAP


def legend_items(drawing: Drawing) -> list[Item]:
    """What occurs: wires first, then what ends a gradient, then boxes and frames."""
    picture = drawing.picture
    boxes = {box.kind for box in picture.boxes}
    wires = {wire.kind for wire in picture.wires}
    items = [Item(wire_sample(kind, 28), 28, words) for kind, words in WIRE_WORDS.items() if kind in wires]
    if BoxKind.CUT in boxes or WireKind.CUT in wires:
        items.append(Item('<path class="c" d="M0-4H14"/>' + scissors(21, -4, 9), 30, "gradient stops"))
    sample = band_sample(drawing)
    if sample:
        items.append(Item(sample, 28, "road of a lost gradient"))
    if any(wire.lost for wire in picture.wires):
        items.append(Item(wire_sample(WireKind.SHADOW, 30) + cross_at(11, -4), 30, "gradient lost here"))
    for kind, words in BOX_WORDS.items():
        if kind in boxes:
            sample = f'<g class="{BOX_CLASS[kind]}">{outline(kind, Rectangle(0, -11, 22, 14))}</g>'
            items.append(Item(sample, 22, words))
    folded = {box.kind for box in picture.boxes if box.fold is not None}
    for kinds, words in FOLD_WORDS.items():
        for kind in [kind for kind in kinds if kind in folded][:1]:
            area = Rectangle(0, -11, 24, 14)
            sample = f'<g class="{BOX_CLASS[kind]}">{outline(kind, area)}{fold_bars(area, kind)}</g>'
            items.append(Item(sample, 24, words))
    if not all(map(is_module, drawing.frames)):
        items.append(Item(rectangle(Rectangle(0, -11, 22, 14), 4, "f"), 22, "grad-mode region"))
    for words in frames(placed.frame.kind for placed in drawing.frames):
        items.append(Item(rectangle(Rectangle(0, -11, 22, 14), 4, "fm"), 22, words))
    # A mark of text is a sample of itself, and its words begin where a sample would; a hook is drawn, too.
    for mark, words in signs(picture):
        drawn = (hook(9, -4), 18) if mark == HOOK[0] else ("", -_SAMPLE_GAP)
        items.append(Item(*drawn, f"{mark} = {words}"))
    return items


def shelve(items: Sequence[Item], width: float) -> list[list[Item]]:
    """The items in rows at most `width` wide."""
    shelves: list[list[Item]] = []
    used = 0.0
    for item in items:
        if not shelves or used + item.width - _GAP > width:
            shelves.append([])
            used = 0.0
        shelves[-1].append(item)
        used += item.width
    return shelves


def shelf_width(shelf: Sequence[Item]) -> float:
    """How wide a row is, without the gap after its last item."""
    return sum(item.width for item in shelf) - _GAP


def draw_legend(shelves: Sequence[Sequence[Item]], x: float, y: float) -> list[str]:
    """The rows, the first one's base line at `y`."""
    lines = []
    for row, shelf in enumerate(shelves):
        at = x
        for item in shelf:
            place = f'<g transform="translate({at:.0f} {y + row * ROW_HEIGHT:.0f})">'
            lines.append(f"{place}{item.sample}{text(item.sample_width + _SAMPLE_GAP, 0, item.words, 'k')}</g>")
            at += item.width
    return lines
