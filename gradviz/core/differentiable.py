"""Backward passes whose gradients have a graph of their own: `create_graph=True`.

The same VJPs run on Tensors. What a node saved becomes a Tensor again that stands where the saved one stood: for an
input, at the op that made it; for the result, at the node itself. So each cotangent knows what it was made from, and
can be differentiated like any other result.
"""

from __future__ import annotations

import functools
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from gradviz.core.apply import apply, wrap
from gradviz.core.apply import leaf as new_leaf
from gradviz.core.complaints import REFERENCE_CYCLE
from gradviz.core.dual import cast
from gradviz.core.feeding import Sweep
from gradviz.core.ops.table import op
from gradviz.core.pullback import questions
from gradviz.core.saving import saved_by
from gradviz.core.sweeping import Graphed
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Node, Storage, Trace, origin_of
from gradviz.core.walking import run_node
from gradviz.errors import NotWrittenError
from gradviz.sites import user_frame

Walk: TypeAlias = Callable[[list[Any], Callable[..., None]], list[Tensor | None]]


def pull(sweep: Sweep, seeds: list[Any], given: tuple[Any, ...], walk: Walk) -> list[Tensor | None]:
    """Run every node behind the roots on Tensors; feed leaves, or collect for `sweep.inputs`.

    seeds: the cotangents of the roots as arrays. given: as the Tensors that the user gave, or None.
    walk: takes cotangents, and what runs a node, through the graph.
    """
    if sweep.kind == "backward":
        _warn(REFERENCE_CYCLE)
    with Graphed(sweep) as graphed:
        started = [
            new_leaf(np.array(seed), "grad", False, inner=True) if one is None else one
            for seed, one in zip(seeds, given or (None,) * len(seeds), strict=False)
        ]
        results = walk(started, _run_node)
        graphed.made(results)
    return results


def _warn(text: str) -> None:
    """A UserWarning at the user's line, however many of gradviz's own calls lie between."""
    frame = user_frame(sys._getframe(1))
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno, registry=registry)


def _pull_tensors(node: Node, slots: Sequence[Any]) -> list[Any]:
    """`pullback.pull_arrays` by ops."""
    g: Any = slots[0] if not node.more else tuple(slots)
    found: list[Any] = []
    for question in questions(node, g, _saved_tensors(node), _value):
        cotangent = None
        if question is not None:
            shape, array_type, formula, known = question
            cotangent = _value(node, formula, g, known)
            if cotangent is not None:
                if not isinstance(cotangent, Tensor):
                    raise _not_written(node)
                cotangent = sum_to(cotangent, shape) if cotangent._data.shape != shape else cotangent
                cotangent = cast(cotangent, array_type)
        found.append(cotangent)
    return found


_run_node = functools.partial(run_node, pull=_pull_tensors)


def _value(node: Node, formula: Any, g: Any, known: dict[str, Any]) -> Any:
    """What a formula says, computed on Tensors. Raises NotWrittenError where it was written for arrays only."""
    function, names = formula
    try:
        return function(g, *[known[name] for name in names])
    except (TypeError, AttributeError) as error:
        raise _not_written(node) from error
    except RuntimeError as error:
        if not str(error).startswith("Can't call numpy() on Tensor"):
            raise
        raise _not_written(node) from error


def _not_written(node: Node) -> NotWrittenError:
    return NotWrittenError(
        f"the second derivative of `{node.op_name}` (row `{node.row.key}`) is not written yet in gradviz's core",
        help="run the script with PyTorch installed, or leave out `create_graph=True`",
    )


# ---- what a node saved, as Tensors


def _saved_tensors(node: Node) -> dict[str, Any]:
    row = node.row
    marks = dict(zip(row.saved_names, node.marks, strict=False))
    known: dict[str, Any] = {}
    for name, kept in zip(row.saved_names, saved_by(node), strict=True):
        if kept is None or (row.variadic and name == row.inputs[-1]) or name == "node":
            known[name] = kept
        elif name in ("out", "out1"):
            known[name] = _restored(kept, node, int(name == "out1"), True, marks.get(name))
        else:
            position = row.inputs.index(name)
            known[name] = _restored_input(node, position, kept, marks.get(name))
    return known


def _restored_input(node: Node, position: int, kept: Any, mark: Any) -> Any:
    origin, number = origin_of(node.links[position])
    if origin is None:
        return kept
    leaf = None if node.leaves is None else node.leaves[position]
    if leaf is not None and leaf._data is kept:
        return leaf
    if leaf is not None:
        other = kept.dtype != leaf._data.dtype or kept.dtype.kind != "f"
        return cast(leaf, kept.dtype) if other else apply(UNPACKED, (leaf,), (kept,))
    return _restored(kept, origin, number, node.needs[position] and origin.tracked, mark)


def _restored(kept: Any, origin: Trace, number: int, requires_grad: bool, mark: tuple[Storage, int] | None) -> Any:
    """A saved array as the Tensor that it was; what is no number with a fraction stays an array."""
    if kept.dtype.kind != "f":
        return kept
    tensor = wrap(kept, origin, number, requires_grad)
    if mark is not None:
        tensor._memory = mark[0]
    elif not number and tensor._memory is None:
        tensor._memory = tensor._storage  # the one that the tensor itself has, or gets
    return tensor


UNPACKED = op("unpacked(x, *, data)", lambda x, data: data, x=lambda g: g)
"""A leaf with what was saved of it in place of what it holds."""


def sum_to(cotangent: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo broadcasting: sum over the dimensions that `shape` lacks or has as 1; spread where it is the smaller one."""
    have = cotangent._data.shape
    extra = len(have) - len(shape)
    if extra >= 0:
        axes = tuple(range(extra)) + tuple(
            axis + extra for axis, length in enumerate(shape) if length == 1 and have[axis + extra] != 1
        )
        if axes:
            cotangent = cotangent.sum(axes, keepdim=True)
        if math.prod(cotangent._data.shape) == math.prod(shape):
            return cotangent if cotangent._data.shape == shape else cotangent.reshape(shape)
    result: Tensor = cotangent.expand(shape)
    return result
