"""The marks of an SVG: escaped text, outlines of boxes, paths of wires, arrowheads, the scissors and the cross."""

from __future__ import annotations

from gradviz.layout.drawing import MODULE_KINDS, Drawing, PlacedBox, PlacedFrame, Point, Rectangle, RoutedWire
from gradviz.layout.measure import BADGE_AXIS, DETAIL_SIZE, TITLE_SIZE, is_plain, text_width
from gradviz.layout.tags import box_room, text_area
from gradviz.picture.records import BoxKind, WireKind

BOX_CLASS = {
    BoxKind.LEAF: "leaf",
    BoxKind.CONST: "const",
    BoxKind.OP: "op",
    BoxKind.OFF: "off",
    BoxKind.OUTPUT: "out",
    BoxKind.OFF_OUTPUT: "offo",
    BoxKind.CUT: "cut",
    BoxKind.EXIT: "exit",
    BoxKind.ERROR: "err",
    BoxKind.SAVED: "saved",
    BoxKind.MORE: "more",
}
WIRE_CLASS = {
    WireKind.GRADIENT: "g",
    WireKind.SHADOW: "d",
    WireKind.ALIAS: "a",
    WireKind.SAVED: "v",
    WireKind.CUT: "c",
    WireKind.ERROR: "c err",
}
_CORNER = {BoxKind.LEAF: 12, BoxKind.CUT: 15, BoxKind.OUTPUT: 7, BoxKind.OFF_OUTPUT: 7, BoxKind.CONST: 3}
_HEAD = {WireKind.GRADIENT: "g", WireKind.ALIAS: "g", WireKind.SHADOW: "d", WireKind.ERROR: "c"}
_TIP = 2
_CROSS_DISTANCE = 18
_FONTS = {"h": ("bold", 15), "t": ("bold", DETAIL_SIZE), "k": ("sans", DETAIL_SIZE), "s": ("sans", DETAIL_SIZE)}
_FONTS |= {"ct": ("bold", TITLE_SIZE), "": ("mono", TITLE_SIZE), "fh": ("bold", TITLE_SIZE), "fi": ("sans", TITLE_SIZE)}


def escape(text: str) -> str:
    """Text as XML content. What XML cannot hold at all must have been replaced before."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def number(value: float) -> str:
    """A length with at most one decimal, and none where none is needed."""
    whole = int(value)
    return str(whole) if whole == value else f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, style: str = "", middle: bool = False) -> str:
    """One line of text. A width is given where its characters are not in our metrics, so that no font breaks out."""
    if not words:
        return ""
    fit = ""
    if not is_plain(words):
        fitted = text_width(words, *_FONTS[style.partition(" ")[0]])
        fit = f' textLength="{number(fitted)}" lengthAdjust="spacingAndGlyphs"'
    classes = " ".join(filter(None, ("m" if middle else "", style)))
    mark = f' class="{classes}"' if classes else ""
    return f'<text{mark} x="{number(x)}" y="{number(y)}"{fit}>{escape(words)}</text>'


def rectangle(area: Rectangle, corner: float, style: str = "") -> str:
    """An upright rectangle."""
    mark = f'class="{style}" ' if style else ""
    return (
        f'<rect {mark}x="{number(area.x)}" y="{number(area.y)}" width="{number(area.width)}" '
        f'height="{number(area.height)}" rx="{number(corner)}"/>'
    )


def outline(kind: BoxKind, area: Rectangle) -> str:
    """The shape of a box. Each kind that colour tells apart has a shape, a dash or a second line of its own."""
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
    if kind is BoxKind.SAVED:
        fold = min(8.0, area.height / 3)
        page = _polygon((x, y, right - fold, y, right, y + fold, right, bottom, x, bottom))
        return page + _polygon((right - fold, y, right - fold, y + fold, right, y + fold))
    corner = min(_CORNER.get(kind, 6), area.height / 2)
    shape = rectangle(area, corner)
    if kind in (BoxKind.OUTPUT, BoxKind.OFF_OUTPUT):
        inset = 3 if area.height > 20 else 2
        inner = Rectangle(x + inset, y + inset, area.width - 2 * inset, area.height - 2 * inset)
        shape += rectangle(inner, max(corner - inset, 1), "in")
    return shape


def _polygon(points: tuple[float, ...]) -> str:
    pairs = " ".join(f"{number(x)},{number(y)}" for x, y in zip(points[::2], points[1::2], strict=True))
    return f'<polygon class="e" points="{pairs}"/>'


def stretch(wire: RoutedWire, tip: float) -> str:
    """A wire's way as the data of a path that ends `tip` before its head."""
    x, y = _before_end(wire, tip)
    steps = [f"M{number(wire.start[0])} {number(wire.start[1])}"]
    at = wire.start
    last = len(wire.pieces) - 1
    for index, piece in enumerate(wire.pieces):
        end = (x, y) if index == last else piece[-1]
        if len(piece) > 1:
            steps.append("C" + " ".join([f"{number(px)} {number(py)}" for px, py in (*piece[:-1], end)]))
        elif end[0] == at[0]:
            steps.append(f"V{number(end[1])}")
        elif end[1] == at[1]:
            steps.append(f"H{number(end[0])}")
        else:
            steps.append(f"L{number(end[0])} {number(end[1])}")
        at = end
    return "".join(steps)


