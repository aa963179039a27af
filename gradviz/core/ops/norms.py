"""How large vectors and matrices are: `linalg.norm`, `vector_norm`, `matrix_norm`, `cond`, `matrix_rank`; `renorm`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import called
from gradviz.core.ops.decompositions import svdvals
from gradviz.core.ops.matrices import check_matrix, inv
from gradviz.core.ops.normalising import wide
from gradviz.core.ops.reductions import NORM
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap, wrap_all
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, both, first_tensor, linear_algebra
from gradviz.core.tensor import Tensor

Dims = int | Sequence[int] | None


def _floating(name: str, x: Any, dtype: dtypes.dtype | None) -> Any:
    if not first_tensor(name, x).is_floating_point():
        kind = x.dtype.type_name.removesuffix("Tensor")
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {kind}")
    return x if dtype is None else x.to(dtype)


@linear_algebra
@called("linalg_vector_norm")
def vector_norm(
    x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None
) -> Tensor:
    """The `ord`-norm of all elements over `dim` (an int, several, or None for all)."""
    return apply(NORM, (_floating("linalg.vector_norm", x, dtype),), (ord, dim, keepdim))


@linear_algebra
@called("linalg_matrix_norm")
def matrix_norm(
    A: Any,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: dtypes.dtype | None = None,
) -> Tensor:
    """The norm of each matrix over the two dimensions `dim`.

    ord: "fro" (all elements as a vector), "nuc" (sum of singular values), 2 and -2 (the largest and the smallest of
    them), 1 and -1, inf and -inf (the largest and the smallest sum of absolute values of a column, of a row).
    """
    A = _floating("linalg.matrix_norm", A, dtype)
    if A.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if len(tuple(dim)) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    if wrap(dim[0], A.ndim) == wrap(dim[1], A.ndim):
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    rows, columns = wrap_all(tuple(dim), A.ndim)
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if isinstance(ord, str) and ord != "nuc":
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord != "nuc" and abs(ord) not in (1, 2, math.inf):  # type: ignore[arg-type]
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "nuc" or abs(ord) == 2:  # type: ignore[arg-type]
        values: Any = svdvals(A.movedim((rows, columns), (-2, -1)))
        values = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord == 2 else values.amin(-1)
        result: Tensor = values.unsqueeze(min(rows, columns)).unsqueeze(max(rows, columns)) if keepdim else values
        return result
    if math.isinf(ord):  # type: ignore[arg-type]
        rows, columns = columns, rows
    sums: Any = vector_norm(A, 1, rows, keepdim)
    other = columns - (columns > rows and not keepdim)
    extreme: Tensor = sums.amax(other, keepdim) if ord > 0 else sums.amin(other, keepdim)  # type: ignore[operator]
    return extreme


@linear_algebra
@called("linalg_norm")
def norm(
    A: Any,
    ord: float | str | None = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: dtypes.dtype | None = None,
) -> Tensor:
    """The norm of vectors or matrices: of all elements without `ord`, else as the number of dimensions says."""
    A = _floating("linalg.norm", A, dtype)
    dims = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if ord is not None and dims is None and A.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.ndim}D."
        )
    if ord is not None and (len(dims) == 2 if dims is not None else A.ndim == 2):
        return matrix_norm(A, ord, (0, 1) if dims is None else dims, keepdim)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} not supported.")
    return vector_norm(A, 2 if ord is None else ord, dims, keepdim)


@linear_algebra
@called("linalg_cond")
def cond(A: Any, p: float | str | None = None) -> Tensor:
    """How much larger errors in a system of equations become: the norm of each matrix times that of its inverse."""
    if p is None or p in (2, -2):
        check_matrix("linalg.cond", A, square=False)
        values: Any = svdvals(A)
        ratio: Tensor = values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
        return ratio
    check_matrix("linalg.cond", A)
    result: Tensor = matrix_norm(A, p) * matrix_norm(inv(A), p)  # type: ignore[operator]
    return result


@linear_algebra
@called("linalg_matrix_rank")
def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values of each matrix are above the tolerance, int64.

    The tolerance is the larger of `atol` and `rtol` times the largest value; without either, `rtol` is the dtype's
    epsilon times the larger dimension.
    """
    check_matrix("linalg.matrix_rank", A, square=hermitian)
    atol = tol if tol is not None else atol
    values: Any = svdvals(A.detach())
    if rtol is None:
        rtol = 0.0 if atol is not None else float(np.finfo(A._data.dtype).eps) * max(A.shape[-2:])
    largest = values.amax(-1, True) if values.numel() else values
    limit = (largest * rtol).clamp_min(0.0 if atol is None else atol)
    result: Tensor = (values > limit).sum(-1)
    return result


