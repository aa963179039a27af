"""Carrying: what a loop drawn as one turn says of the turns that are not drawn, on its wires and boxes.

A value that goes on into the next turn is marked where it is made and where it comes in, and the values that leave by
one wire each turn leave by one wire that says how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gradviz.graphs import Carried, Fold, Graph
from gradviz.picture.records import Box, BoxKind, Picture, Wire, WireKind
from gradviz.picture.wording import clean, dots, plural, shorten

SIGN = "↻"
"""Before the name of what goes round."""

NOTE = f"{SIGN} marks what goes on from one turn of a loop into the next"
NAME_LIMIT = 16
FEW = 3
"""More names than so many are counted in a box."""

TOLD = 6
"""So many are told in its tooltip."""

SHORT = 4
"""Such a name is told beside a box that bears it, too."""


def mark_turns(picture: Picture, graph: Graph, data: Mapping[int, str]) -> Picture:
    """`picture` of a folded graph with its loops marked; `data` tells the box that each value comes from."""
    loops = [fold for fold in graph.folds if fold.open and fold.times > 1]
    if not loops:
        boxes = {box.id: box for box in picture.boxes}
        return replace(picture, wires=_bundled(list(picture.wires), boxes, graph, data))
    marks: dict[str, list[Carried]] = {}
    times: dict[str, int] = {}
    entries: dict[tuple[str, int], tuple[int, list[str]]] = {}
    for fold in loops:
        for carried in fold.carried:
            if carried.leaves in data:
                marks.setdefault(data[carried.leaves], []).append(carried)
                times[data[carried.leaves]] = fold.times - 1
            if carried.enters is not None and carried.enters in data:
                for op in _users(graph, fold, carried.enters):
                    first, names = entries.setdefault((data[carried.enters], op), (carried.enters, []))
                    if first == carried.enters:
                        names.append(carried.name)
    boxes = {box.id: box for box in picture.boxes}
    wires = [_named(wire, boxes, entries) for wire in picture.wires]
    return replace(
        picture,
        boxes=tuple(
            _marked(box, graph, marks[box.id], times[box.id]) if box.id in marks else box for box in picture.boxes
        ),
        wires=_bundled(wires, boxes, graph, data),
        notes=(*picture.notes, NOTE) if marks else picture.notes,
    )


def _users(graph: Graph, fold: Fold, value: int) -> list[int]:
    """The ops of the turn that is drawn that use `value`."""
    return [op for op in fold.turns[0] if value in graph.ops[op].inputs]


def _mark(names: Iterable[str], title: str) -> str:
    """The sign, and what goes round where that is short, or not what the box is called anyway."""
    told = [shorten(name, NAME_LIMIT) for name in names if name != title or len(name) <= SHORT]
    if len(told) > FEW:
        return f"{SIGN} {plural(len(told), 'value')}"
    return f"{SIGN} {', '.join(told)}".rstrip()


def _marked(box: Box, graph: Graph, carried: list[Carried], times: int) -> Box:
    """`box` with what goes on from it into the next turn; a lone result has the name that it has in each turn."""
    names = list(dict.fromkeys(one.name for one in carried))
    op = graph.ops[box.op] if box.op is not None else None
    alone = op is not None and len(op.outputs) == 1 and len(names) == 1 and " = " in box.title
    title = f"{shorten(names[0])} = {clean(op.name)}" if alone and op is not None else box.title
    pairs = [("carried", f"{clean(name)} goes on into the next turn, {plural(times, 'time')}") for name in names[:TOLD]]
    if len(names) > TOLD:
        pairs.append(("carried", f"and so do {len(names) - TOLD:,} more"))
    return replace(box, title=title, detail=dots(box.detail, _mark(names, box.title)), tooltip=(*box.tooltip, *pairs))


def _named(wire: Wire, boxes: Mapping[str, Box], entries: Mapping[tuple[str, int], tuple[int, list[str]]]) -> Wire:
    """`wire` with the name of what it brings in first and a later turn gets from the one before.

    One value that comes in for two has a wire for each, which take the names in `entries` in turn.
    """
    op = boxes[wire.head].op
    entry = entries.get((wire.tail, op)) if op is not None and not wire.label else None
    if entry is None:
        return wire
    _, names = entry
    name = names.pop(0) if len(names) > 1 else names[0]
    return replace(wire, label=_mark([name], boxes[wire.tail].title))


def _bundled(wires: list[Wire], boxes: Mapping[str, Box], graph: Graph, data: Mapping[int, str]) -> tuple[Wire, ...]:
    """The wires, where those by which several values go from one box into one op are one.

    A box of leaves says itself how many they are.
    """
    kept: list[Wire] = []
    places: dict[tuple[str, str, WireKind, str, bool], int] = {}
    for wire in wires:
        key = (wire.tail, wire.head, wire.kind, wire.label, wire.lost)
        at = places.get(key)
        if at is None:
            places[key] = len(kept)
            kept.append(wire)
        elif not kept[at].label.startswith("×") and not _holds_leaves(boxes[wire.tail]):
            count = _values_between(wire, boxes, graph, data)
            if count > 1:
                kept[at] = replace(kept[at], label=f"×{count:,}")
            else:
                kept.append(wire)
    return tuple(kept)


def _holds_leaves(box: Box) -> bool:
    return box.fold is not None and box.kind in (BoxKind.LEAF, BoxKind.CONST)


def _values_between(wire: Wire, boxes: Mapping[str, Box], graph: Graph, data: Mapping[int, str]) -> int:
    """How many values the op of the box that `wire` leads to gets from the box that it comes from."""
    op = boxes[wire.head].op
    if op is None:
        return 0
    return len({item for item in graph.ops[op].value_inputs if data.get(item) == wire.tail})
