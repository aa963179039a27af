"""Repeating: a leaf that is used far apart is drawn beside each use, in place of wires through all of the picture."""

from __future__ import annotations

from dataclasses import replace

from gradviz.picture.records import Box, BoxKind, Picture

FAR = 10
"""Uses that have so many rows between them are far apart."""

MOST = 6
"""A leaf that would be drawn more often keeps its wires: they run side by side as one."""

_LEAVES = frozenset({BoxKind.LEAF, BoxKind.CONST})


def repeat_leaves(picture: Picture) -> Picture:
    """`picture` with a box for each place in which a leaf is used; all but the first say that they are repeated.

    A leaf that a finding blames stays one, and so does one that a lost road starts from or that loses a gradient.
    """
    rows = _rows(picture)
    uses: dict[str, list[int]] = {}
    entered = {wire.head for wire in picture.wires}
    for number, wire in enumerate(picture.wires):
        uses.setdefault(wire.tail, []).append(number)
    copies: dict[str, list[Box]] = {}
    tails: dict[int, Box] = {}
    told: dict[str, Box] = {}
    for box in picture.boxes:
        if box.kind not in _LEAVES or box.value is None or box.findings or box.id in entered:
            continue
        wires = sorted(uses.get(box.id, ()), key=lambda number: (rows[picture.wires[number].head], number))
        groups = _groups(picture, rows, wires)
        if not 1 < len(groups) <= MOST or any(picture.wires[n].road or picture.wires[n].lost for n in wires):
            continue
        times = (("drawn", f"{len(groups)} times, beside each use"),)
        told[box.id] = replace(box, tooltip=(*box.tooltip, *times))
        for group in groups[1:]:
            copy = Box("", box.kind, box.title, "the same again", (*box.tooltip, *times), None, box.value)
            copies.setdefault(picture.wires[group[0]].head, []).append(copy)
            tails.update(dict.fromkeys(group, copy))
    return _with_copies(picture, told, copies, tails) if tails else picture


def _rows(picture: Picture) -> dict[str, int]:
    """In which row each box stands, counted from the last: as near to what it leads to as can be."""
    rows = dict.fromkeys((box.id for box in picture.boxes), 0)
    onward: dict[str, list[str]] = {}
    for wire in picture.wires:
        onward.setdefault(wire.tail, []).append(wire.head)
    for box in reversed(picture.boxes):  # wires lead from earlier boxes to later ones
        rows[box.id] = min([rows[head] for head in onward.get(box.id, ())], default=1) - 1
    return rows


def _groups(picture: Picture, rows: dict[str, int], wires: list[int]) -> list[list[int]]:
    """The wires of a leaf, in groups of those that lead to near rows."""
    groups: list[list[int]] = []
    before = 0
    for number in wires:
        row = rows[picture.wires[number].head]
        if not groups or row - before > FAR:
            groups.append([])
        groups[-1].append(number)
        before = row
    return groups


def _with_copies(
    picture: Picture, told: dict[str, Box], copies: dict[str, list[Box]], tails: dict[int, Box]
) -> Picture:
    """The picture with each copy before the box that uses it first, in its frame, and boxes called by their place."""
    order: list[Box] = []
    names: dict[int | str, str] = {}
    for box in picture.boxes:
        for copy in copies.get(box.id, ()):
            names[id(copy)] = f"b{len(order)}"
            order.append(replace(copy, id=names[id(copy)], frame=box.frame))
        names[box.id] = f"b{len(order)}"
        order.append(replace(told.get(box.id, box), id=names[box.id]))
    wires = tuple(
        replace(wire, tail=names[id(tails[number])] if number in tails else names[wire.tail], head=names[wire.head])
        for number, wire in enumerate(picture.wires)
    )
    return replace(picture, boxes=tuple(order), wires=wires)
