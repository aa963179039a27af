"""One node's part of a backward pass: the cotangents of its outputs, pulled back to its inputs by the row's VJPs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gradviz.core.compiling import compiled, keeps_type
from gradviz.core.compiling_pulls import can_pull, source_of_pull
from gradviz.core.complaints import SECOND_TIME, check_versions, noted
from gradviz.core.fields import ALONE, MANY
from gradviz.core.saving import LINKED, saved_by
from gradviz.core.trace import FREED, FRESH, NUMBERS, STORED, Node, origin_of

if TYPE_CHECKING:
    from gradviz.core.ops.table import Row


SMALL = 4096
"""So many elements are written in less time than numpy takes to make a view of one."""


def _count_of_one() -> int:
    one = object()
    return sys.getrefcount(one)


SOLE = _count_of_one()
"""How many references Python counts to what has one local name and no other."""

Arrivals: TypeAlias = dict[int, list[Any]]
"""For each leaf, by its `id`: the leaf, the last node to run that uses it, what came back so far, and whether that is a
sum that nobody else has, so that it may be added to in place."""


def run_node(node: Node, slots: Sequence[Any], pending: dict[Node, Any], arrivals: Arrivals, keep: bool) -> None:
    """Pull the cotangents of a node's outputs back to its inputs.

    pending: for each node that is still to run its cotangent, or a list of them where it has several outputs.
    """
    check(node)
    deliver(node, pull_arrays(node, slots), pending, arrivals, keep)


def check(node: Node) -> None:
    """Raise RuntimeError where what a node saved is gone, or was written since."""
    if node.saved is FREED:
        raise noted(RuntimeError(SECOND_TIME), node)
    check_versions(node)


def pull_arrays(node: Node, slots: Sequence[Any]) -> list[Any]:
    """From the cotangents of a node's outputs that of each input; None where there is none."""
    g = slots[0] if not node.more else tuple(slots)
    found: list[Any] = []
    for question in questions(node, g, dict(zip(node.row.saved_names, saved_by(node), strict=True))):
        cotangent = None
        if question is not None:
            shape, array_type, formula, known = question
            cotangent = _value(node, formula, g, known)
            if cotangent is not None:
                cotangent = fitted(cotangent, shape, array_type)
        found.append(cotangent)
    return found


def _value(node: Node, formula: Any, g: Any, known: dict[str, Any]) -> Any:
    function, names = formula
    return function(g, *[known[name] for name in names])


def questions(node: Node, g: Any, known: dict[str, Any], value: Callable[..., Any] = _value) -> list[Any]:
    """For each input that a cotangent goes to: its shape, its dtype, its formula and what that may read; else None.

    known: what the node saved, by name. value: computes what a formula says, for what several of them share.
    """
    row = node.row
    known.update(zip(row.static, node.static, strict=True))
    asked: list[Any] = []
    for position, (link, need, formula) in enumerate(
        zip(node.links, node.needs, row.formulas_of(len(node.needs)), strict=True)
    ):
        origin, number = origin_of(link)
        leaf = None if node.leaves is None else node.leaves[position]
        if not need or formula is None or origin is None or (leaf is None and not origin.tracked):
            asked.append(None)
            continue
        shape, array_type = (origin.shape, origin.array_type) if number == 0 else origin.more[number - 1]
        about: dict[str, Any] = {"shape": shape, "index": position}
        if "shapes" in formula[1]:
            about["shapes"] = input_shapes(node)
        if "outputs" in formula[1]:
            about["outputs"] = ((node.shape, node.array_type), *node.more)
        asked.append((shape, array_type, formula, about))
    wanted = [question for question in asked if question is not None]
    if row.shared:
        for name, formula in row.shared_by(formula for _, _, formula, _ in wanted):
            known[name] = value(node, formula, g, known)
    for *_, about in wanted:
        about.update(known)
    return asked


