"""Elimination: `lu`, `lu_factor`, `lu_solve`, `lu_unpack`; and what goes on from a Cholesky root.

Pivots are LAPACK's: for each row, counted from 1, the row that it changed places with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply, apply_several
from gradviz.core.dual import array_of, run_row, size_of
from gradviz.core.ops.matrices import SOLVE_TRIANGULAR, check_matrix, turned
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, both, linear_algebra
from gradviz.core.tensor import Tensor

# ---- factors


def _eliminated(x: Any) -> tuple[Any, Any]:
    """L below the diagonal and U above it in one matrix, and the pivots, by Gaussian elimination."""
    compact = np.array(x)
    rows, columns = x.shape
    pivots = np.arange(1, min(rows, columns) + 1, dtype=np.int32)
    for at in range(len(pivots)):
        best = at + int(np.argmax(abs(compact[at:, at])))
        if best != at:
            compact[[at, best]] = compact[[best, at]]
            pivots[at] = best + 1
        if compact[at, at] != 0:
            compact[at + 1 :, at] /= compact[at, at]
            compact[at + 1 :, at + 1 :] -= compact[at + 1 :, at, None] * compact[at, None, at + 1 :]
    return compact, pivots


def _compact(x: Any) -> tuple[Any, Any]:
    """`_eliminated` of every matrix of a batch."""
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        raise NotImplementedError(f"\"lu_cpu\" not implemented for '{dtypes.of(x).type_name.removesuffix('Tensor')}'")
    lead = x.shape[:-2]
    compact, pivots = np.empty_like(x, order="C"), np.empty((*lead, min(x.shape[-2:])), np.int32)
    for place in np.ndindex(*lead):
        compact[place], pivots[place] = _eliminated(x[place])
    return compact, pivots


def _permutation(pivots: Any, rows: int, kind: Any) -> Any:
    """The matrices P of `P @ L @ U`."""
    lead = pivots.shape[:-1]
    found = np.zeros((*lead, rows, rows), kind)
    for place in np.ndindex(*lead):
        order = np.arange(rows)
        for at, other in enumerate(pivots[place]):
            order[[at, other - 1]] = order[[other - 1, at]]
        found[(*place, order, np.arange(rows))] = 1
    return found


def _lower(compact: Any) -> Any:
    rows, columns = compact.shape[-2:]
    size = min(rows, columns)
    return np.tril(compact[..., :, :size], -1) + np.eye(rows, size, dtype=np.float32)


def _upper(compact: Any) -> Any:
    return np.triu(compact[..., : min(compact.shape[-2:]), :])


def _factors(x: Any) -> Any:
    compact, pivots = _compact(x)
    return _permutation(pivots, x.shape[-2], x.dtype), _lower(compact).astype(x.dtype), _upper(compact)


def _back(x: Any, g_lower: Any, g_upper: Any) -> Any:
    """The cotangent of a matrix from those of its factors; what lies beyond its square part depends on that part."""
    permutation, lower, upper = run_row(LU, (x,))
    size = min(x.shape[-2:])
    square_lower, square_upper = lower[..., :size, :], upper[..., :size]
    inner: Any = 0
    if g_lower is not None:
        inner = inner + np.tril(turned(square_lower) @ g_lower[..., :size, :], -1)
    if g_upper is not None:
        inner = inner + np.triu(g_upper[..., :size] @ turned(square_upper))
    beyond: Any = None
    if x.shape[-1] > size and g_upper is not None:
        inner = inner - np.tril(g_upper[..., size:] @ turned(upper[..., size:]), -1)
        beyond = _solved(turned(square_lower), g_upper[..., size:], True, True)
    if x.shape[-2] > size and g_lower is not None:
        inner = inner - np.triu(turned(lower[..., size:, :]) @ g_lower[..., size:, :])
        beyond = turned(_solved(square_upper, turned(g_lower[..., size:, :]), True, False))
    left = _solved(turned(square_lower), inner, True, True)
    whole = turned(_solved(square_upper, turned(left), True, False))
    if x.shape[-2] != x.shape[-1]:
        axis = -1 if x.shape[-1] > size else -2
        if beyond is None:
            beyond = np.zeros_like(array_of(x)[..., size:] if axis == -1 else array_of(x)[..., size:, :])
        whole = np.concatenate([whole, beyond], axis)
    return permutation @ whole


def _solved(x: Any, y: Any, upper: bool, unitriangular: bool) -> Any:
    return run_row(SOLVE_TRIANGULAR, (x, y), (upper, unitriangular))


LU: Row = op(
    "linalg_lu(x)",
    _factors,
    call="linalg.lu",
    x=lambda g, x: _back(x, g[1], g[2]) if size_of(x) else x * 0,
    nondifferentiable_outputs=(0,),
    samples=lambda: [
        sample(grid(3, 3) ** 3), sample(grid(2, 2, 2) ** 3), sample(grid(2, 4) ** 3), sample(grid(4, 2) ** 3)
    ],
)  # fmt: skip
LU_FACTOR: Row = op(
    "linalg_lu_factor(x)",
    _compact,
    node="LinalgLuFactorExBackward0",
    call="linalg.lu_factor",
    x=lambda g, x: (
        _back(x, np.tril(g[0][..., :, : min(x.shape[-2:])], -1), np.triu(g[0][..., : min(x.shape[-2:]), :]))
        if size_of(x) else x * 0
    ),
    nondifferentiable_outputs=(1,),
    samples=lambda: [
        sample(grid(3, 3) ** 3), sample(grid(2, 2, 2) ** 3), sample(grid(2, 4) ** 3), sample(grid(4, 2) ** 3)
    ],
)  # fmt: skip
_LuResult = return_type("linalg_lu", "P", "L", "U")
_FactorResult = return_type("linalg_lu_factor", "LU", "pivots")
_FactorExResult = return_type("linalg_lu_factor_ex", "LU", "pivots", "info")
_UnpackResult = return_type("lu_unpack", "P", "L", "U")


def _need_pivoting(pivot: bool) -> None:
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


@linear_algebra
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """P, L and U with `P @ L @ U = A`: a permutation, a lower triangle with ones on its diagonal, an upper triangle.

    Raises RuntimeError for `pivot=False`, which PyTorch does not have on a CPU.
    """
    _need_pivoting(pivot)
    check_matrix("linalg.lu", A, square=False)
    return _LuResult(apply_several(LU, (A,)))


def _factored(A: Tensor, pivot: bool) -> tuple[Tensor, Tensor, Any]:
    """L and U in one matrix, the pivots, and for each matrix the first zero on U's diagonal, counted from 1, or 0."""
    if A.ndim < 2:
        raise RuntimeError(
            f"torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: {list(A.shape)} instead"
        )
    _need_pivoting(pivot)
    compact, pivots = apply_several(LU_FACTOR, (A,))
    zero = np.diagonal(compact._data, axis1=-2, axis2=-1) == 0
    return compact, pivots, np.where(zero.any(-1), zero.argmax(-1) + 1 if zero.size else 0, 0).astype(np.int32)


