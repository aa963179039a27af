"""Inverses, determinants and systems of equations: `inverse`, `solve`, `det`, `slogdet`, `solve_triangular`, ...

Each takes a batch of matrices (..., n, n).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.composites import called, composite, whole, whole_called
from gradviz.core.dual import run_row
from gradviz.core.ops.linear import matmul
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import LinAlgError
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, METHODS, both, first_tensor, function, linear_algebra
from gradviz.core.tensor import Tensor


def turned(x: Any) -> Any:
    """Each matrix transposed; of arrays and Tensors alike."""
    return np.swapaxes(x, -1, -2)


def check_matrix(name: str, x: Any, square: bool = True) -> Tensor:
    """Raise PyTorch's errors for what is not a batch of (square) floating matrices."""
    tensor = first_tensor(name, x)
    if tensor.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    rows, columns = tensor.shape[-2:]
    if square and rows != columns:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {rows} by {columns} matrices"
        )
    check_floating(name, tensor)
    return tensor


def check_floating(name: str, tensor: Tensor) -> None:
    """Raise RuntimeError for whole numbers and for float16."""
    kind = tensor.dtype.type_name.removesuffix("Tensor")
    if not tensor.is_floating_point():
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {kind}")
    if tensor.dtype.name == "float16":
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {kind}")


def guarded(name: str, what: str, call: Callable[..., Any], *arrays: Any) -> Any:
    """numpy's answer, or PyTorch's error where a matrix is singular."""
    try:
        return call(*arrays)
    except np.linalg.LinAlgError:
        raise LinAlgError(f"{name}: {what} because the input matrix is singular.") from None


def regular(*shape: int) -> Any:
    """Matrices that are far from singular."""
    return grid(*shape) + 3 * np.eye(shape[-1])


# ---- inverse


INV: Row = op(
    "linalg_inv(x)",
    lambda x: guarded("linalg.inv", "The inversion could not be completed", np.linalg.inv, x),
    node="LinalgInvExBackward0",
    call="linalg.inv",
    x=lambda g, out: -(turned(out) @ g @ turned(out)),
    samples=lambda: [sample(regular(3, 3)), sample(regular(2, 2, 2)), sample(regular(0, 2, 2))],
)


@linear_algebra
def inv(A: Tensor) -> Tensor:
    """The inverse of each matrix. Raises LinAlgError, a RuntimeError, for a singular one."""
    return apply(INV, (check_matrix("linalg.inv", A),))


inverse = called("inverse")(inv)
FUNCTIONS["inverse"] = METHODS["inverse"] = inverse


# ---- systems of equations


def _solved(x: Any, y: Any, vector: bool) -> Any:
    right = y[..., None] if vector else y
    out = guarded("torch.linalg.solve", "The solver failed", np.linalg.solve, x, right)
    return out[..., 0] if vector else out


def _from_solution(g: Any, x: Any, out: Any, vector: bool) -> Any:
    right = run_row(SOLVE, (turned(x), g), (vector,))
    if vector:
        return -(right[..., None] @ out[..., None, :])
    return -(right @ turned(out))


SOLVE: Row = op(
    "linalg_solve(x, y, *, vector=False)",
    _solved,
    node="LinalgSolveExBackward0",
    call="linalg.solve",
    x=_from_solution,
    y=lambda g, x, vector: run_row(SOLVE, (turned(x), g), (vector,)),
    samples=lambda: [
        sample(regular(3, 3), grid(3, 2)),
        sample(regular(2, 2), grid(2)),
        sample(regular(2, 3, 3), grid(2, 3)),
        sample(regular(2, 3, 3), grid(3, 1)),
    ],
)


def _same_kind(name: str, A: Tensor, B: Tensor) -> None:
    if A.dtype is not B.dtype:
        first, second = (one.dtype.type_name.removesuffix("Tensor") for one in (A, B))
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {first} and B of type {second} "
            "instead"
        )


@linear_algebra
@called("linalg_solve")
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X of `A @ X = B`; with `left=False` of `X @ A = B`. B: (..., n, k), or (..., n) shaped like A's rows."""
    check_matrix("linalg.solve", A)
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))
    _same_kind("linalg.solve", A, B)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False")
    if not vector and B.ndim < 2:
        raise RuntimeError("linalg.solve: The input tensor B must have at least 2 dimensions.")
    if not left:
        result: Any = apply(SOLVE, (A.transpose(-2, -1), B.transpose(-2, -1)), (False,))
        flipped: Tensor = result.transpose(-2, -1)
        return flipped
    if B.shape[-1 if vector else -2] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({A.shape[-2]}x{A.shape[-1]} and "
            f"{'x'.join(map(str, B.shape[-2:]))})"
        )
    return apply(SOLVE, (A, B), (vector,))


def _triangular(x: Any, y: Any, upper: bool, unitriangular: bool) -> Any:
    used = np.triu(x) if upper else np.tril(x)
    if unitriangular:
        used = used + (1 - used) * np.eye(x.shape[-1], dtype=x.dtype)
    out = guarded("linalg.solve_triangular", "The solver failed", np.linalg.solve, used, y)
    return out.astype(x.dtype, copy=False)


