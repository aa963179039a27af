"""What an event says of one op: its inputs, its outputs, what its node keeps, and its plain arguments as text.

All of it is told from the record and its row, never from an array, so it can be told after a backward freed them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz import events
from gradviz.core.dtypes import FROM_NUMPY
from gradviz.core.trace import ALIAS, KEEPS_NODE, LEAF_GRAD, PART, Node, Trace, origin_of, seen, told_of

SAVED_NAMES = {"x": "self", "y": "other", "out": "result", "out1": "indices"}
"""PyTorch's names for what a node saves, by the names in the op table."""


LITERAL_LIMIT = 8
"""Most entries of a list or tuple that are shown."""


def inputs_of(step: Trace) -> tuple[events.Input, ...]:
    """For each input the id of the value that the op saw, or the text of a plain argument; none for one left out."""
    inputs: list[events.Input] = []
    for link in told_of(step)[0]:
        if link is not None:
            origin, number = seen(link, step.id)
            inputs.append(literal(link) if origin is None else origin.id + number)
    return tuple(inputs)


def needs_of(step: Trace) -> tuple[bool, ...]:
    """For each of `inputs_of`, whether it required grad."""
    links, needs = told_of(step)
    if None not in links:
        return needs
    return tuple(need for link, need in zip(links, needs, strict=True) if link is not None)


def types_of(step: Trace) -> tuple[Any, ...]:
    """Shape and numpy type of each input, and of each that is told of where these are others."""
    links = step.links if step.whole is None else step.links + step.whole[0]
    return tuple(input_type(link) for link in links)


def literals_of(step: Trace) -> tuple[str, ...]:
    """The text of each static argument."""
    return tuple(map(literal, step.static))


def input_type(link: Any) -> Any:
    """Shape and numpy type of what a link stands for; None for a plain argument."""
    origin, number = origin_of(link)
    if origin is None:
        return None
    return (origin.shape, origin.array_type) if number == 0 else origin.more[number - 1]


def outputs_of(step: Trace) -> tuple[events.Output, ...]:
    """An op's results as they were born."""
    if step.array_type is None:
        return ()
    result = []
    for number, (shape, array_type) in enumerate(((step.shape, step.array_type), *step.more)):
        requires_grad = bool(step.flags & (LEAF_GRAD | KEEPS_NODE))
        if step.tracked:
            requires_grad = number not in step.row.nondifferentiable_outputs
        leaf = not requires_grad or not (step.tracked or step.flags & KEEPS_NODE)
        result.append(events.Output(*_type_of(shape, array_type), requires_grad, leaf))
    return tuple(result)


def _type_of(shape: tuple[int, ...], array_type: Any) -> tuple[tuple[int, ...], str, int]:
    """Shape, dtype and bytes, as events have them."""
    return shape, FROM_NUMPY[array_type].name, math.prod(shape) * array_type.itemsize


def saved_by(step: Node) -> tuple[events.Saved, ...]:
    """What a node keeps, from its row and its inputs alone, so that it can be told after the arrays were freed.

    Of a whole, what the nodes of all its steps keep.
    """
    if step.whole is None:
        return tuple(_saved(step))
    steps: list[Trace] = [step]
    for one in steps:
        steps += [
            origin
            for origin, _ in map(origin_of, one.links)
            if origin is not None and origin.flags & PART and origin not in steps
        ]
    return tuple(kept for one in reversed(steps) if isinstance(one, Node) for kept in _saved(one, step.whole[0]))


def _saved(step: Node, told: tuple[Any, ...] | None = None) -> list[events.Saved]:
    """What one node keeps; `told` are the inputs that are told of a whole that it is part of."""
    row = step.row
    wanted: set[str] = set()
    for need, names in zip(step.needs, row.reads_of(len(step.needs)), strict=True):
        if need:
            wanted |= names
    result: list[events.Saved] = []
    for name in row.saved_names:
        if name not in wanted:
            continue
        shown = SAVED_NAMES.get(name, name)
        if name == "out":
            result.append(events.Saved(shown, *_type_of(step.shape, step.array_type), -1))
            continue
        if name == "out1":
            result.append(events.Saved(shown, *_type_of(*step.more[0]), -2))
            continue
        position = row.inputs.index(name)
        several = row.variadic and position == len(row.inputs) - 1
        for place in range(position, len(step.links) if several else min(position + 1, len(step.links))):
            kept = input_type(step.links[place])
            if kept is not None:
                label = f"{shown}[{place - position}]" if several else shown
                result.append(events.Saved(label, *_type_of(*kept), _source(step, place, told)))
    return result


def _source(step: Node, place: int, told: tuple[Any, ...] | None) -> int | None:
    """As which of the inputs that are told of an input of a node counts: itself, or what it is a view of."""
    links = step.links
    if told is None:
        return place - links[:place].count(None)
    origins = [origin_of(link) for link in told]
    origin, number = origin_of(links[place])
    while origin is not None and origin.flags & PART and origin.flags & ALIAS:
        origin, number = origin_of(origin.links[0])
    return origins.index((origin, number)) if (origin, number) in origins else None


def literal(item: Any) -> str:
    """The text of a plain argument as a user would write it; empty for what has none worth showing."""
    kind = type(item)
    if kind in (int, float, bool, str, type(None)):
        return repr(item)
    if kind in (tuple, list):
        inner = ", ".join(literal(part) for part in item[:LITERAL_LIMIT])
        if len(item) > LITERAL_LIMIT:
            inner += ", ..."
        if kind is list:
            return f"[{inner}]"
        return f"({inner},)" if len(item) == 1 else f"({inner})"
    if kind is slice:
        parts = (item.start, item.stop) if item.step is None else (item.start, item.stop, item.step)
        return ":".join("" if part is None else literal(part) for part in parts)
    if item is Ellipsis:
        return "..."
    if isinstance(item, np.ndarray):
        return f"array{list(item.shape)}"
    if isinstance(item, np.dtype) and item in FROM_NUMPY:
        return FROM_NUMPY[item].name
    if isinstance(item, np.generic):
        return repr(item.item())
    return ""