@linear_algebra
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """L and U in one matrix, and the pivots, as `lu_solve` takes them. Raises RuntimeError for a singular matrix."""
    compact, pivots, info = _factored(A, pivot)
    if info.any():
        place, at = _first(info)
        raise RuntimeError(
            f"torch.linalg.lu_factor: {place}U[{at},{at}] is zero and using it on lu_solve would result in a division "
            "by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
            "linalg.lu_factor_ex(A, pivot)"
        )
    return _FactorResult((compact, pivots))


def _first(info: Any) -> tuple[str, int]:
    number = int(np.flatnonzero(info)[0])
    return (f"(Batch element {number}): " if info.ndim else "", int(info.ravel()[number]))


@linear_algebra
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """`lu_factor`, and `info` in place of an error: 0, or the first zero on the diagonal of U."""
    if check_errors:
        lu_factor(A, pivot=pivot)
    compact, pivots, info = _factored(A, pivot)
    return _FactorExResult((compact, pivots, FUNCTIONS["from_numpy"](np.asarray(info))))


def _unpacked(compact: Any, pivots: Any) -> Any:
    kind = compact.dtype
    return _permutation(pivots, compact.shape[-2], kind), _lower(compact).astype(kind), _upper(compact)


def _packed(g: Any, compact: Any) -> Any:
    total: Any = 0
    if g[1] is not None:
        total = total + _widened(np.tril(g[1], -1), compact)
    if g[2] is not None:
        total = total + _widened(np.triu(g[2]), compact)
    return total


def _widened(x: Any, like: Any) -> Any:
    """With zeros below or beside."""
    for axis in (-2, -1):
        missing = like.shape[axis] - x.shape[axis]
        if missing:
            shape = (*x.shape[:-2], missing, x.shape[-1]) if axis == -2 else (*x.shape[:-1], missing)
            x = np.concatenate([x, np.zeros(shape, array_of(x).dtype)], axis)
    return x


LU_UNPACK: Row = op("lu_unpack(compact, pivots)", _unpacked, compact=_packed, nondifferentiable_outputs=(0,))


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor) -> Any:
    """P, L and U of what `lu_factor` gives."""
    return _UnpackResult(apply_several(LU_UNPACK, (LU_data, LU_pivots)))


FUNCTIONS["lu_unpack"] = lu_unpack

# ---- systems of equations, from factors


