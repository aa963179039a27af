"""`matrix_exp`; and of `linalg` what others make up: `vander`, `tensorsolve`, `vecdot`, `cross`, `diagonal`.

Sources: N. Higham, "The scaling and squaring method for the matrix exponential revisited" (2005); R. Mathias, "A chain
rule for matrix functions and applications" (1996), whose block matrix gives the derivative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import called
from gradviz.core.dual import run_row
from gradviz.core.ops.decompositions import cholesky
from gradviz.core.ops.linear import matmul
from gradviz.core.ops.matrices import check_matrix, inv, solve, turned
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.shapes import LinAlgError
from gradviz.core.ops.table import Row, op
from gradviz.core.public import FUNCTIONS, LINALG, METHODS, linear_algebra
from gradviz.core.tensor import Tensor

# ---- exponential

_PADE = (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
         10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0,
         1.0)  # fmt: skip
"""Coefficients of the numerator of degree 13."""
_REACH = 5.37
"""The largest 1-norm for which that numerator is exact to float64."""


def _exponential(x: Any) -> Any:
    if not x.size:
        return np.array(x)
    wide = x.astype(np.float64)
    size = float(np.add.reduce(abs(wide), axis=-2).max())
    squarings = max(0, math.ceil(math.log2(size / _REACH))) if np.isfinite(size) and size > 0 else 0
    wide = wide / 2.0**squarings
    one = np.broadcast_to(np.eye(x.shape[-1]), wide.shape)
    square = wide @ wide
    even, odd, power = _PADE[0] * one, _PADE[1] * one, one
    for order in range(1, 7):
        power = power @ square
        even = even + _PADE[2 * order] * power
        odd = odd + _PADE[2 * order + 1] * power
    odd = wide @ odd
    out = np.linalg.solve(even - odd, even + odd)
    for _ in range(squarings):
        out = out @ out
    return out.astype(x.dtype)


def _exponential_back(g: Any, x: Any) -> Any:
    size = x.shape[-1]
    other = turned(x)
    upper = np.concatenate([other, g], -1)
    lower = np.concatenate([other * 0, other], -1)
    return run_row(MATRIX_EXP, (np.concatenate([upper, lower], -2),))[..., :size, size:]


MATRIX_EXP: Row = op(
    "linalg_matrix_exp(x)",
    _exponential,
    call="linalg.matrix_exp",
    x=_exponential_back,
)


@linear_algebra
def matrix_exp(A: Tensor) -> Tensor:
    """The sum of the powers of each square matrix, each divided by its factorial."""
    return apply(MATRIX_EXP, (check_matrix("linalg.matrix_exp", A),))


FUNCTIONS["matrix_exp"] = METHODS["matrix_exp"] = matrix_exp

# ---- composed


@linear_algebra
@called("linalg_vecdot")
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Tensor:
    """The sums of products along `dim`."""
    result: Tensor = (x * y).sum(dim)
    return result


@linear_algebra
@called("linalg_vander")
def vander(x: Any, *, N: int | None = None) -> Tensor:
    """The powers of each element from 0 to N - 1, along another dimension."""
    count = x.shape[-1] if N is None else N
    ones = FUNCTIONS["ones_like"](x.unsqueeze(-1))
    powers = x.unsqueeze(-1).expand(*x.shape, count - 1).cumprod(-1)
    result: Tensor = FUNCTIONS["cat"]([ones, powers], -1)
    return result


@linear_algebra
@called("linalg_tensorinv")
def tensorinv(A: Any, ind: int = 2) -> Tensor:
    """The inverse under `tensordot` of a tensor whose first `ind` dimensions are as many as the others."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    first, second = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(first) != math.prod(second):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(second)} != {math.prod(first)}"
        )
    flat: Any = inv(A.reshape(math.prod(first), math.prod(second)))
    result: Tensor = flat.reshape(*second, *first)
    return result


@linear_algebra
@called("linalg_tensorsolve")
def tensorsolve(A: Any, B: Any, dims: Any = None) -> Tensor:
    """The X with `tensordot(A, X, X.ndim) = B`. dims: dimensions of A that are moved to its end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = A.shape[B.ndim :]
    flat: Any = solve(A.reshape(B.numel(), math.prod(shape)), B.reshape(-1))
    result: Tensor = flat.reshape(*shape)
    return result


@linear_algebra
@called("linalg_cross")
def cross(input: Any, other: Any, *, dim: int = -1) -> Tensor:
    """The vector product along a dimension of length 3."""
    result: Tensor = FUNCTIONS["cross"](*FUNCTIONS["broadcast_tensors"](input, other), dim=dim)
    return result


@linear_algebra
@called("linalg_diagonal")
def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonal of each matrix."""
    result: Tensor = FUNCTIONS["diagonal"](A, offset, dim1, dim2)
    return result


LINALG["matmul"] = called("linalg_matmul")(matmul)


# ---- answers with a number that says whether there is one


def _with_info(name: str, fields: tuple[str, str], compute: Any) -> None:
    result = return_type(name, *fields)

    def call(A: Any, *args: Any, check_errors: bool = False, **kwargs: Any) -> Any:
        try:
            found, info = compute(A, *args, **kwargs), 0
        except LinAlgError:
            if check_errors:
                raise
            found, info = FUNCTIONS["full_like"](args[0] if args else A, float("nan")), 1
        shape = tuple(A.shape[:-2])
        return result((found, FUNCTIONS["full"](shape, info, dtype=dtypes.int32)))

    short = name.removeprefix("linalg_")
    call.__name__ = call.__qualname__ = short
    call.__doc__ = f"`{short.removesuffix('_ex')}`, and `info` in place of an error: 0, or 1 for all matrices."
    LINALG[short] = call


_with_info("linalg_inv_ex", ("inverse", "info"), inv)
_with_info("linalg_cholesky_ex", ("L", "info"), cholesky)
_with_info("linalg_solve_ex", ("result", "info"), solve)