def deliver(node: Node, found: Sequence[Any], pending: dict[Node, Any], arrivals: Arrivals, keep: bool) -> None:
    """Send the cotangents of a node's inputs on to the nodes and leaves behind it, and free what it saved."""
    for position, cotangent in enumerate(found):
        if cotangent is None:
            continue
        leaf = None if node.leaves is None else node.leaves[position]
        origin, number = origin_of(node.links[position])
        if leaf is not None:
            entry = arrivals[id(leaf)]
            entry[2] = cotangent if entry[2] is None else entry[2] + cotangent
        elif isinstance(origin, Node) and origin in pending:
            arrive(pending, origin, number, cotangent)
    if not keep and node.row.saved_names:
        node.saved = FREED
        node.marks = ()


def arrive(pending: dict[Node, Any], node: Node, number: int, cotangent: Any) -> None:
    """Add a cotangent to one of the outputs of a node."""
    held = pending[node]
    if type(held) is list:
        held[number] = cotangent if held[number] is None else held[number] + cotangent
    else:
        pending[node] = cotangent if held is None else held + cotangent


def pull_of(row: Row, paired: bool = False) -> Callable[..., None]:
    """What pulls back the cotangent of a node of `row` that compiled code made: compiled, where that can be.

    paired: the node may have pairs for links, or several outputs, whose cotangents come in a tuple.
    """
    if not can_pull(row):

        def pull(node: Node, g: Any, pending: Any, arrivals: Any, keep: bool) -> None:
            run_node(node, g if type(g) is tuple else (g,), pending, arrivals, keep)

        return pull
    vjps = {f"d{i}": formula[0] for i, formula in enumerate(row.formulas) if formula is not None}
    vjps |= {f"s_{name}": function for name, function in row.shared.items()}
    vjps |= {f"p{row.inputs.index(name)}": function for name, function in row.parts.items()}
    plain = getattr(row.forward, "plain", None) or row.forward
    return compiled(_NAMES, source_of_pull(row, keeps_type(plain), paired), row, **vjps)


def input_shapes(node: Node) -> list[Any]:
    """The shape of each input; () for a plain argument."""
    shapes: list[Any] = []
    for link in node.links:
        origin, number = origin_of(link)
        if origin is None:
            shapes.append(())
        else:
            shapes.append(origin.shape if number == 0 else origin.more[number - 1][0])
    return shapes


def fitted(cotangent: Any, shape: tuple[int, ...], array_type: Any) -> Any:
    """A cotangent in the shape and type of what it is for."""
    if cotangent.shape != shape:
        cotangent = sum_to(cotangent, shape)
    return cotangent if cotangent.dtype == array_type else cotangent.astype(array_type)


def sum_to(cotangent: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum over the dimensions that `shape` lacks or has as 1; spread where it is the smaller one."""
    extra = cotangent.ndim - len(shape)
    if extra < 0:
        if not cotangent.ndim and math.prod(shape) <= SMALL:
            whole = np.empty(shape, cotangent.dtype)
            whole.fill(cotangent)
            return whole
        return np.broadcast_to(cotangent, shape)
    if extra and cotangent.shape[extra:] == shape:
        return np.add.reduce(cotangent, axis=tuple(range(extra)))
    axes = tuple(range(extra)) + tuple(
        axis + extra for axis, length in enumerate(shape) if length == 1 and cotangent.shape[axis + extra] != 1
    )
    if axes:
        cotangent = np.add.reduce(cotangent, axis=axes)
    if cotangent.shape == shape:
        return cotangent
    if math.prod(cotangent.shape) == math.prod(shape):
        return cotangent.reshape(shape)
    return np.broadcast_to(cotangent, shape)


_NAMES = {
    "ALONE": ALONE,
    "FREED": FREED,
    "FRESH": FRESH,
    "STORED": STORED,
    "LINKED": LINKED,
    "MANY": MANY,
    "NUMBERS": NUMBERS,
    "SECOND_TIME": SECOND_TIME,
    "__name__": __name__,
    "check_versions": check_versions,
    "getrefcount": sys.getrefcount,
    "input_shapes": input_shapes,
    "SOLE": SOLE,
    "fitted": fitted,
    "ndarray": np.ndarray,
    "noted": noted,
}
"""What compiled code reads."""
