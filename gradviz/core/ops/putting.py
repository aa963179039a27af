"""Elements by their number in the flattened tensor, written: `put`, the way back of `take`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.dual import array_of, cleared_at, taken_at
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import op, sample
from gradviz.core.public import both, method
from gradviz.core.tensor import Tensor


def _put(x: Any, index: Any, source: Any, accumulate: bool) -> Any:
    out = np.array(x).reshape(-1)
    places = np.reshape(index, -1)
    if accumulate:
        np.add.at(out, places, np.reshape(source, -1))
    else:
        out[places] = np.reshape(source, -1)
    return out.reshape(np.shape(x))


def _cleared(g: Any, index: Any, shape: tuple[int, ...], accumulate: bool) -> Any:
    if accumulate:
        return g
    return cleared_at(g.reshape((math.prod(shape),)), np.reshape(array_of(index), -1)).reshape(shape)


PUT = op(
    "put(x, index, source, *, accumulate=False)",
    _put,
    x=_cleared,
    source=lambda g, index, shape: taken_at(
        g.reshape((math.prod(g.shape),)), np.reshape(array_of(index), -1)
    ).reshape(shape),
    samples=lambda: [
        sample(grid(2, 3), np.array([0, -1]), grid(2)),
        sample(grid(2, 3), np.array([[0, 0], [4, 1]]), grid(2, 2), accumulate=True),
    ],
)


def _check(self: Tensor, index: Tensor, source: Tensor) -> None:
    if index.dtype.name != "int64":
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {index.dtype.type_name.removesuffix('Tensor')}"
        )
    if self.dtype is not source.dtype:
        mine, other = (one.dtype.type_name.removesuffix("Tensor") for one in (self, source))
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {mine} and source.dtype = "
            f"{other}"
        )
    if index.numel() != source.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.numel()}, index.numel() = {index.numel()}"
        )
    count, places = self.numel(), np.atleast_1d(index._data)
    beyond = places[(places < -count) | (places >= count)]
    if beyond.size:
        raise IndexError(
            f"out of range: tried to access index {beyond.flat[0]} on a tensor of {count} elements."
        )


@both
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """The tensor with elements of `source` at `index`, counted as if it were one row; or added there."""
    _check(input, index, source)
    return apply(PUT, (input, index, source), (accumulate,))


@method
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """In-place `put`."""
    _check(self, index, source)
    return apply_inplace(PUT, self, (index, source), (accumulate,))
