"""`index_reduce`: lines that are combined with those at an index, by product, mean or extreme."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops import placing
from gradviz.core.ops.gathering import check_lines
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.public import both, method
from gradviz.core.tensor import Tensor


def _each(index: Any, source: Any, dim: int) -> Any:
    """For each element of `source` the index of its line."""
    shape = [1] * max(source.ndim, 1)
    shape[dim] = -1
    return np.broadcast_to(np.reshape(index, shape), source.shape or (1,)).reshape(source.shape)


def _samples() -> list[Sample]:
    index, apart = integers(4, high=3), grid(4, 2) + 0.2
    kinds = [("mean", True), ("mean", False), ("prod", True), ("prod", False)]
    return [
        *(sample(grid(3, 2), 0, index, apart, reduce, include_self=own) for reduce, own in kinds),
        sample(grid(2, 3), 1, np.array([0, 2]), grid(2, 2) + 0.4, "amax"),
        sample(grid(2, 3), -1, np.array([1, 1]), grid(2, 2) - 0.4, "amin"),
    ]


INDEX_REDUCE: Row = op(
    "index_reduce(x, index, source, *, dim, reduce, include_self=True)",
    lambda x, index, source, *static: placing._combined(x, _each(index, source, static[0]), source, *static),
    x=lambda g, x, index, source, out, dim, reduce, include_self: placing._of_self(
        g, x, _each(index, source, dim), source, out, dim, reduce, include_self
    ),
    source=lambda g, x, index, source, out, dim, reduce, include_self: placing._of_src(
        g, x, _each(index, source, dim), source, out, dim, reduce, include_self
    ),
    samples=_samples,
)


def _checked(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool
) -> tuple[int, str, bool]:
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    axis = wrap(dim, input.ndim)
    kind = index.dtype.type_name.removesuffix("Tensor")
    if index.ndim > 1:
        raise IndexError(
            f"index_reduce_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: {kind} and "
            f"size: {list(index.shape)}"
        )
    if index._data.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"index_reduce_(): Expected dtype int32/int64 for index but got: {kind}")
    check_lines("index_reduce_", input, axis, index, source)
    length = input.shape[axis] if input.ndim else 1
    if ((index._data < 0) | (index._data >= length)).any():
        raise IndexError("index out of range in self")
    return axis, reduce, bool(include_self)


@both
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy in which the line at `index[i]` of `dim` is combined with source[i].

    reduce: "prod", "mean", "amax" or "amin". include_self: what was there counts too.
    """
    static = _checked(input, dim, index, source, reduce, include_self)
    return apply(INDEX_REDUCE, (input, index, source), static)


@method
def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place `index_reduce`."""
    static = _checked(self, dim, index, source, reduce, include_self)
    return apply_inplace(INDEX_REDUCE, self, (index, source), static)
