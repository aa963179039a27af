"""Coming in: the ops that use a number or an array which left the graph before, as far as the source says it.

No op joins the two ends. It is certain where the call that takes the number out stands inside of the expression that
uses it: `w * loss.item()`. Where the number went by way of a variable, that is the same one, but what happened to it
between is not recorded: such a wire is called probable.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from gradviz.events import Site
from gradviz.graphs import Graph, Op
from gradviz.picture.records import BoxKind, Picture, Wire, WireKind
from gradviz.picture.tidying import in_order

PROBABLE = "probable"
"""The label of a wire that the source makes likely and no more."""

_OF_NUMBERS = frozenset({"tensor", "as_tensor", "asarray", "from_numpy", "full"})
"""Ops that make a tensor of what Python or numpy holds."""

_EXPRESSION = 64
"""An expression takes no more numbers out than this; those from before it are not looked at again."""

_NAME = re.compile(r"[^\W\d]\w*")

_Place = tuple[str, str, int | None]


class Return(NamedTuple):
    """Data that left by the op `exit` comes in again; `label` is that of the wire."""

    exit: int
    label: str = ""


def join_numbers(picture: Picture, graph: Graph) -> Picture:
    """`picture` with a wire from each box that data left by to where it comes in: to the number that an op was given.

    The wire goes to the op itself where that was given several numbers.
    """
    exits = {box.op: box.id for box in picture.boxes if box.kind is BoxKind.EXIT}
    if not exits:
        return picture
    came = returns(graph)
    own: dict[int, str] = {}
    literals: dict[int, list[str]] = {}
    for box in picture.boxes:
        if box.op in came and box.kind is BoxKind.CONST and box.value is None:
            literals.setdefault(box.op, []).append(box.id)
        elif box.op in came:
            own[box.op] = box.id
    wires = [
        Wire(exits[exit], given[0] if len(given := literals.get(op, [])) == 1 else own[op], WireKind.SHADOW, label)
        for op, found in came.items()
        for exit, label in found
        if exit in exits and op in own
    ]
    if not wires:
        return picture
    joined = in_order(replace(picture, wires=(*picture.wires, *wires)))
    # Of a loop, where the first turn stands for the others, a number may seem to go back.
    return joined if len(joined.boxes) == len(picture.boxes) else picture


def returns(graph: Graph) -> dict[int, list[Return]]:
    """The ops that use what left before, by id, each with the exits that it comes from."""
    exits = [op for op in graph.ops.values() if not op.outputs and op.site in graph.sites]
    if not exits:
        return {}
    places = {_place(graph.sites[op.site or 0]) for op in exits}
    waiting: dict[_Place, deque[Op]] = {}
    named: dict[tuple[_Place, str], int | None] = {}
    found: dict[int, list[Return]] = {}
    for op in graph.ops.values():
        site = graph.sites.get(op.site) if op.site is not None else None
        if site is None or _place(site) not in places:
            continue
        place = _place(site)
        if op.outputs and _takes_numbers(op):
            inside = [exit for exit in waiting.get(place, ()) if _encloses(site, graph.sites[exit.site or 0])]
            for exit in inside:
                waiting[place].remove(exit)
            came = [Return(exit.id) for exit in inside]
            came += [Return(exit, PROBABLE) for exit in _by_name(site, place, named)]
            if came:
                found[op.id] = came
        if site.target.isidentifier():  # a variable holds what was assigned to it last
            named[place, site.target] = None if op.outputs else op.id
        if not op.outputs:
            waiting.setdefault(place, deque(maxlen=_EXPRESSION)).append(op)
    return found


def _by_name(site: Site, place: _Place, named: dict[tuple[_Place, str], int | None]) -> Iterator[int]:
    if site.end_line > site.line or site.column < 0:
        return
    for name in dict.fromkeys(_NAME.findall(site.text[site.column : site.end_column])):
        exit = named.get((place, name))
        if exit is not None:
            yield exit


def _takes_numbers(op: Op) -> bool:
    return (op.is_source and op.name in _OF_NUMBERS) or any(isinstance(item, str) for item in op.inputs)


def _place(site: Site) -> _Place:
    return site.file, site.function, site.caller


def _encloses(outer: Site, inner: Site) -> bool:
    """The expression at `inner` is a part of the one at `outer`, and not the same: one call of a library does both."""
    if outer.column < 0 or inner.column < 0:
        return False
    starts, begins = (outer.line, outer.column), (inner.line, inner.column)
    ends, stops = (outer.end_line, outer.end_column), (inner.end_line, inner.end_column)
    return starts <= begins and stops <= ends and (starts, ends) != (begins, stops)
