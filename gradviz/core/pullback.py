"""One node's part of a backward pass: the cotangents of its outputs, pulled back to its inputs by the row's VJPs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gradviz.core.compiling import can_pull, compiled, source_of_pull
from gradviz.core.complaints import SECOND_TIME, check_versions, noted
from gradviz.core.trace import FREED, FRESH, NUMBERS, STORED, Node, origin_of

if TYPE_CHECKING:
    from gradviz.core.ops.table import Row


SMALL = 4096
"""So many elements are written in less time than numpy takes to make a view of one."""

Arrivals: TypeAlias = dict[int, list[Any]]
"""For each leaf, by its `id`: the leaf, how many uses of it are still to come, and what came back so far."""


def run_node(node: Node, slots: Sequence[Any], pending: dict[Node, Any], arrivals: Arrivals, keep: bool) -> None:
    """Pull the cotangents of a node's outputs back to its inputs.

    pending: for each node that is still to run its cotangent, or a list of them where it has several outputs.
    """
    row = node.row
    if node.saved is FREED:
        raise noted(RuntimeError(SECOND_TIME), node)
    check_versions(node)
    g = slots[0] if not node.more else tuple(slots)
    known = dict(zip(row.saved_names, node.saved, strict=True))
    known.update(zip(row.static, node.static, strict=True))
    shapes: list[Any] = []
    for position, (link, need, formula) in enumerate(
        zip(node.links, node.needs, row.formulas_of(len(node.needs)), strict=True)
    ):
        if not need or formula is None:
            continue
        origin, number = origin_of(link)
        assert origin is not None
        leaf = None if node.leaves is None else node.leaves[position]
        if leaf is None and not origin.tracked:
            continue
        shape, array_type = (origin.shape, origin.array_type) if number == 0 else origin.more[number - 1]
        vjp, names = formula
        arguments = []
        for name in names:
            if name in known:
                arguments.append(known[name])
            elif name == "shape":
                arguments.append(shape)
            elif name == "index":
                arguments.append(position)
            elif name == "shapes":
                shapes = shapes or input_shapes(node)
                arguments.append(shapes)
            else:
                arguments.append(output_shape(node, name))
        cotangent = vjp(g, *arguments)
        if cotangent is None:
            continue
        cotangent = fitted(cotangent, shape, array_type)
        if leaf is not None:
            entry = arrivals[id(leaf)]
            entry[2] = cotangent if entry[2] is None else entry[2] + cotangent
        elif isinstance(origin, Node):
            arrive(pending, origin, number, cotangent)
    if not keep and row.saved_names:
        node.saved = FREED
        node.marks = ()


def arrive(pending: dict[Node, Any], node: Node, number: int, cotangent: Any) -> None:
    """Add a cotangent to one of the outputs of a node."""
    held = pending[node]
    if type(held) is list:
        held[number] = cotangent if held[number] is None else held[number] + cotangent
    else:
        pending[node] = cotangent if held is None else held + cotangent


def pull_of(row: Row) -> Callable[..., None]:
    """What pulls back the cotangent of a node of `row` that compiled code made: compiled, where that can be."""
    if not can_pull(row):
        return lambda node, g, pending, arrivals, keep: run_node(node, (g,), pending, arrivals, keep)
    vjps = {f"d{i}": formula[0] for i, formula in enumerate(row.formulas) if formula is not None}
    return compiled(_NAMES, source_of_pull(row), row, **vjps)


def output_shape(node: Node, name: str) -> Any:
    """Shape and type of each output, which is what `outputs` stands for in a derivative."""
    if name == "outputs":
        return ((node.shape, node.array_type), *node.more)
    raise TypeError(f"the derivative of row `{node.row.key}` reads `{name}`, which the row does not have")


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
    "FREED": FREED,
    "FRESH": FRESH,
    "STORED": STORED,
    "NUMBERS": NUMBERS,
    "SECOND_TIME": SECOND_TIME,
    "__name__": __name__,
    "check_versions": check_versions,
    "fitted": fitted,
    "ndarray": np.ndarray,
    "noted": noted,
}
"""What compiled code reads."""