def _answer(compact: Any, pivots: Any, b: Any, left: bool, adjoint: bool) -> Any:
    if not left:
        return turned(_answer(compact, pivots, turned(b), True, not adjoint))
    permutation = _permutation(array_of(pivots), compact.shape[-1], array_of(compact).dtype)
    if adjoint:
        return permutation @ _solved(turned(compact), _solved(turned(compact), b, False, False), True, True)
    return _solved(compact, _solved(compact, turned(permutation) @ b, False, True), True, False)


def _of_factors(g: Any, compact: Any, pivots: Any, out: Any, left: bool, adjoint: bool) -> Any:
    if not left:
        return _of_factors(turned(g), compact, pivots, turned(out), True, not adjoint)
    permutation = _permutation(array_of(pivots), compact.shape[-1], array_of(compact).dtype)
    if adjoint:  # y = P^T out solves L^T y = U^-T b
        inner, y = turned(permutation) @ g, turned(permutation) @ out
        down = _solved(compact, inner, False, True)
        g_lower = -(y @ turned(down))
        through = turned(compact)
        middle = np.triu(through, 1) @ y + y
        g_upper = -(middle @ turned(_solved(compact, down, True, False)))
    else:
        up = _solved(turned(compact), g, False, False)
        g_upper = -(up @ turned(out))
        g_lower = -(_solved(turned(compact), up, True, True) @ turned(np.triu(compact) @ out))
    return np.tril(g_lower, -1) + np.triu(g_upper)


LU_SOLVE: Row = op(
    "linalg_lu_solve(compact, pivots, b, *, left=True, adjoint=False)",
    _answer,
    compact=_of_factors,
    b=lambda g, compact, pivots, left, adjoint: _answer(compact, pivots, g, left, not adjoint),
    call="linalg.lu_solve",
)


@linear_algebra
def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """The X of `A @ X = B` for an A that `lu_factor` took apart. left: False for `X @ A = B`. adjoint: A transposed."""
    if B.ndim < 2:
        raise RuntimeError("linalg.lu_solve: The input tensor B must have at least 2 dimensions.")
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    check_matrix("torch.linalg.lu_solve", LU)
    if pivots.shape[-1] != LU.shape[-1]:
        raise RuntimeError("linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix")
    if B.shape[-2 if left else -1] != LU.shape[-1]:
        rows, columns = B.shape[-2:]
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.lu_solve: Incompatible shapes of A and B for the equation {equation} "
            f"({LU.shape[-2]}x{LU.shape[-1]} and {rows}x{columns})"
        )
    return apply(LU_SOLVE, (LU, pivots, B), (left, adjoint))


def _by_root(b: Any, x: Any, upper: bool) -> Any:
    """The answer for the matrix whose Cholesky root is `x`."""
    low = turned(x) if upper else x
    return _solved(turned(low), _solved(low, b, False, False), True, False)


def _of_root(g: Any, x: Any, out: Any, upper: bool) -> Any:
    part = _by_root(g, x, upper) @ turned(out)
    both_ways = part + turned(part)
    return -(x @ both_ways if upper else both_ways @ x)


CHOLESKY_SOLVE: Row = op(
    "cholesky_solve(b, x, *, upper=False)",
    _by_root,
    b=lambda g, x, upper: _by_root(g, x, upper),
    x=_of_root,
)


def _need_square(name: str, x: Tensor) -> None:
    rows, columns = x.shape[-2:]
    if rows != columns:
        raise RuntimeError(f"{name}A must be batches of square matrices, but they are {rows} by {columns} matrices")


@both
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """The X of `A @ X = input`, for the A whose Cholesky root is `L`: `A = L @ L.T`, or `L.T @ L` if `upper`."""
    for name, one in (("b", input), ("u", L)):
        if one.ndim < 2:
            raise RuntimeError(f"{name} should have at least 2 dimensions, but has {one.ndim} dimensions instead")
    _need_square("", L)
    if input.shape[-2] != L.shape[-1]:
        size, rows, columns = L.shape[-1], *input.shape[-2:]
        raise RuntimeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {size} by {size} but each b matrix is "
            f"{rows} by {columns}"
        )
    return apply(CHOLESKY_SOLVE, (input, L), (upper,))


def _inverse_by_root(x: Any, upper: bool) -> Any:
    return _by_root(np.eye(x.shape[-1], dtype=array_of(x).dtype), x, upper)


def _inverse_of_root(g: Any, x: Any, out: Any, upper: bool) -> Any:
    part = out @ (g + turned(g)) @ out
    return -(x @ part if upper else part @ x)


CHOLESKY_INVERSE: Row = op("cholesky_inverse(x, *, upper=False)", _inverse_by_root, x=_inverse_of_root)


@both
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky root is `input`."""
    _need_square("cholesky_inverse: ", input)
    return apply(CHOLESKY_INVERSE, (input,), (upper,))
