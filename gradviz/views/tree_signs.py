"""The signs of the tree: how boxes and wires are written as characters, and the legend of those that occur."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from gradviz.picture.records import Box, BoxKind, Picture, Wire, WireKind
from gradviz.picture.signs import signs

SYMBOLS = {
    BoxKind.LEAF: ("●", "bold blue", "requires grad"),
    BoxKind.CONST: ("○", "", "needs no grad"),
    BoxKind.OP: ("■", "", "tracked op"),
    BoxKind.OFF: ("□", "dim", "not tracked"),
    BoxKind.OUTPUT: ("◆", "bold green", "output"),
    BoxKind.RESULT: ("◈", "dim", "another result"),
    BoxKind.OFF_OUTPUT: ("◇", "dim", "output without grad_fn"),
    BoxKind.CUT: ("✂", "bold red", "gradient stops"),
    BoxKind.EXIT: ("⇥", "dim", "left for Python or numpy"),
    BoxKind.ERROR: ("✗", "bold red", "raised"),
    BoxKind.SAVED: ("▤", "yellow", "saved for backward"),
    BoxKind.MORE: ("⋯", "dim", "not drawn"),
}
"""Sign, style and meaning of each kind of box; the sign alone tells them apart."""

FOLDED = {
    BoxKind.OP: ("▣", "", "several ops in one"),
    BoxKind.OFF: ("▨", "dim", "several ops in one, not tracked"),
    BoxKind.LEAF: ("◉", "bold blue", "several leaves in one, all require grad"),
    BoxKind.CONST: ("◎", "", "several leaves in one, none needs grad"),
}
"""The same for a box that stands for several."""

WIRES = {
    WireKind.GRADIENT: ("─", "│", ""),
    WireKind.TRACKED: ("╌", "╎", ""),
    WireKind.SHADOW: ("┈", "┊", "dim"),
    WireKind.ALIAS: ("≈", "≈", "dim"),
    WireKind.CUT: ("┈", "┊", "bold red"),
    WireKind.SAVED: ("┈", "┊", "yellow"),
    WireKind.ERROR: ("─", "│", "bold red"),
}
"""How a wire is drawn to the side, how straight down, and its style."""

WIRE_MEANING = {
    WireKind.GRADIENT: "gradient",
    WireKind.TRACKED: "tracked, no gradient comes",
    WireKind.SHADOW: "data only",
    WireKind.ALIAS: "same storage",
}

HEAVY = str.maketrans("─│╌╎┈┊├└", "━┃╍╏┉┇┝┕")
"""How a wire is drawn that is part of a lost road."""

SIDE, DOWN, LOST = "✂", "✂", "bold red"
"""The same for a wire on which gradient was lost."""

SEVERITIES = {"error": "bold red", "warning": "bold yellow"}

ARROWS = {"↑": "above", "↓": "below"}
"""Where the line of the same number stands that a line refers to."""


def symbol(box: Box) -> tuple[str, str, str]:
    """Sign, style and meaning of a box."""
    return SYMBOLS[box.kind] if box.fold is None else FOLDED[box.kind]


def road(wires: Sequence[Wire], picture: Picture) -> str:
    """The severity of the gravest finding whose lost road is on one of `wires`, or empty."""
    number = min((wire.road for wire in wires if wire.road), default=0)
    return picture.remarks[number - 1].severity if number else ""


def legend(picture: Picture, arrows: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Sign, style and meaning of all that occurs; `arrows` are those that do."""
    boxes = {box.kind for box in picture.boxes if box.fold is None}
    folded = {box.kind for box in picture.boxes if box.fold is not None}
    wires = {wire.kind for wire in picture.wires}
    yield from (look for kind, look in SYMBOLS.items() if kind in boxes)
    yield from (look for kind, look in FOLDED.items() if kind in folded)
    for kind, meaning in WIRE_MEANING.items():
        if kind in wires:
            _, down, style = WIRES[kind]
            yield down, style, meaning
    if any(wire.lost for wire in picture.wires):
        yield f"├{SIDE}", LOST, "gradient lost"
    roads = [wire for wire in picture.wires if wire.road]
    if roads:
        yield "┃", SEVERITIES[road(roads, picture)], "road of a lost gradient"
    merged = len({(wire.tail, wire.head) for wire in picture.wires}) < len(picture.wires)
    yield from ((mark, "", f"= {words}") for mark, words in signs(picture, merged=merged))
    told = [(arrow, where) for arrow, where in ARROWS.items() if arrow in arrows]
    if told:
        yield " ".join(f"{arrow}n" for arrow, _ in told), "cyan", f"= the line #n {' or '.join(w for _, w in told)}"
