"""Elements written or combined by index or mask: `index_fill`, `index_copy`, `masked_scatter`, `scatter_reduce`.

What is written over has no gradient; what is written has that of its place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.dual import (
    array_of,
    array_type,
    at_least_1d,
    cleared_at,
    key_along,
    placed_at,
    run_row,
    size_of,
    taken_at,
)
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.gathering import check_scatter, indexable
from gradviz.core.ops.samples import flags, grid, integers
from gradviz.core.ops.shapes import broadcast, wrap
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.public import both, method, operand
from gradviz.core.tensor import Tensor

# ---- whole lines


def _line(index: Any, dim: int) -> tuple[Any, ...]:
    return (*(slice(None),) * dim, np.atleast_1d(index))


def _with_lines(x: Any, index: Any, values: Any, dim: int) -> Any:
    out = np.array(np.atleast_1d(x))
    out[_line(index, dim)] = values
    return out.reshape(np.shape(x))


def _without_lines(g: Any, index: Any, dim: int) -> Any:
    return cleared_at(at_least_1d(g), _line(index, dim)).reshape(g.shape)


INDEX_FILL = op(
    "index_fill(x, index, *, dim, value)",
    lambda x, index, dim, value: _with_lines(x, index, value, dim),
    x=_without_lines,
    samples=lambda: [sample(grid(3, 2), 0, np.array([0, 2]), 1.5), sample(grid(2, 3), -1, np.array([1]), 2)],
)
INDEX_FILL_TENSOR = op(
    "index_fill(x, index, value, *, dim)",
    _with_lines,
    key="index_fill.tensor",
    node="IndexFillBackward1",
    x=_without_lines,
    value=lambda g, index, dim: np.add.reduce(taken_at(at_least_1d(g), _line(np.unique(index), dim)), axis=None),
    samples=lambda: [sample(grid(3, 2), 0, np.array([0, 2]), grid())],
)
INDEX_COPY = op(
    "index_copy(x, index, source, *, dim)",
    _with_lines,
    x=_without_lines,
    source=lambda g, index, shape, dim: taken_at(at_least_1d(g), _line(index, dim)).reshape(shape),
    samples=lambda: [
        sample(grid(3, 2), 0, np.array([2, 0]), grid(2, 2)),
        sample(grid(2, 3), -1, np.array([1]), grid(2, 1)),
    ],
)


def _line_index(name: str, input: Tensor, dim: int, index: Tensor) -> int:
    """`dim` counted from the front, for a vector of indices that are in range."""
    axis = wrap(dim, input.ndim)
    if index.dtype.name != "int64" and (name != "index_fill_" or index.dtype.name != "int32"):
        raise IndexError(f"{name}(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index should have dimension 1 or 0 (got {index.ndim})")
    length = input.shape[axis] if input.ndim else 1
    bad = (index._data < -length) | (index._data >= length)
    if np.any(bad):
        position = np.atleast_1d(index._data)[np.atleast_1d(bad)][0]
        raise IndexError(f"index {position} is out of bounds for dimension {axis} with size {length}")
    return axis


def _filling(input: Tensor, dim: int, index: Tensor, value: Any) -> tuple[Row, tuple[Any, ...], tuple[Any, ...]]:
    axis, value = _line_index("index_fill_", input, dim, index), operand(value)
    if not isinstance(value, Tensor):
        return INDEX_FILL, (index,), (axis, value)
    if value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    return INDEX_FILL_TENSOR, (index, value), (axis,)


@both
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy in which the indices `index` of `dim` hold `value`, a number or a 0-d tensor."""
    row, others, static = _filling(input, dim, index, value)
    return apply(row, (input, *others), static)


@method
def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """In-place `index_fill`."""
    row, others, static = _filling(self, dim, index, value)
    return apply_inplace(row, self, others, static)


