"""Copies with another part: `select_scatter`, `slice_scatter`, `diagonal_scatter`.

What was replaced has no gradient; what replaces it has that of its place. Each row's static argument is numpy's key for
the part.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.dual import cleared_at, taken_at
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.public import both, first_tensor
from gradviz.core.tensor import Tensor


def _replaced(x: Any, src: Any, key: tuple[Any, ...]) -> Any:
    out = np.array(x)
    out[key] = src
    return out


def _row(name: str, *samples: Sample) -> Row:
    return op(
        f"{name}(x, src, *, key)",
        _replaced,
        x=lambda g, key: cleared_at(g, key),
        src=lambda g, key: taken_at(g, key),
        samples=lambda: list(samples),
    )


SELECT_SCATTER: Row = _row(
    "select_scatter", sample(grid(3, 2), grid(2), 0, 1), sample(grid(2, 3, 2), grid(2, 2), -2, -1)
)
SLICE_SCATTER: Row = _row(
    "slice_scatter",
    sample(grid(5, 2), grid(2, 2), 0, 1, 3),
    sample(grid(2, 5), grid(2, 2), 1, start=1, end=-1, step=2),
    sample(grid(3), grid(3)),
)
DIAGONAL_SCATTER: Row = _row(
    "diagonal_scatter", sample(grid(3, 3), grid(3)), sample(grid(2, 4, 3), grid(2, 2), 1, 1, 2)
)


def _applied(row: Row, input: Tensor, src: Tensor, key: tuple[Any, ...], shape: tuple[int, ...], what: str) -> Tensor:
    if tuple(src.shape) != shape:
        raise RuntimeError(
            f"expected src to have a size equal to the {what} of self. src size = {list(src.shape)}, {what} size = "
            f"{list(shape)}"
        )
    return apply(row, (input, src), (key,))


@both
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy whose `index` of `dim` is `src`."""
    if not first_tensor("select_scatter", input).ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis, place = wrap(dim, input.ndim), operator.index(index)
    length = input.shape[axis]
    if not -length <= place < length:
        raise IndexError(
            f"select(): index {place} out of range for tensor of size {list(input.shape)} at dimension {axis}"
        )
    key = (*(slice(None),) * axis, place % length)
    return _applied(SELECT_SCATTER, input, src, key, (*input.shape[:axis], *input.shape[axis + 1 :]), "slice")


@both
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy whose indices of `dim` from `start` to `end`, `step` apart, are `src`."""
    if not first_tensor("slice_scatter", input).ndim:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    axis = wrap(dim, input.ndim)
    part = slice(*slice(start, end, step).indices(input.shape[axis]))
    shape = (*input.shape[:axis], len(range(part.start, part.stop, part.step)), *input.shape[axis + 1 :])
    return _applied(SLICE_SCATTER, input, src, (*(slice(None),) * axis, part), shape, "slice")


@both
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy whose diagonal in the two dimensions is `src`, along its last dimension."""
    first, second = wrap(dim1, first_tensor("diagonal_scatter", input).ndim), wrap(dim2, input.ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = input.shape[first], input.shape[second]
    length = max(min(rows - max(-offset, 0), columns - max(offset, 0)), 0)
    others = [axis for axis in range(input.ndim) if axis not in (first, second)]
    shape = (*(input.shape[axis] for axis in others), length)
    grids = np.ogrid[tuple(slice(extent) for extent in shape)]
    key: list[Any] = [None] * input.ndim
    for axis, places in zip(others, grids, strict=False):
        key[axis] = places
    key[first], key[second] = grids[-1] + max(-offset, 0), grids[-1] + max(offset, 0)
    return _applied(DIAGONAL_SCATTER, input, src, tuple(key), shape, "diagonal")
