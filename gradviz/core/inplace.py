"""In-place writes: what they do to the tensor written, to its base and its views, and to the versions that nodes check.

Writing to a tensor gives it a new origin. Writing to a view also gives its base one (`CopySlices`: the base with a part
replaced), and every view of that base is then a cut of the new base (`AsStridedBackward0`), which `regenerate` works
out when the view is next used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.aliasing import Replay, View, cut
from gradviz.core.apply import cause_of, connect, describe, node, promoted, tell, user_frame
from gradviz.core.grad_mode import current
from gradviz.core.listeners import listeners
from gradviz.core.ops.table import Row, op
from gradviz.core.tensor import Tensor
from gradviz.core.trace import ALIAS, INPLACE, LEAF_GRAD, Node, Trace


def _part_zeroed(g: Any, replay: Replay) -> Any:
    rest = np.array(g)
    cut(replay, rest)[...] = 0
    return rest


def _scattered(g: Any, shape: tuple[int, ...], replay: Replay) -> Any:
    whole = np.zeros(shape, g.dtype)
    part = cut(replay, whole)
    part += g
    return whole


COPY_SLICES = op(
    "copy_slices(base, part, *, replay)",
    lambda base, part, replay: None,
    node="CopySlices",
    base=_part_zeroed,
    part=lambda g, replay: cut(replay, g),
)
AS_STRIDED = op(
    "as_strided(base, *, replay)",
    lambda base, replay: cut(replay, base),
    node="AsStridedBackward0",
    base=_scattered,
)


def apply_inplace(
    row: Row,
    target: Tensor,
    others: Sequence[Any] = (),
    static: tuple[Any, ...] = (),
    write: Callable[..., None] | None = None,
) -> Tensor:
    """Run `row` with `target` as its first input, put the result into target's memory and return target.

    write: for a row whose result is cheaper to write than to compute anew; called with target's array, the other
        inputs' arrays and the static arguments.
    Raises RuntimeError, with PyTorch's texts, for a leaf that requires grad and for its views while grad mode is on.
    """
    target._refresh()
    region = current()
    tracks = region is None or region.tracks
    if tracks:
        check(target)
    inputs = (target, *others)
    memory = target._array()
    arrays = [operand._data if isinstance(operand, Tensor) else operand for operand in inputs]
    result = None
    ready = arrays
    if write is None:
        ready = promoted(arrays) if row.promotes else arrays
        result = row.forward(*ready, *static)
        check_fits(result, memory)
    links, needs, leaves = connect(inputs)
    tracked = tracks and row.differentiable and True in needs
    frame = user_frame(sys._getframe(1))
    step: Trace = _node(row, inputs, ready, needs, leaves, memory) if tracked else Trace()
    describe(step, row, links, needs, static, memory, region, frame)
    if write is None:
        memory[...] = result
    else:
        write(memory, *arrays[1:], *static)
    storage = target._storage
    if storage.version is not None:
        storage.version += 1
    if isinstance(step, Node):
        step.flags |= ALIAS | INPLACE
        if row.saved_names and row.saved_names[-1] == "out" and step.saved[-1] is not None:
            step.marks = (*step.marks[:-1], (storage, storage.version))
        if listeners:
            tell(step, frame)
        _adopt(target, step, frame)
    else:
        cause_of(step, row, memory, region)
        step.flags |= ALIAS | INPLACE | (LEAF_GRAD if target._requires_grad else 0)
        if not target._origin.tracked:
            target._origin, target._number = step, 0
        if target._view is not None:
            target._view.version = storage.version
        if listeners:
            tell(step, frame)
    return target


def _node(row: Row, inputs: Any, arrays: Any, needs: Any, leaves: Any, memory: Any) -> Node:
    """A node which keeps a copy of what the write will overwrite, where a VJP reads it."""
    overwritten = row.inputs[0]
    if any(need and overwritten in names for need, names in zip(needs, row.reads_of(len(needs)), strict=True)):
        copy = np.array(arrays[0])
        return node(row, (copy, *inputs[1:]), (copy, *arrays[1:]), needs, leaves, memory)
    return node(row, inputs, arrays, needs, leaves, memory)


def check(target: Tensor) -> None:
    """Raise PyTorch's error where an in-place write would lose a leaf's gradient."""
    if not target._requires_grad:
        return
    if not target._origin.tracked and target._view is None:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    view = target._view
    if view is None:
        return
    if view.base._requires_grad and not view.base._origin.tracked:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if not target._origin.tracked:
        raise RuntimeError(
            "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that "
            "this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both "
            "the view and the inplace either both inside the no_grad block (if you don't want the inplace to be "
            "tracked) or both outside (if you want the inplace to be tracked)."
        )


def check_fits(result: Any, memory: Any) -> None:
    """Raise RuntimeError where a result has another shape than the tensor, or a dtype that it cannot hold."""
    if result.shape != memory.shape:
        raise RuntimeError(
            f"output with shape {list(memory.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    have, want = dtypes.of(result), dtypes.of(memory)
    if have.category > want.category:
        raise RuntimeError(
            f"result type {have.type_name.removesuffix('Tensor')} can't be cast to the desired output type "
            f"{want.type_name.removesuffix('Tensor')}"
        )


def _adopt(target: Tensor, step: Node, frame: Any) -> None:
    """Give target its new origin; where it is a view, give one to its base, from which the view will be cut anew."""
    view = target._view
    if view is None:
        target._origin, target._number, target._requires_grad = step, 0, True
        return
    base = view.base
    links, needs, leaves = connect((base,))
    merged = COPY_SLICES.node_class()
    merged.leaves = None if leaves is None else (leaves[0], None)
    merged.hooks = None
    merged.saved = merged.marks = ()
    describe(merged, COPY_SLICES, (*links, step), (*needs, True), (view.replay,), base._data, step.region, frame)
    merged.flags = ALIAS | INPLACE
    base._origin, base._number, base._requires_grad = merged, 0, True
    if listeners:
        tell(merged, frame)


def regenerate(target: Tensor, view: View) -> None:
    """Make a view whose base was written a cut of what the base is now."""
    view.version = target._storage.version
    base = view.base
    if not base._requires_grad or target._origin.flags & LEAF_GRAD:
        return
    links, needs, leaves = connect((base,))
    frame = user_frame(sys._getframe(1))
    step = AS_STRIDED.node_class()
    step.leaves, step.hooks, step.saved, step.marks = leaves, None, (), ()
    describe(step, AS_STRIDED, links, needs, (view.replay,), target._data, current(), frame)
    step.flags = ALIAS
    target._origin, target._number, target._requires_grad = step, 0, True
    if listeners:
        tell(step, frame)
