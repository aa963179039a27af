"""Diagonals and triangles of matrices: `diagonal`, `diag`, `diag_embed`, `tril`, `triu`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import run_row
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, method
from gradviz.core.tensor import Tensor


def _diagonal(x: Any, offset: int, dim1: int, dim2: int) -> Any:
    """A writable view; numpy's own `diagonal` is read-only."""
    matrices = np.moveaxis(x, (dim1, dim2), (-2, -1))
    matrices = matrices[..., :, offset:] if offset >= 0 else matrices[..., -offset:, :]
    *batch, rows, columns = matrices.shape
    *steps, down, across = matrices.strides
    return as_strided(matrices, (*batch, min(rows, columns)), (*steps, down + across))


def _on_diagonal(g: Any, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Any:
    whole = np.zeros(shape, g.dtype)
    _diagonal(whole, offset, dim1, dim2)[...] = g
    return whole


def _embedded(x: Any, offset: int) -> Any:
    side = x.shape[-1] + abs(offset)
    return _on_diagonal(x, (*x.shape[:-1], side, side), offset, -2, -1)


ON_DIAGONAL: Row = op(
    "on_diagonal(x, *, size, offset, dim1, dim2)",
    _on_diagonal,
    x=lambda g, offset, dim1, dim2: run_row(DIAGONAL, (g,), (offset, dim1, dim2)),
)


def _put_back(g: Any, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Any:
    return run_row(ON_DIAGONAL, (g,), (shape, offset, dim1, dim2))


DIAGONAL: Row = op(
    "diagonal(x, *, offset=0, dim1=0, dim2=1)",
    _diagonal,
    view=True,
    x=_put_back,
    samples=lambda: [
        sample(grid(3, 3)),
        sample(grid(2, 4), 1),
        sample(grid(3, 2), offset=-1),
        sample(grid(2, 3, 4), 0, -1, 1),
        sample(grid(2, 2), 5),
    ],
)
DIAGONAL_COPY = op(
    "diag(x, *, offset, dim1, dim2)",
    lambda x, offset, dim1, dim2: np.array(_diagonal(x, offset, dim1, dim2)),
    node="DiagonalBackward0_copy",
    key="diagonal_copy",
    x=_put_back,
    samples=lambda: [sample(grid(3, 3)), sample(grid(2, 4), 1), sample(grid(3, 2), diagonal=-1)],
)
DIAG_EMBED = op(
    "diag_embed(x, *, offset=0)",
    _embedded,
    x=lambda g, offset: run_row(DIAGONAL, (g,), (offset, -2, -1)),
    samples=lambda: [sample(grid(3)), sample(grid(2, 3), 1), sample(grid(2), offset=-1)],
)
TRIL = op(
    "tril(x, *, diagonal=0)",
    lambda x, diagonal: np.tril(x, diagonal),
    x=lambda g, diagonal: np.tril(g, diagonal),
    samples=lambda: [sample(grid(3, 3)), sample(grid(2, 3), 1), sample(grid(2, 3, 2), diagonal=-1)],
)
TRIU = op(
    "triu(x, *, diagonal=0)",
    lambda x, diagonal: np.triu(x, diagonal),
    x=lambda g, diagonal: np.triu(g, diagonal),
    samples=lambda: [sample(grid(3, 3)), sample(grid(2, 3), 1), sample(grid(2, 3, 2), diagonal=-1)],
)


@both
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of the matrices in `dim1` and `dim2`, as the last dimension.

    offset: how far above the main diagonal.
    """
    first, second = wrap(dim1, input.ndim), wrap(dim2, input.ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply(DIAGONAL, (input,), (offset, first, second))


@both
@composite
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix's diagonal, copied; or the matrix that has a vector as its diagonal."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return apply(DIAGONAL_COPY, (input,), (diagonal, 0, 1))


@both
def diag_embed(input: Tensor, offset: int = 0) -> Tensor:
    """Square matrices of zeros with the last dimension on their diagonal."""
    wrap(-1, input.ndim) if input.ndim else wrap(-2, 0)
    return apply(DIAG_EMBED, (input,), (offset,))


@both
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The last two dimensions' lower triangle, zeros above the diagonal."""
    return apply(TRIL, (_matrices("tril", input),), (diagonal,))


@both
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The last two dimensions' upper triangle, zeros below the diagonal."""
    return apply(TRIU, (_matrices("triu", input),), (diagonal,))


@method
def tril_(self: Tensor, diagonal: int = 0) -> Tensor:
    """In-place `tril`."""
    return apply_inplace(TRIL, _matrices("tril", self), (), (diagonal,))


@method
def triu_(self: Tensor, diagonal: int = 0) -> Tensor:
    """In-place `triu`."""
    return apply_inplace(TRIU, _matrices("triu", self), (), (diagonal,))


def _matrices(name: str, input: Tensor) -> Tensor:
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return input
