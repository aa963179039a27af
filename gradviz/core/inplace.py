"""In-place writes: what they do to the tensor written, to its base and its views, and to the versions that nodes check.

Writing to a tensor gives it a new origin. Writing to a view also gives its base one (`CopySlices`: the base with a part
replaced), and every view of that base is then a cut of the new base (`AsStridedBackward0`), which `regenerate` works
out when the view is next used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeAlias

import numpy as np

from gradviz.core import dtypes
from gradviz.core.accumulator import AccumulateGrad
from gradviz.core.aliasing import Made, Replay, View, cut
from gradviz.core.apply import cause_of, connect, describe
from gradviz.core.complaints import untraceable
from gradviz.core.composites import tell
from gradviz.core.dtypes import promoted
from gradviz.core.dual import run_row
from gradviz.core.grad_mode import Region, current
from gradviz.core.hooks import hooks_of
from gradviz.core.listeners import listeners
from gradviz.core.ops.shapes import refuse_shapes
from gradviz.core.ops.table import Row, op
from gradviz.core.saving import mark_result, node
from gradviz.core.tensor import Tensor
from gradviz.core.trace import (
    ALIAS,
    HISTORY_LIMIT,
    INNER,
    INPLACE,
    KEEPS_NODE,
    LEAF_GRAD,
    PART,
    Node,
    Trace,
    Untracked,
    before_writes,
)
from gradviz.sites import user_frame

Strides: TypeAlias = tuple[int, ...]
"""A base's strides where its memory is not in row order, else empty: a replay that reshapes needs the same order."""


def _arranged(array: Any, strides: Strides) -> Any:
    """A copy with its dimensions in memory in the order of `strides`."""
    if not strides:
        return np.array(array, order="C")
    order = sorted(range(len(strides)), key=lambda dim: -strides[dim])
    return np.array(array.transpose(order), order="C").transpose(sorted(order, key=order.__getitem__))


def _part_zeroed(g: Any, replay: Replay, strides: Strides) -> Any:
    return run_row(PART_ZEROED, (g,), (replay, strides))


def _with_part_zeroed(x: Any, replay: Replay, strides: Strides) -> Any:
    rest = _arranged(x, strides)
    cut(replay, rest)[...] = 0
    return rest


def _scattered(g: Any, shape: tuple[int, ...], replay: Replay, strides: Strides) -> Any:
    return run_row(SCATTERED, (g,), (shape, replay, strides))


def _whole_of(g: Any, shape: tuple[int, ...], replay: Replay, strides: Strides) -> Any:
    whole = _arranged(np.zeros(shape, g.dtype), strides)
    part = cut(replay, whole)
    if _meets_itself(part):
        places = cut(replay, _arranged(np.arange(whole.size).reshape(shape), strides))
        total = np.zeros(whole.size, g.dtype)
        np.add.at(total, places, g)
        return total.reshape(shape)
    part += g
    return whole


COPY_SLICES = op(
    "copy_slices(base, part, *, replay, strides)",
    lambda base, part, replay, strides: None,
    node="torch::autograd::CopySlices",
    base=_part_zeroed,
    part=lambda g, replay, strides: run_row(AS_STRIDED, (g,), (replay, strides)),
)
PART_ZEROED: Row = op("part_zeroed(x, *, replay, strides)", _with_part_zeroed, x=_part_zeroed)
SCATTERED: Row = op(
    "scattered(x, *, size, replay, strides)",
    _whole_of,
    x=lambda g, replay, strides: run_row(AS_STRIDED, (g,), (replay, strides)),
)
AS_STRIDED: Row = op(
    "as_strided(base, *, replay, strides)",
    lambda base, replay, strides: cut(replay, _arranged(base, strides)),
    node="AsStridedBackward0",
    base=_scattered,
)


class CopySlices(Node):
    """The node of a base that was written through a view. PyTorch has it in one with the node of what was written."""

    __slots__ = ()
    full_name = "torch::autograd::CopySlices"

    @property
    def next_functions(self) -> tuple[tuple[Node | AccumulateGrad | None, int], ...]:
        """Where the base's gradient goes on to, then those of the op that wrote, the view itself left out."""
        (base, (part, _)) = super().next_functions
        return (base, *(part.next_functions[1:] if isinstance(part, Node) else ()))


CopySlices.__module__ = Node.__module__
CopySlices.row = COPY_SLICES
COPY_SLICES.node_class = CopySlices


