"""Matrices taken apart: `cholesky`, `qr`, `svd`, `eigh`.

Sources of the derivatives: I. Murray, "Differentiation of the Cholesky decomposition" (2016); J. Townsend,
"Differentiating the singular value decomposition" (2016); S. Walter and L. Lehmann, "Algorithmic differentiation of
linear algebra functions" (2010).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.composites import called, composite
from gradviz.core.dual import run_row
from gradviz.core.ops.matrices import INV, check_matrix, turned
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.shapes import LinAlgError
from gradviz.core.ops.table import Row, op
from gradviz.core.public import FUNCTIONS, METHODS, linear_algebra
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError


def _lower_half(x: Any) -> Any:
    """The lower triangle, and half the diagonal."""
    return np.tril(x) - x * (0.5 * np.eye(x.shape[-1], dtype=np.float32))


# ---- Cholesky


def _cholesky(x: Any, upper: bool) -> Any:
    try:
        low = np.linalg.cholesky(turned(x) if upper else x)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.cholesky: The factorization could not be completed because the input is not positive-definite."
        ) from None
    return np.ascontiguousarray(turned(low)) if upper else low


def _cholesky_back(g: Any, out: Any, upper: bool) -> Any:
    low, g = (turned(out), turned(g)) if upper else (out, g)
    inverse = run_row(INV, (low,))
    middle = turned(inverse) @ _lower_half(turned(low) @ g) @ inverse
    return (middle + turned(middle)) * 0.5


CHOLESKY: Row = op(
    "linalg_cholesky(x, *, upper=False)",
    _cholesky,
    node="LinalgCholeskyExBackward0",
    call="linalg.cholesky",
    x=_cholesky_back,
)


@linear_algebra
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with `L @ L.T = A`. Raises LinAlgError where A is not positive-definite."""
    return apply(CHOLESKY, (check_matrix("linalg.cholesky", A),), (upper,))


# ---- QR


def _qr(x: Any, mode: Any) -> Any:
    if mode == "r":
        return np.zeros(0, x.dtype), np.linalg.qr(x, "r")
    q, r = np.linalg.qr(x, mode)
    return q, r


def _qr_back(g: Any, out: Any, out1: Any, shape: Any, mode: str) -> Any:
    q, r = out if isinstance(out, tuple) else (out, out1)
    rows, columns = shape[-2:]
    if mode == "r":
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'.")
    if mode == "complete" and rows > columns:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    if rows < columns:
        raise NotWrittenError("the derivative of `qr` of matrices with more columns than rows is not written yet")
    g_q, g_r = g
    inner = 0
    if g_r is not None:
        inner = inner + r @ turned(g_r)
    if g_q is not None:
        inner = inner - turned(g_q) @ q
    lower = np.tril(inner, -1)
    both = lower + turned(lower) + inner * np.eye(columns, dtype=np.float32)
    total = q @ both if g_q is None else g_q + q @ both
    return total @ turned(run_row(INV, (r,)))


QR: Row = op(
    "linalg_qr(x, *, mode='reduced')",
    _qr,
    node="LinalgQrBackward0",
    call="linalg.qr",
    x=_qr_back,
)
_QrResult = return_type("linalg_qr", "Q", "R")


@linear_algebra
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """The orthonormal Q and the upper triangular R with `Q @ R = A`. mode: "reduced", "complete", or "r" (no Q)."""
    check_matrix("linalg.qr", A, square=False)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    return _QrResult(apply_several(QR, (A,), (mode,)))


# ---- singular values


def _svd(x: Any, full_matrices: bool) -> Any:
    return tuple(np.linalg.svd(x, full_matrices))


def _gaps(s: Any) -> Any:
    """Differences of each pair, ones on the diagonal."""
    return s[..., None, :] - s[..., :, None] + np.eye(s.shape[-1], dtype=np.float32)


