"""Copies: as they are, repeated, in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import run_row
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import spread, wrap, wrap_all
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, first_tensor, method
from gradviz.core.tensor import Tensor

# ---- rows


def _sum_of_copies(g: Any, shape: tuple[int, ...], repeats: tuple[int, ...]) -> Any:
    """Cotangent of `x` for `repeat(x, repeats)`: each copy gets its own dimension, and they are summed."""
    lengths = (1,) * (len(repeats) - len(shape)) + tuple(shape)
    pairs = [size for pair in zip(repeats, lengths, strict=True) for size in pair]
    return np.add.reduce(g.reshape(pairs), axis=tuple(range(0, len(pairs), 2)))


REPEAT = op(
    "repeat(x, *, repeats)",
    lambda x, repeats: np.tile(x, repeats),
    call="Tensor.repeat",
    x=_sum_of_copies,
    samples=lambda: [sample(grid(2, 3), 2, 1), sample(grid(3), (2, 2)), sample(grid(), 3), sample(grid(2), 0)],
)
FLIP = op(
    "flip(x, *, dims)",
    lambda x, dims: np.array(np.flip(x, dims if np.ndim(x) else ())),
    x=lambda g, dims: np.flip(g, dims if np.ndim(g) else ()),
    samples=lambda: [sample(grid(2, 3), (0,)), sample(grid(2, 3), (1, -2)), sample(grid(2, 3), ())],
)
ROLL: Row = op(
    "roll(x, *, shifts, dims)",
    lambda x, shifts, dims: np.roll(x, shifts, dims or None),
    x=lambda g, shifts, dims: run_row(ROLL, (g,), (tuple(-shift for shift in shifts), dims)),
    samples=lambda: [sample(grid(2, 3), 1), sample(grid(2, 3), -1, 1), sample(grid(2, 3), (1, 2), (0, 1))],
)
CLONE = op("clone(x)", lambda x: np.array(x), x=lambda g: g, samples=lambda: [sample(grid(2, 3)), sample(grid())])
CONTIGUOUS = op(
    "contiguous(x)",
    lambda x: np.array(x, order="C"),
    node="CloneBackward0",
    call="Tensor.contiguous",
    x=lambda g: g,
    samples=lambda: [sample(np.array(grid(2, 3), order="F"))],
)

# ---- public functions


@method
def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """Copied `repeats` times along each dimension; more repeats than dimensions add dimensions in front."""
    counts = spread(repeats)
    if len(counts) < self.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    size = [count * have for count, have in zip(counts, (1,) * (len(counts) - self.ndim) + self.shape, strict=True)]
    for length in size:
        if length < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {length}: {size}")
    return apply(REPEAT, (self,), (counts,))


@both
@composite
def tile(input: Tensor, *dims: Any) -> Tensor:
    """`repeat`, where fewer counts than dimensions count for the last ones."""
    counts = spread(dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


@both
def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with the order of the elements reversed along `dims`."""
    if not dims:
        raise TypeError('flip() missing 1 required positional arguments: "dims"')
    return apply(FLIP, (first_tensor("flip", input),), (wrap_all(spread(dims), input.ndim),))


@both
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Tensor:
    """A copy with the elements moved on by `shifts`, the last ones to the front; without `dims`, as if flattened."""
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    along = (dims,) if isinstance(dims, int) else tuple(dims)
    if not steps:
        raise RuntimeError("`shifts` required")
    if len(steps) != len(along) and (along or len(steps) > 1):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(along)}")
    if along and not input.ndim:
        raise IndexError(f"Dimension specified as {along[0]} but tensor has no dimensions")
    return apply(ROLL, (input,), (steps, tuple(wrap(dim, input.ndim) for dim in along)))


@both
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy, through which gradient flows."""
    return apply(CLONE, (input,))


@method
def contiguous(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """The tensor itself where its elements lie in order, else a copy in order."""
    return self if self.is_contiguous() else apply(CONTIGUOUS, (self,))
