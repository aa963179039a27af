"""One node's part of a backward pass: the cotangents of its outputs, pulled back to its inputs by the row's VJPs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.complaints import SECOND_TIME, check_versions, noted
from gradviz.core.feeding import Leaves
from gradviz.core.trace import FREED, Node, origin_of


def run_node(node: Node, slots: list[Any], pending: dict[Node, list[Any]], leaves: Leaves, keep: bool) -> None:
    """Pull the cotangents of a node's outputs back to its inputs."""
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
                shapes = shapes or _input_shapes(node)
                arguments.append(shapes)
            else:
                arguments.append(_output_shape(node, name))
        cotangent = vjp(g, *arguments)
        if cotangent is None:
            continue
        if cotangent.shape != shape:
            cotangent = sum_to(cotangent, shape)
        if cotangent.dtype != array_type:
            cotangent = cotangent.astype(array_type)
        if leaf is not None:
            leaves.add(leaf, cotangent)
        elif isinstance(origin, Node):
            target = pending[origin]
            target[number] = cotangent if target[number] is None else target[number] + cotangent
    if not keep and row.saved_names:
        node.saved = FREED
        node.marks = ()


def _output_shape(node: Node, name: str) -> Any:
    if name == "outputs":
        return ((node.shape, node.array_type), *node.more)
    raise TypeError(f"the derivative of row `{node.row.key}` reads `{name}`, which the row does not have")


def _input_shapes(node: Node) -> list[Any]:
    shapes: list[Any] = []
    for link in node.links:
        origin, number = origin_of(link)
        if origin is None:
            shapes.append(())
        else:
            shapes.append(origin.shape if number == 0 else origin.more[number - 1][0])
    return shapes


def sum_to(cotangent: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum over the dimensions that `shape` lacks or has as 1; spread where it is the smaller one."""
    extra = cotangent.ndim - len(shape)
    if extra < 0:
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