def path(wire: RoutedWire) -> str:
    """A wire's line, ended short of its head by the tip of its arrow, if it has one."""
    way = stretch(wire, _TIP if wire.wire.kind in _HEAD else 0)
    line = f'<path class="{WIRE_CLASS[wire.wire.kind]}" d="{way}"/>'
    if wire.label_area is not None:
        area = wire.label_area
        line += text(area.x, area.bottom - 4, wire.label, "k")
    return line


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def cross(wire: RoutedWire) -> str:
    """The red mark before the head of a wire that loses its gradient."""
    return cross_at(*_before_end(wire, _CROSS_DISTANCE))


def cross_at(x: float, y: float) -> str:
    """A cross on a disc around a point."""
    at = f"{number(x)} {number(y)}"
    return f'<g class="lost" transform="translate({at})"><circle class="dot" r="7"/><path d="M-3-3 3 3M-3 3 3-3"/></g>'


def _before_end(wire: RoutedWire, distance: float) -> Point:
    """The point so far before a wire's end; a wire's last stretch is level or upright."""
    x, y = wire.end
    if len(wire.pieces[-1]) > 1:
        before = wire.pieces[-1][-2]
    else:
        before = wire.pieces[-2][-1] if len(wire.pieces) > 1 else wire.start
    return x - distance * _sign(x - before[0]), y - distance * _sign(y - before[1])


def scissors(x: float, y: float, radius: float) -> str:
    """The mark of a cut: open scissors on a disc, drawn and not typed, since few fonts have the sign."""
    scale = "" if radius == BADGE_AXIS else f" scale({number(radius / BADGE_AXIS)})"
    return (
        f'<g transform="translate({number(x)} {number(y)}){scale}"><circle class="dot" r="{BADGE_AXIS}"/>'
        '<path class="sn" d="M-3.1 3.4 3.6-8M3.1 3.4-3.6-8"/><circle class="sn" cx="-4.2" cy="5.6" r="2.6"/>'
        '<circle class="sn" cx="4.2" cy="5.6" r="2.6"/></g>'
    )


def markers(drawing: Drawing) -> str:
    """The arrowheads that occur."""
    used = sorted({_HEAD[wire.wire.kind] for wire in drawing.wires if wire.wire.kind in _HEAD})
    if not used:
        return ""
    heads = "".join(
        f'<marker id="gv-{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="10" markerHeight="10" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="{name}h" d="M.5 1 10 5 .5 9 2.2 5z"/></marker>'
        for name in used
    )
    return f"<defs>{heads}</defs>"


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
    free = text_area(area, box_room(placed.box))
    x = free.x + free.width / 2
    style = "ct" if placed.box.kind is BoxKind.ERROR else ""
    if not placed.detail:
        return text(x, middle + 4, placed.title, style, True)
    return text(x, middle - 3, placed.title, style, True) + text(x, middle + 12, placed.detail, "k", True)