def _from_triangular(g: Any, x: Any, out: Any, upper: bool, unitriangular: bool) -> Any:
    right = run_row(SOLVE_TRIANGULAR, (turned(x), g), (not upper, unitriangular))
    slopes = -(right @ turned(out))
    edge = int(unitriangular)
    return np.triu(slopes, edge) if upper else np.tril(slopes, -edge)


SOLVE_TRIANGULAR: Row = op(
    "linalg_solve_triangular(x, y, *, upper, unitriangular=False)",
    _triangular,
    node="LinalgSolveTriangularBackward0",
    call="linalg.solve_triangular",
    x=_from_triangular,
    y=lambda g, x, upper, unitriangular: run_row(SOLVE_TRIANGULAR, (turned(x), g), (not upper, unitriangular)),
    samples=lambda: [
        sample(regular(3, 3), grid(3, 2), upper=True),
        sample(regular(2, 2, 2), grid(2, 2, 1), upper=False, unitriangular=True),
    ],
)


@linear_algebra
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """`solve` that looks at one triangle of A only; its diagonal counts as ones if `unitriangular`."""
    check_matrix("linalg.solve_triangular", A)
    if B.ndim < 2:
        raise RuntimeError("linalg.solve_triangular: The input tensor B must have at least 2 dimensions.")
    if not left:
        flipped: Any = solve_triangular(
            A.transpose(-2, -1),
            B.transpose(-2, -1),
            upper=not upper,
            unitriangular=unitriangular,
        )
        result: Tensor = flipped.transpose(-2, -1)
        return result
    if B.shape[-2] != A.shape[-1]:
        raise RuntimeError(
            "linalg.solve_triangular: Incompatible shapes of A and B for the equation AX = B "
            f"({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})"
        )
    return apply(SOLVE_TRIANGULAR, (A, B), (upper, unitriangular))


# ---- determinants


def _det(x: Any) -> Any:
    return np.asarray(np.linalg.det(x), x.dtype)


def _cofactors(g: Any, x: Any, out: Any) -> Any:
    """The cotangent of each matrix: its cofactors. A singular one has them, but no inverse."""
    if isinstance(out, np.ndarray) and not out.all():
        u, s, v = np.linalg.svd(x)
        others = np.stack([np.prod(np.delete(s, axis, -1), -1) for axis in range(s.shape[-1])], -1)
        signs = np.linalg.det(u) * np.linalg.det(v)
        return (g * signs)[..., None, None] * ((u * others[..., None, :]) @ v)
    return (g * out)[..., None, None] * turned(run_row(INV, (x,)))


DET: Row = op(
    "linalg_det(x)",
    _det,
    node="LinalgDetBackward0",
    call="linalg.det",
    x=_cofactors,
    samples=lambda: [sample(regular(3, 3)), sample(regular(2, 2, 2))],
)
SLOGDET: Row = op(
    "linalg_slogdet(x)",
    lambda x: tuple(np.asarray(part, x.dtype) for part in np.linalg.slogdet(x)),
    node="LinalgSlogdetBackward0",
    call="linalg.slogdet",
    x=lambda g, x: None if g[1] is None else g[1][..., None, None] * turned(run_row(INV, (x,))),
    samples=lambda: [sample(regular(3, 3)), sample(regular(2, 2, 2))],
)

_SlogdetResult = return_type("linalg_slogdet", "sign", "logabsdet")


@linear_algebra
@both
def det(A: Tensor) -> Tensor:
    """The determinant of each matrix."""
    return apply(DET, (check_matrix("linalg.det", A),))


@linear_algebra
@both
def slogdet(A: Tensor) -> Any:
    """The sign of each determinant, and the logarithm of its size."""
    return _SlogdetResult(apply_several(SLOGDET, (check_matrix("linalg.slogdet", A),)))


@both
@composite
def logdet(input: Tensor) -> Tensor:
    """The logarithm of each determinant; NaN for a negative one."""
    sign, size = slogdet(input)
    result: Tensor = FUNCTIONS["where"](sign == -1.0, float("nan"), size)
    return result


@linear_algebra
@both
@composite
def matrix_power(input: Tensor, n: int) -> Tensor:
    """Each matrix times itself, `n` times; its inverse for a negative `n`."""
    check_matrix("linalg.matrix_power", input)
    if n == 0:
        ones: Any = FUNCTIONS["eye"](input.shape[-1], dtype=input.dtype).expand(input.shape)
        unit: Tensor = ones.clone()
        return unit
    base: Tensor = inv(input) if n < 0 else input
    result: Tensor | None = None
    left = abs(n)
    while left:
        if left & 1:
            result = base if result is None else matmul(result, base)
        left >>= 1
        if left:
            base = matmul(base, base)
    assert result is not None
    if result is input:
        result = result.clone()
    return result


@linear_algebra
@whole_called("linalg_multi_dot")
def multi_dot(tensors: Any) -> Tensor:
    """The product of several matrices, from left to right."""
    result, *rest = tensors
    for one in rest:
        result = matmul(result, one)
    product: Tensor = result
    return product


@function
@whole
def chain_matmul(*matrices: Tensor, out: None = None) -> Tensor:
    """The product of several matrices. Warns that it is deprecated."""
    warnings.warn(
        "torch.chain_matmul is deprecated and will be removed in a future PyTorch release. Use torch.linalg.multi_dot "
        "instead, which accepts a list of two or more tensors rather than multiple parameters.",
        UserWarning,
        stacklevel=3,
    )
    return multi_dot(matrices)