# ---- parts of a tensor kept below a length


def _lengths(x: Any, p: float, dim: int) -> Any:
    others = tuple(axis for axis in range(x.ndim) if axis != dim)
    return np.add.reduce(abs(x) ** p, axis=others, keepdims=True) ** (1 / p)


def _shortened(x: Any, p: float, dim: int, maxnorm: float) -> Any:
    lengths = _lengths(x, p, dim)
    return (x * np.where(lengths > maxnorm, maxnorm / (lengths + 1e-7), 1)).astype(x.dtype)


def _shortened_back(g: Any, x: Any, p: float, dim: int, maxnorm: float) -> Any:
    lengths = _lengths(x, p, dim)
    others = tuple(axis for axis in range(x.ndim) if axis != dim)
    along = np.add.reduce(g * x, axis=others, keepdims=True)
    slope = abs(x) ** (p - 1) * np.sign(x) * lengths ** (1 - p)
    factor = maxnorm / (lengths + 1e-7)
    return np.where(lengths > maxnorm, g * factor - slope * along * factor / (lengths + 1e-7), g)


RENORM: Row = op(
    "renorm(x, *, p, dim, maxnorm)",
    _shortened,
    x=_shortened_back,
    samples=lambda: [sample(grid(3, 4), 2, 0, 1.5), sample(grid(2, 3), 3, 1, 1.0)],
)


@both
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """The parts along `dim` whose `p`-norm is above `maxnorm` made that long."""
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if first_tensor("renorm", input).ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    _floating("linalg.vector_norm", input, None)
    return apply(RENORM, (input,), (p, wrap(dim, input.ndim), maxnorm))


# ---- all dimensions but one


def _others(x: Any, dim: int) -> tuple[int, ...]:
    """The dimensions that are summed over: all but `dim`, or all for -1."""
    return tuple(axis for axis in range(x.ndim) if axis != dim)


def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm of each part along `dim`, with the other dimensions kept at length 1; of the whole for -1."""
    if dim == -1:
        whole: Tensor = v.norm(pow)
        return whole
    result: Tensor = v.norm(pow, _others(v, dim), keepdim=True) if v.ndim > 1 else v.norm(pow, (), keepdim=True)
    return result


FUNCTIONS["norm_except_dim"] = called("norm_except_dim")(norm_except_dim)


def _root_of_squares(v: Any, dim: int) -> Any:
    return np.sqrt(np.add.reduce(wide(v) * wide(v), axis=_others(v, dim), keepdims=True))


def _along(g: Any, v: Any, dim: int) -> Any:
    """How much of the cotangent goes along each direction."""
    return np.add.reduce(wide(g) * wide(v), axis=_others(v, dim), keepdims=True) / _root_of_squares(v, dim)


def _turning(g: Any, v: Any, lengths: Any, dim: int) -> Any:
    norms = _root_of_squares(v, dim)
    return (wide(g) - wide(v) * (_along(g, v, dim) / norms)) * (wide(lengths) / norms)


WEIGHT_NORM: Row = op(
    "_weight_norm(v, lengths, *, dim)",
    lambda v, lengths, dim: (v * (lengths / _root_of_squares(v, dim))).astype(v.dtype, copy=False),
    node="WeightNormInterfaceBackward0",
    v=_turning,
    lengths=lambda g, v, dim: _along(g, v, dim),
)


@called("_weight_norm")
def weight_norm(v: Any, g: Any, dim: int = 0) -> Tensor:
    """Directions `v` of the lengths `g`, for each part along `dim`; -1 for one length."""
    if dim != -1:
        wrap(dim, v.ndim)
        if not v.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if dim in (0, v.ndim - 1):
        if v.dtype is not g.dtype:
            names = [one.dtype.type_name.removesuffix("Tensor") for one in (v, g)]
            raise RuntimeError(f"expected scalar type {names[0]} but found {names[1]}")
        return apply(WEIGHT_NORM, (v, g), (dim,))
    result: Tensor = v * (g / norm_except_dim(v, 2, dim))
    return result