def apply_inplace(
    row: Row,
    target: Tensor,
    others: Sequence[Any] = (),
    static: tuple[Any, ...] = (),
    write: Callable[..., None] | None = None,
    overlaps: bool = False,
) -> Tensor:
    """Run `row` with `target` as its first input, put the result into target's memory and return target.

    write: for a row whose result is cheaper to write than to compute anew; called with target's array, the other
        inputs' arrays and the static arguments.
    overlaps: the write makes sense where elements of the target share memory with each other or with an input.
    Raises RuntimeError, with PyTorch's texts, for a leaf that requires grad and for its views while grad mode is on.
    """
    region = current()
    tracks = region is None or region.tracks
    inputs = (target, *others)
    if tracks and any(isinstance(operand, Tensor) and operand.requires_grad for operand in inputs):
        check(target)
    storage = target._storage
    check_counted(target, region)
    memory = target._array()
    arrays = [operand._data if isinstance(operand, Tensor) else operand for operand in inputs]
    if not overlaps:
        check_overlap(memory, arrays)
    result = None
    ready = arrays
    if write is None:
        ready = promoted(arrays) if row.promotes else arrays
        try:
            result = row.forward(*ready, *static)
        except ValueError as error:
            refuse_shapes(error, arrays)
            raise
        check_fits(result, memory)
    links, needs, leaves = connect(inputs, tracks)
    tracked = tracks and row.differentiable and True in needs and memory.dtype.kind == "f"
    frame = user_frame(sys._getframe(1))
    step: Trace = _node(row, inputs, ready, needs, leaves, memory) if tracked else Untracked()
    describe(step, row, links, needs, static, memory, region, frame)
    if write is None:
        memory[...] = result
    else:
        write(memory, *arrays[1:], *static)
    if storage.version is not None:
        storage.version += 1
        storage.written = (step.id,)
    step.flags |= ALIAS | INPLACE | (target._origin.flags & PART)
    if isinstance(step, Node):
        mark_result(step, row, storage)
    elif isinstance(step, Untracked):
        cause_of(step, row, memory, region)
        step.flags |= kept_by(target)
    if listeners:
        tell(step, frame, memory)
    _adopt(target, step, frame)
    return target


def _node(row: Row, inputs: Any, arrays: Any, needs: Any, leaves: Any, memory: Any) -> Node:
    """A node which keeps a copy of what the write will overwrite, where a VJP reads it."""
    overwritten = row.inputs[0]
    if any(need and overwritten in names for need, names in zip(needs, row.reads_of(len(needs)), strict=True)):
        copy = np.array(arrays[0])
        return node(row, (copy, *inputs[1:]), (copy, *arrays[1:]), needs, leaves, memory)
    return node(row, inputs, arrays, needs, leaves, memory)


def check(target: Tensor) -> None:
    """Raise PyTorch's error where a tracked in-place write would lose a gradient."""
    view = target._view
    if view is not None:
        if view.made is not Made.TRACKED:
            raise RuntimeError(_untraceable(target, view, "is being"))
        if target.requires_grad and view.base.is_leaf:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if target.requires_grad and not target._origin.tracked:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def check_counted(target: Tensor, region: Region | None) -> None:
    """Raise PyTorch's error where an inference tensor is written outside inference mode."""
    if target._storage.version is None and (region is None or not region.inference):
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
            "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )


def _untraceable(target: Tensor, view: View, what: str) -> str:
    origin = target._origin
    known = origin if isinstance(origin, Node) and target._requires_grad else None
    return untraceable(view.made, known, target._number, what)


def check_overlap(memory: Any, arrays: Sequence[Any]) -> None:
    """Raise PyTorch's error where an elementwise write would meet one memory location twice."""
    if not memory.flags.c_contiguous and _meets_itself(memory):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    for other in arrays[1:]:
        if isinstance(other, np.ndarray) and np.may_share_memory(memory, other) and _overlap_in_part(memory, other):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
                "memory location. Please clone() the tensor before performing the operation."
            )


def _meets_itself(array: Any) -> bool:
    return any(step == 0 and length > 1 for step, length in zip(array.strides, array.shape, strict=True))


def _overlap_in_part(memory: Any, other: Any) -> bool:
    """Whether two arrays share memory, but not element for element. Arrays with gaps pass, as in PyTorch."""
    if not (_is_dense(memory) and _is_dense(other)):
        return False
    same = memory.ctypes.data == other.ctypes.data and memory.nbytes == other.nbytes
    return not same or memory.strides != other.strides