def _svd_back(g: Any, out: Any, full_matrices: bool) -> Any:
    u, s, v = out
    g_u, g_s, g_v = g
    count = s.shape[-1]
    if full_matrices and u.shape[-1] != v.shape[-1]:
        if g_u is not None or g_v is not None:
            raise NotWrittenError(
                "the derivative of `svd` in the vectors beyond the singular values is not written yet\n"
                "help: call it with `full_matrices=False`"
            )
        u, v = u[..., :, :count], v[..., :count, :]
    gaps = _gaps(s * s)
    inner = 0
    if g_s is not None:
        inner = inner + g_s[..., None] * np.eye(count, dtype=np.float32)
    if g_u is not None:
        skew = turned(u) @ g_u
        inner = inner + (skew - turned(skew)) / gaps * s[..., None, :]
    if g_v is not None:
        skew = v @ turned(g_v)
        inner = inner + s[..., :, None] * ((skew - turned(skew)) / gaps)
    result = u @ inner @ v
    if g_u is not None and u.shape[-2] > count:
        beside = g_u / s[..., None, :]
        result = result + (beside - u @ (turned(u) @ beside)) @ v
    if g_v is not None and v.shape[-1] > count:
        beside = g_v / s[..., :, None]
        result = result + u @ (beside - (beside @ turned(v)) @ v)
    return result


SVD: Row = op(
    "linalg_svd(x, *, full_matrices=True)",
    _svd,
    node="LinalgSvdBackward0",
    call="linalg.svd",
    x=_svd_back,
)
_SvdResult = return_type("linalg_svd", "U", "S", "Vh")


@linear_algebra
def svd(A: Tensor, full_matrices: bool = True) -> Any:
    """U, S and Vh with `U @ diag(S) @ Vh = A`; S from the largest down."""
    check_matrix("linalg.svd", A, square=False)
    return _SvdResult(apply_several(SVD, (A,), (full_matrices,)))


@linear_algebra
@composite
def svdvals(A: Tensor) -> Tensor:
    """The singular values of each matrix, from the largest down."""
    values: Tensor = svd(A, False)[1]
    return values


# ---- eigenvalues of symmetric matrices


def _eigh(x: Any, upper: bool) -> Any:
    values, vectors = np.linalg.eigh(x, "U" if upper else "L")
    return values, vectors


def _eigh_back(g: Any, out: Any) -> Any:
    values, vectors = out
    g_values, g_vectors = g
    inner = 0
    if g_values is not None:
        inner = inner + g_values[..., None] * np.eye(values.shape[-1], dtype=np.float32)
    if g_vectors is not None:
        mixed = turned(vectors) @ g_vectors
        inner = inner + (mixed - turned(mixed)) * 0.5 / _gaps(values)
    return vectors @ inner @ turned(vectors)


EIGH: Row = op(
    "linalg_eigh(x, *, upper=False)",
    _eigh,
    node="LinalgEighBackward0",
    call="linalg.eigh",
    x=_eigh_back,
)
_EighResult = return_type("linalg_eigh", "eigenvalues", "eigenvectors")


@linear_algebra
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues, from the smallest up, and eigenvectors of symmetric matrices, of which one triangle is read."""
    check_matrix("linalg.eigh", A)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return _EighResult(apply_several(EIGH, (A,), (UPLO.upper() == "U",)))


@linear_algebra
@composite
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, from the smallest up."""
    values: Tensor = eigh(A, UPLO)[0]
    return values


def _torch_cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The lower triangular L with `L @ L.T = input`."""
    return cholesky(input, upper=upper)


FUNCTIONS["cholesky"] = METHODS["cholesky"] = _torch_cholesky
FUNCTIONS["qr"] = METHODS["qr"] = lambda input, some=True: qr(input, "reduced" if some else "complete")


def _torch_svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V with `U @ diag(S) @ V.mT = input`. some: no vectors beyond the singular values."""
    u, s, v = svd(input, not some)
    if not compute_uv:
        zeros = FUNCTIONS["zeros"]
        rows, columns = input.shape[-2:]
        lead = tuple(input.shape[:-2])
        u, v = (zeros(*lead, length, length, dtype=input.dtype) for length in (rows, columns))
        return _TorchSvdResult((u, s, v))
    return _TorchSvdResult((u, s, v.transpose(-2, -1)))


_TorchSvdResult = return_type("svd", "U", "S", "V")
FUNCTIONS["svd"] = METHODS["svd"] = called("svd")(_torch_svd)