def _check_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    axis = _line_index("index_copy_", input, dim, index)
    if input.dtype is not source.dtype:
        names = [tensor.dtype.type_name.removesuffix("Tensor") for tensor in (input, source)]
        raise RuntimeError(
            f"index_copy_(): self and source expected to have the same dtype, but got (self) {names[0]} and (source) "
            f"{names[1]}"
        )
    if not source.ndim and index.numel() != 1:
        raise IndexError(
            f"index_copy_(): When source is scalar, index should have one element (got {index.numel()})"
        )
    if source.ndim and input.ndim and source.ndim != input.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source "
            f"dimensionality ({source.ndim}), destination dimensionality ({input.ndim})"
        )
    if source.ndim and index.numel() != source.shape[axis]:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.numel()}) should be equal to source.size(dim) "
            f"({source.shape[axis]})"
        )
    rest = [(*one.shape[:axis], *one.shape[axis + 1 :]) for one in (input, source)]
    if rest[0] != rest[1]:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{list(rest[0])} at dimension {axis} and source slice shape: {list(rest[1])} at dimension 0."
        )
    return axis


@both
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy in which the indices `index` of `dim` hold the lines of `source`."""
    return apply(INDEX_COPY, (input, index, source), (_check_copy(input, dim, index, source),))


@method
def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """In-place `index_copy`."""
    return apply_inplace(INDEX_COPY, self, (index, source), (_check_copy(self, dim, index, source),))


# ---- by mask


def _filled_in_order(x: Any, mask: Any, source: Any) -> Any:
    shape = np.broadcast_shapes(np.shape(x), np.shape(mask))
    out = np.array(np.broadcast_to(x, shape))
    where = np.broadcast_to(mask, shape)
    out[where] = np.reshape(source, -1)[: np.count_nonzero(where)]
    return out


def _order_taken(g: Any, mask: Any, shape: tuple[int, ...]) -> Any:
    """The cotangents of what a mask took, in order, and zeros for what it left."""
    taken = taken_at(g, np.broadcast_to(mask, g.shape))
    whole = placed_at(taken, (math.prod(shape),), slice(0, size_of(taken)))
    return whole.reshape(shape)


MASKED_SCATTER = op(
    "masked_scatter(x, mask, source)",
    _filled_in_order,
    x=lambda g, mask: cleared_at(g, np.broadcast_to(mask, g.shape)),
    source=_order_taken,
    samples=lambda: [sample(grid(2, 3), flags(2, 3), grid(5)), sample(grid(2, 3), flags(3), grid(2, 3))],
)


def _check_mask(input: Tensor, mask: Tensor, source: Tensor) -> None:
    if input.dtype is not source.dtype:
        names = [tensor.dtype.type_name.removesuffix("Tensor") for tensor in (input, source)]
        raise RuntimeError(
            f"masked_scatter_: expected self and source to have same dtypes but got {names[0]} and {names[1]}"
        )
    if mask.dtype.name != "bool":
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype.type_name}"
        )
    shape = broadcast(input.shape, mask.shape)
    if source.numel() < np.count_nonzero(np.broadcast_to(mask._data, shape)):
        raise RuntimeError("Number of elements of source < number of ones in mask")


@both
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy in which the elements where `mask` is True are those of `source`, in order."""
    _check_mask(input, mask, source)
    return apply(MASKED_SCATTER, (input, mask, source))


