"""Elements in order: `sort`, `argsort`, `topk`, `kthvalue`, `cummax` and `cummin`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.dual import run_row
from gradviz.core.ops.gathering import GATHER
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid, integers, positive
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, first_tensor
from gradviz.core.tensor import Tensor


def _added_at(g: Any, index: Any, shape: tuple[int, ...], dim: int) -> Any:
    whole = np.zeros(shape or (1,), g.dtype)
    lines = np.ogrid[tuple(slice(length) for length in np.shape(np.atleast_1d(index)))]
    key: list[Any] = list(lines)
    key[dim] = np.atleast_1d(index)
    np.add.at(whole, tuple(key), np.atleast_1d(g))
    return whole.reshape(shape)


TO_INDEX: Row = op(
    "value_selecting_reduction_backward(g, index, *, shape, dim)",
    lambda g, index, shape, dim: _added_at(g, index, shape, dim),
    key="to_index",
    node="ScatterAddBackward0",
    g=lambda g, index, dim: run_row(GATHER, (g, index), (dim,)),
)


def _back(g: Any, out1: Any, shape: Any, dim: int) -> Any:
    return run_row(TO_INDEX, (g[0], out1), (tuple(shape), wrap(dim, len(shape))))


def _order(x: Any, axis: int, descending: bool) -> Any:
    """Indices that sort along an axis, equal elements in their own order, NaN as the largest."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    turned = np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    return x.shape[axis] - 1 - turned


def _sorted(x: Any, dim: int, descending: bool) -> Any:
    axis = wrap(dim, x.ndim)
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    index = _order(x, axis, descending)
    return np.take_along_axis(x, index, axis), index


SORT: Row = op(
    "sort(x, *, dim=-1, descending=False)",
    _sorted,
    x=_back,
    nondifferentiable_outputs=(1,),
    samples=lambda: [
        sample(grid(2, 5)),
        sample(grid(3, 2), 0, True),
        sample(grid(2, 3), dim=-2, descending=True),
        sample(np.array([2.0, np.nan, 1.0]), smooth=False),
    ],
)
ARGSORT = op(
    "argsort(x, *, dim=-1, descending=False)",
    lambda x, dim, descending: _sorted(x, dim, descending)[1],
    samples=lambda: [sample(grid(2, 5)), sample(grid(3, 2), 0, True)],
)
_SortResult = return_type("sort", "values", "indices")


@both
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The elements along `dim` in order, and their indices; equal ones keep theirs."""
    return _SortResult(apply_several(SORT, (first_tensor("sort", input),), (dim, descending)))


@both
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The indices that put the elements along `dim` in order."""
    return apply(ARGSORT, (first_tensor("argsort", input),), (dim, descending))


def _apart(*shape: int) -> Any:
    """Values that stay apart as whole numbers: which of several equal ones is taken is nobody's promise."""
    return positive(*shape) * 40


def _top(x: Any, k: int, dim: int, largest: bool) -> Any:
    axis = wrap(dim, x.ndim)
    length = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= length:
        raise RuntimeError("selected index k out of range")
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    if k and _FEW * k < length:
        # The others need not be in order.
        split = length - k if largest else k - 1
        places = np.arange(length - k, length) if largest else np.arange(k)
        some = np.sort(np.take(np.argpartition(x, split, axis), places, axis), axis)
        order = _order(np.take_along_axis(x, some, axis), axis, largest)
        index = np.take_along_axis(some, order, axis)
    else:
        index = np.take(_order(x, axis, largest), np.arange(k), axis)
    return np.take_along_axis(x, index, axis), index


_FEW = 8
"""Of no more than one element in so many it is quicker to part them from the others first."""
TOPK: Row = op(
    "topk(x, *, k, dim=-1, largest=True)",
    _top,
    x=_back,
    nondifferentiable_outputs=(1,),
    samples=lambda: [sample(_apart(2, 5), 3), sample(_apart(4, 2), 2, 0, False), sample(_apart(2, 3), k=1)],
)
_TopkResult = return_type("topk", "values", "indices")


@both
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The `k` largest (or smallest) elements along `dim`, in order, and their indices."""
    if first_tensor("topk", input).dtype.name == "bool":
        raise NotImplementedError("\"topk_cpu\" not implemented for 'Bool'")
    return _TopkResult(apply_several(TOPK, (input,), (k, dim, largest)))


def _kth(x: Any, k: int, dim: int, keepdim: bool) -> Any:
    axis = wrap(dim, x.ndim)
    if not 1 <= k <= (x.shape[axis] if x.ndim else 1):
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(axis))
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    index = np.take(_order(x, axis, False), [k - 1], axis)
    values = np.take_along_axis(x, index, axis)
    return (values, index) if keepdim else (values.squeeze(axis), index.squeeze(axis))


def _kth_back(g: Any, out1: Any, shape: Any, dim: int, keepdim: bool) -> Any:
    axis = wrap(dim, len(shape))
    if keepdim or not shape:
        return run_row(TO_INDEX, (g[0], out1), (tuple(shape), axis))
    return run_row(
        TO_INDEX, (np.expand_dims(g[0], axis), np.expand_dims(out1, axis)), (tuple(shape), axis)
    )


KTHVALUE: Row = op(
    "kthvalue(x, *, k, dim=-1, keepdim=False)",
    _kth,
    x=_kth_back,
    nondifferentiable_outputs=(1,),
    samples=lambda: [sample(_apart(2, 5), 3), sample(_apart(4, 2), 2, 0, True)],
)
_KthvalueResult = return_type("kthvalue", "values", "indices")


@both
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The `k`-th smallest element along `dim`, counted from 1, and its index."""
    return _KthvalueResult(apply_several(KTHVALUE, (first_tensor("kthvalue", input),), (k, dim, keepdim)))


# ---- running extremes


def _running(name: str, better: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def forward(x: Any, dim: int) -> Any:
        axis = wrap(dim, x.ndim)
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        lines = np.moveaxis(x, axis, 0)
        values, index = np.empty_like(lines), np.zeros(lines.shape, np.int64)
        for at in range(len(lines)):
            values[at] = lines[at]
            index[at] = at
            if at:
                kept = ~(better(lines[at], values[at - 1]) | (lines[at] != lines[at]))
                kept |= values[at - 1] != values[at - 1]
                kept &= lines[at] == lines[at]
                values[at] = np.where(kept, values[at - 1], lines[at])
                index[at] = np.where(kept, index[at - 1], at)
        return np.ascontiguousarray(np.moveaxis(values, 0, axis)), np.ascontiguousarray(np.moveaxis(index, 0, axis))

    forward.__name__ = name
    return forward


def _running_row(name: str, better: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    row = op(
        f"{name}(x, *, dim)",
        _running(name, better),
        x=_back,
        nondifferentiable_outputs=(1,),
        samples=lambda: [sample(grid(2, 5), 1), sample(grid(4, 2), dim=0), sample(integers(2, 3), 1)],
    )
    result = return_type(name, "values", "indices")

    def call(input: Tensor, dim: int) -> Any:
        return result(apply_several(row, (first_tensor(name, input),), (dim,)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The {'largest' if name == 'cummax' else 'smallest'} element so far along `dim`, and its index."
    return both(call)


cummax = _running_row("cummax", np.greater_equal)
cummin = _running_row("cummin", np.less_equal)
