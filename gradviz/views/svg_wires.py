"""The wires of an SVG: lines and arrowheads, many of one kind in one path.

A browser takes about as long for a path of one line as for one of sixty. They are no longer than that, so that it can
leave out those that lie outside of what it shows.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.layout.drawing import Drawing, RoutedWire
from gradviz.picture.records import WireKind
from gradviz.views.svg_marks import Known, cross_at, number, text

_STYLES = {
    WireKind.SAVED: ("v", ""),
    WireKind.SHADOW: ("d", "dh"),
    WireKind.ALIAS: ("a", "gh"),
    WireKind.TRACKED: ("w", "wh"),
    WireKind.GRADIENT: ("g", "gh"),
    WireKind.CUT: ("c", ""),
    WireKind.ERROR: ("c err", "ch"),
}
"""Class of the line and of its head, if it has one, by kind; what is to be seen first comes last and lies on top."""

_HEADS = {(0, 1): "l-4-9.5 4 1.7 4-1.7z", (0, -1): "l4 9.5-4-1.7-4 1.7z",
          (1, 0): "l-9.5-4 1.7 4-1.7 4z", (-1, 0): "l9.5 4-1.7-4 1.7-4z"}  # fmt: skip
"""From its point on, the outline of an arrowhead that shows in a direction."""

_TIP = 2
_CROSS_DISTANCE = 18
_AT_ONCE = 60


def wires(drawing: Drawing) -> Iterator[str]:
    """Every wire, kind by kind, then every label."""
    for kind, routed in by_kind(drawing).items():
        style, head = _STYLES[kind]
        down = _HEADS[0, 1]
        for start in range(0, len(routed), _AT_ONCE):
            some = routed[start : start + _AT_ONCE]
            if not head:
                yield f'<path class="{style}" d="{"".join(map(stretch, some))}"/>'
                continue
            numbers: list[float] = []
            heads = []
            for wire in some:
                numbers += wire.numbers
                before_x, before_y, y = numbers[-3:]
                if wire.steps[-1] == "V" and y > before_y:
                    # Nearly every wire comes from above.
                    heads.append(f"M{number(before_x)} {number(y)}{down}")
                    numbers[-1] = y - _TIP
                    continue
                ahead_x, ahead_y = ahead = _direction(wire)
                x, y = wire.end
                heads.append(f"M{number(x)} {number(y)}{_HEADS[ahead]}")
                short = (x - _TIP * ahead_x, y - _TIP * ahead_y)
                last = {"H": short[:1], "V": short[1:]}.get(wire.steps[-1], short)
                numbers[-len(last) :] = last
            ways = "".join([_forms[wire.steps] for wire in some])
            yield f'<path class="{style}" d="{ways % (*map(number, numbers),)}"/>'
            yield f'<path class="{head}" d="{"".join(heads)}"/>'
    for wire in drawing.wires:
        if wire.label_area is not None:
            yield text(wire.label_area.x, wire.label_area.bottom - 4, wire.label, "k")


def by_kind(drawing: Drawing) -> dict[WireKind, list[RoutedWire]]:
    """The wires as they are written out: what comes last lies on top."""
    sorted_out: dict[WireKind, list[RoutedWire]] = {kind: [] for kind in _STYLES}
    for wire in drawing.wires:
        sorted_out[wire.wire.kind].append(wire)
    return sorted_out


def wire_sample(kind: WireKind, length: int) -> str:
    """A level wire from (0, -4) on, for the legend."""
    style, head = _STYLES[kind]
    pointed = f'<path class="{head}" d="M{length}-4{_HEADS[1, 0]}"/>' if head else ""
    return f'<path class="{style}" d="M0-4H{length - _TIP}"/>{pointed}'


def stretch(wire: RoutedWire) -> str:
    """A wire's way as the data of a path."""
    return _forms[wire.steps] % (*map(number, wire.numbers),)


def _form(steps: str) -> str:
    """The data of a path of such steps, with places for its numbers."""
    return "M%s %s" + "".join([f"{step}%s" if step in "HV" else "C%s %s %s %s %s %s" for step in steps])


_forms = Known(_form, 256)


def _direction(wire: RoutedWire) -> tuple[int, int]:
    """The way in which a wire arrives, one step long: its last stretch is level or upright."""
    pieces = wire.pieces
    last = pieces[-1]
    x, y = last[-1]
    before_x, before_y = last[-2] if len(last) > 1 else pieces[-2][-1] if len(pieces) > 1 else wire.start
    if x == before_x:
        return (0, -1) if y < before_y else (0, 1)
    return (-1, 0) if x < before_x else (1, 0)


def cross(wire: RoutedWire) -> str:
    """The red mark before the head of a wire that loses its gradient."""
    (x, y), (ahead_x, ahead_y) = wire.end, _direction(wire)
    return cross_at(x - _CROSS_DISTANCE * ahead_x, y - _CROSS_DISTANCE * ahead_y)