@method
def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place `masked_scatter`."""
    _check_mask(self, mask, source)
    return apply_inplace(MASKED_SCATTER, self, (mask, source))


# ---- combined

_UFUNCS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _neutral(reduce: str, kind: Any) -> Any:
    """What a place that is not included begins with."""
    if reduce in ("amax", "amin"):
        limits = np.iinfo(kind) if kind.kind in "iu" else None
        low, high = (limits.min, limits.max) if limits else (0, 1) if kind.kind == "b" else (-np.inf, np.inf)
        return low if reduce == "amax" else high
    return int(reduce == "prod")


def _corner(x: Any, index: Any) -> Any:
    return at_least_1d(x)[tuple(slice(length) for length in np.shape(index) or (1,))]


def _counts(start: Any, index: Any, dim: int, each: Any = 1) -> Any:
    """`start`, and `each` added for every element that came to a place; at least one."""
    counts = np.array(np.atleast_1d(start), np.int64)
    np.add.at(counts, key_along(index, dim), each)
    return np.maximum(counts, 1).reshape(np.shape(start))


def _combined(x: Any, index: Any, src: Any, dim: int, reduce: str, include_self: bool) -> Any:
    out = np.array(np.atleast_1d(x))
    if not include_self:
        out[key_along(index, dim)] = _neutral(reduce, out.dtype)
    _UFUNCS[reduce].at(out, key_along(index, dim), _corner(src, index))
    out = out.reshape(np.shape(x))
    if reduce != "mean":
        return out
    counts = _counts(np.full(out.shape, int(include_self)), index, dim)
    return (out / counts).astype(out.dtype) if out.dtype.kind == "f" else (out // counts).astype(out.dtype)


def _of_each(g: Any, x: Any, index: Any, src: Any, out: Any, dim: int, reduce: str, include_self: bool) -> Any:
    """The cotangent of one of the elements that a place is made of; extremes share it among equals."""
    if reduce == "mean":
        return g / _counts(np.full(g.shape, int(include_self)), index, dim)
    if reduce in ("amax", "amin"):
        x, src, out = array_of(x), array_of(src), array_of(out)
        own = x == out if include_self else np.zeros(g.shape, np.bool_)
        chosen = _corner(src, index) == np.atleast_1d(out)[key_along(index, dim)]
        return g / _counts(own, index, dim, chosen)
    return g


def _of_self(g: Any, x: Any, index: Any, src: Any, out: Any, dim: int, reduce: str, include_self: bool) -> Any:
    each = _of_each(g, x, index, src, out, dim, reduce, include_self)
    if reduce == "prod":
        each = each * run_row(SCATTER_REDUCE, (np.ones(x.shape, array_type(x)), index, src), (dim, reduce, True))
    elif reduce in ("amax", "amin"):
        each = each * (array_of(x) == array_of(out))
    return each if include_self else cleared_at(at_least_1d(each), key_along(index, dim)).reshape(g.shape)


def _of_src(g: Any, x: Any, index: Any, src: Any, out: Any, dim: int, reduce: str, include_self: bool) -> Any:
    key, part = key_along(index, dim), _corner(src, index)
    each = taken_at(at_least_1d(_of_each(g, x, index, src, out, dim, reduce, include_self)), key)
    if reduce == "prod":
        zero = array_of(part) == 0
        filled = np.where(zero, 1.0, part) if zero.any() else part
        rest = run_row(SCATTER_REDUCE, (x, index, filled.reshape(np.shape(index))), (dim, reduce, include_self))
        zeros = np.zeros(np.shape(x) or (1,), np.int64)
        np.add.at(zeros, key, zero)
        each = each * taken_at(at_least_1d(rest), key) / filled * (zeros[key] == zero)
    elif reduce in ("amax", "amin"):
        each = each * (array_of(part) == np.atleast_1d(array_of(out))[key])
    return placed_at(each, tuple(src.shape) or (1,), tuple(slice(length) for length in each.shape)).reshape(src.shape)


def _reduce_samples() -> list[Sample]:
    index, apart = integers(4, 2, high=3), grid(4, 2) + 0.2
    return [
        sample(grid(3, 2), 0, index, apart, reduce, include_self=own)
        for reduce in ("sum", "mean")
        for own in (True, False)
    ]


SCATTER_REDUCE: Row = op(
    "scatter_reduce(x, index, src, *, dim, reduce, include_self=True)",
    _combined,
    x=_of_self,
    src=_of_src,
    samples=_reduce_samples,
)


def _check_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool
) -> tuple[int, str, bool]:
    if reduce not in _UFUNCS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    axis = indexable("scatter_reduce", input, dim, index)
    check_scatter("scatter", input, axis, index, src)
    return axis, reduce, include_self


@both
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy whose elements at `index`, as in `scatter`, are combined with those of `src`.

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: the element that was there counts too.
    """
    return apply(SCATTER_REDUCE, (input, index, src), _check_reduce(input, dim, index, src, reduce, include_self))


@method
def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place `scatter_reduce`."""
    static = _check_reduce(self, dim, index, src, reduce, include_self)
    return apply_inplace(SCATTER_REDUCE, self, (index, src), static)