def _is_dense(array: Any) -> bool:
    expected = array.itemsize
    for step, length in sorted(zip(array.strides, array.shape, strict=True)):
        if length != 1:
            if step != expected:
                return False
            expected *= length
    return True


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


def _adopt(target: Tensor, step: Trace, frame: FrameType) -> None:
    """Give target its new origin; where it is a view, give one to its base, from which the view will be cut anew.

    A tracked tensor keeps its node where the write was not tracked.
    """
    view = target._view
    if view is None:
        replace(target, step)
        return
    base = view.base
    if base._origin.tracked and not step.tracked:
        return
    if isinstance(step, Node):
        _move_retained(target, step)
        target._origin, target._number, target._requires_grad = step, 0, True
    links, needs, leaves = connect((base,))
    merged: Trace = Untracked()
    if isinstance(step, Node):
        merged = CopySlices()
        merged.leaves = None if leaves is None else (leaves[0], None)
        merged.saved = merged.marks = ()
    describe(
        merged,
        COPY_SLICES,
        (*links, step),
        (*needs, step.tracked),
        (view.replay, _strides_of(base)),
        base._data,
        step.region,
        frame,
    )
    if isinstance(merged, Untracked):
        cause_of(merged, COPY_SLICES, base._data, step.region)
        merged.flags |= kept_by(base)
    merged.flags |= ALIAS | INPLACE
    if step.flags & PART:
        merged.flags &= ~INNER
        merged.called = "index_put" if step.row.name == "index_put" else "copy"
        target._storage.written = (merged.id,)
    if listeners:
        tell(merged, frame, base._data)
    replace(base, merged)


def kept_by(target: Tensor) -> int:
    """The flag of an untracked write: what autograd still holds of the tensor that was written."""
    if target._origin.tracked:
        return KEEPS_NODE
    return LEAF_GRAD if target.requires_grad else 0


def replace(target: Tensor, step: Trace) -> None:
    """Make `step` the origin of what the target is from here on; a tracked one keeps its node where `step` has none."""
    before = target._origin
    if isinstance(step, Node):
        _move_retained(target, step)
        target._requires_grad = True
        last, _, root = getattr(target._storage, "writer", (0, "", 0))
        target._storage.writer = (step.id, step.name(), root if last == before.id else before_writes(before).id)
    elif isinstance(before, Node):
        writes = hooks_of(before).rewritten.setdefault(target._number, [])
        writes.append(step)
        del writes[:-HISTORY_LIMIT]
        return
    target._origin, target._number = step, 0


def _move_retained(target: Tensor, step: Node) -> None:
    """Let `retain_grad` mean the tensor as it is from here on."""
    before = target._origin
    if isinstance(before, Node) and before.hooks is not None and target._number in before.hooks.retained:
        hooks_of(step).retained[0] = before.hooks.retained.pop(target._number)


def _is_cut_of(target: Tensor, base: Tensor) -> bool:
    """Whether a view was made anew since its base was written; only a tracked view says so by its version."""
    origin = target._origin
    return origin.row is AS_STRIDED and origin.links[:1] == (base._origin,)


def _strides_of(base: Tensor) -> Strides:
    array = base._array()
    return () if array.flags.c_contiguous else tuple(array.strides)


def regenerate(target: Tensor, view: View, strict: bool) -> None:
    """Make a view whose memory was written a cut of what its base is now.

    Raises RuntimeError, if strict, for a view that was made where autograd could not see it.
    """
    base = view.base
    tracked = base._requires_grad or (target._requires_grad and target._origin.tracked)
    if not tracked and (target._requires_grad or not base._origin.flags & INPLACE or _is_cut_of(target, base)):
        return
    if tracked and view.made is not Made.TRACKED:
        if strict:
            raise RuntimeError(_untraceable(target, view, "its base or another view of its base has been"))
        return
    if tracked:
        view.own, view.version = view.replay, target._storage.version
    links, needs, leaves = connect((base,))
    frame = user_frame(sys._getframe(1))
    step: Trace = Untracked()
    if tracked:
        step = AS_STRIDED.node_class()
        step.leaves, step.saved, step.marks = leaves, (), ()
    describe(step, AS_STRIDED, links, needs, (view.replay, _strides_of(base)), target._data, current(), frame)
    step.flags |= ALIAS
    if isinstance(step, Node):
        _move_retained(target, step)
        target._requires_grad = True
    elif isinstance(step, Untracked):
        cause_of(step, AS_STRIDED, target._data, current())
    target._origin, target._number = step, 0
    if listeners:
        tell(step, frame, target._data)
