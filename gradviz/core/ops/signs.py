"""Signs: `copysign`, `heaviside`, `sgn`, `signbit`, `isposinf`, `positive`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.dual import sign_of
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.refusals import NOT_IMPLEMENTED, no_derivative
from gradviz.core.ops.samples import grid, unit
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, first_tensor, method, operand, publish
from gradviz.core.tensor import Tensor


def _with_sign(x: Any, y: Any) -> Any:
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind != "f":
        x = x.astype(np.float32)
    return np.copysign(x, y).astype(x.dtype, copy=False)


def _turned(g: Any, x: Any, out: Any) -> Any:
    """The cotangent, with the sign turned where that of `x` was."""
    return g * np.where(x == 0, 0.0, np.sign(x) * np.sign(out))


COPYSIGN: Row = op(
    "copysign(x, y)",
    _with_sign,
    promotes=True,
    x=_turned,
    y=lambda g: g * 0,
    samples=lambda: [sample(grid(2, 3), unit(3, 2).T), sample(grid(2, 3), grid(3))],
)
COPYSIGN_NUMBER: Row = op(
    "copysign(x, y)",
    _with_sign,
    key="copysign.number",
    node="CopysignBackward1",
    promotes=True,
    x=_turned,
    samples=lambda: [sample(grid(2, 3), -2.0), sample(grid(3), 1.0), sample(np.array([0.0, -0.0]), -1.0, smooth=False)],
)


def _row_for(other: Any) -> Row:
    return COPYSIGN if isinstance(other, Tensor) else COPYSIGN_NUMBER


@both
def copysign(input: Tensor, other: Any) -> Tensor:
    """`input` with the sign of `other`, a tensor or a number."""
    other = operand(other)
    return apply(_row_for(other), (first_tensor("copysign", input), other))


@method
def copysign_(self: Tensor, other: Any) -> Tensor:
    """In-place `copysign`."""
    other = operand(other)
    return apply_inplace(_row_for(other), self, (other,))


def _step(x: Any, y: Any) -> Any:
    if x.dtype != y.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return np.where(x == 0, y, x > 0).astype(x.dtype)


HEAVISIDE: Row = op(
    "heaviside(x, y)",
    _step,
    node=NOT_IMPLEMENTED,
    x=no_derivative("heaviside"),
    y=no_derivative("heaviside"),
    samples=lambda: [sample(np.array([-1.0, 0.0, 2.0]), grid(3)), sample(grid(2, 3), grid(3))],
)
publish(HEAVISIDE, inplace=True, numbers=False)


# ---- of one tensor


def _signs(x: Any) -> Any:
    return np.signbit(x) if x.dtype.kind == "f" else x < 0


SGN: Row = op(
    "sgn(x)",
    lambda x: sign_of(x) if x.dtype.kind != "b" else x.copy(),
    x=lambda g: g * 0,
    samples=lambda: [sample(grid(2, 3)), sample(np.array([0.0, -0.0]), smooth=False)],
)
SIGNBIT: Row = op("signbit(x)", _signs, samples=lambda: [sample(grid(2, 3)), sample(np.array([0.0, -0.0, np.inf]))])
ISPOSINF: Row = op("isposinf(x)", lambda x: x == np.inf, samples=lambda: [sample(np.array([1.0, np.inf, -np.inf]))])
ISNEGINF: Row = op("isneginf(x)", lambda x: x == -np.inf, samples=lambda: [sample(np.array([1.0, np.inf, -np.inf]))])
publish(SGN, inplace=True)
for _row in (SIGNBIT, ISPOSINF, ISNEGINF):
    publish(_row)


@both
def positive(input: Tensor) -> Tensor:
    """The tensor itself. Raises RuntimeError for bools."""
    if first_tensor("positive", input).dtype.name == "bool":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input
