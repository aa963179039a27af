"""Systems of equations without an exact answer: `pinv`, `lstsq`.

Source of the derivative: G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
problems whose variables separate" (1973).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.dual import run_row, size_of
from gradviz.core.ops.matrices import check_matrix, regular, turned
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, METHODS, linear_algebra
from gradviz.core.tensor import Tensor


def _pseudo_inverse(x: Any, atol: float, rtol: float | None, hermitian: bool) -> Any:
    if rtol is None:
        rtol = 0.0 if atol else float(np.finfo(x.dtype).eps) * max(x.shape[-2:])
    if not x.size:
        return np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    u, s, v = np.linalg.svd(x, full_matrices=False)
    limit = np.maximum(rtol * s[..., :1], atol)
    inverses = np.where(s > limit, 1 / np.where(s > limit, s, 1), 0).astype(x.dtype)
    return turned(v) @ (inverses[..., :, None] * turned(u))


def _pseudo_inverse_back(g: Any, x: Any, out: Any) -> Any:
    left, right = turned(out), turned(g)
    beside = right - x @ (out @ right)
    beyond = right - (right @ out) @ x
    return beside @ out @ left + left @ out @ beyond - left @ g @ left


PINV: Row = op(
    "linalg_pinv(x, *, atol=0.0, rtol=None, hermitian=False)",
    _pseudo_inverse,
    call="linalg.pinv",
    x=_pseudo_inverse_back,
    samples=lambda: [sample(grid(3, 2) ** 3), sample(grid(2, 3) ** 3), sample(regular(2, 2, 2))],
)


@linear_algebra
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudo-inverse of each matrix (m, n): (n, m).

    Singular values below `atol`, or below `rtol` times the largest, count as zero.
    """
    check_matrix("linalg.pinv", A, square=hermitian)
    limits = [float(limit) if limit is not None else None for limit in (atol, rcond if rtol is None else rtol)]
    return apply(PINV, (A,), (limits[0] or 0.0, limits[1], hermitian))


def _pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv` with another tolerance."""
    return pinv(input, rcond)


FUNCTIONS["pinverse"] = METHODS["pinverse"] = _pinverse


# ---- least squares


_EXACT = (0.0, None, False)
"""Static arguments of `PINV` that leave out only what rounding made."""


def _columns(x: Any, vector: bool) -> Any:
    return x[..., None] if vector else x


def _nearest(x: Any, y: Any, rtol: float, vector: bool, driver: str) -> Any:
    right = _columns(y, vector)
    out = _pseudo_inverse(x, 0.0, rtol, False) @ right
    values = np.linalg.svd(x, compute_uv=False)
    rank = np.add.reduce(values > rtol * values[..., :1], axis=-1, dtype=np.int64)
    rows, columns = x.shape[-2:]
    rest = np.zeros(0, x.dtype)
    if driver != "gelsy" and rows > columns and np.all(rank == columns):
        off = x @ out - right
        rest = np.add.reduce(off * off, axis=-2)
    if driver not in ("gelsd", "gelss"):
        values = np.zeros(0, x.dtype)
    rank = np.zeros(0, np.int64) if driver == "gels" else np.asarray(rank)
    return out[..., 0] if vector else out, rest, rank, values


def _residual_part(g: Any, x: Any, y: Any, vector: bool) -> tuple[Any, Any]:
    """The solution, and what the residuals' cotangent says of `x @ solution - y`."""
    solution = run_row(PINV, (x,), _EXACT) @ _columns(y, vector)
    return solution, (x @ solution - _columns(y, vector)) * 2 * g[..., None, :]


def _of_matrix(g: Any, x: Any, y: Any, vector: bool) -> Any:
    parts = []
    if g[0] is not None:
        spread = _columns(g[0], vector) @ turned(_columns(y, vector))
        parts.append(_pseudo_inverse_back(spread, x, run_row(PINV, (x,), _EXACT)))
    if g[1] is not None and size_of(g[1]):
        solution, off = _residual_part(g[1], x, y, vector)
        parts.append(off @ turned(solution))
    return sum(parts[1:], parts[0]) if parts else None


def _of_right(g: Any, x: Any, y: Any, vector: bool) -> Any:
    parts = []
    if g[0] is not None:
        parts.append(turned(run_row(PINV, (x,), _EXACT)) @ _columns(g[0], vector))
    if g[1] is not None and size_of(g[1]):
        parts.append(-_residual_part(g[1], x, y, vector)[1])
    total = sum(parts[1:], parts[0]) if parts else None
    return total[..., 0] if vector and total is not None else total


LSTSQ: Row = op(
    "linalg_lstsq(x, y, *, rtol, vector, driver)",
    _nearest,
    call="linalg.lstsq",
    x=_of_matrix,
    y=_of_right,
    nondifferentiable_outputs=(2, 3),
    samples=lambda: [sample(grid(4, 2) ** 3, grid(4, 3)), sample(regular(2, 2), grid(2, 1), driver="gelsd")],
)
_LstsqResult = return_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


@linear_algebra
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X that brings `A @ X` nearest to B; the squared distances that are left; A's rank and singular values.

    A: (..., m, n). B: (..., m, k), or (..., m) shaped like A's rows. Singular values below `rcond` times the largest
    count as zero. driver: "gelsy" gives no distances, and only "gelsd" and "gelss" singular values; "gels" no rank.
    There are distances only for m > n and A of full rank.
    """
    check_matrix("torch.linalg.lstsq", A, square=False)
    vector = B.ndim == A.ndim - 1
    if A.dtype is not B.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's dtype "
            f"{A.dtype.type_name} and other's dtype {B.dtype.type_name}"
        )
    if B.shape[-1 if vector else -2] != A.shape[-2]:
        raise RuntimeError("torch.linalg.lstsq: input.size(-2) should match other.size(-2)")
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver}"
        )
    rtol = float(np.finfo(A._data.dtype).eps) * max(A.shape[-2:]) if rcond is None else rcond
    return _LstsqResult(apply_several(LSTSQ, (A, B), (rtol, vector, driver or "gelsy")))
