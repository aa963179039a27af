"""Functions of two tensors that are met less often: `copysign`, `fmax`, `logaddexp2`, `float_power`, `gcd`, `isin`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import array_of
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.pairs import NOT_IMPLEMENTED, no_derivative
from gradviz.core.ops.samples import grid, integers, unit
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, both, first_tensor, function, method, operand, publish
from gradviz.core.tensor import Tensor

# ---- signs


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


def _floats(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind != "f":
            kind = dtypes.of(x).type_name.removesuffix("Tensor")
            raise NotImplementedError(f"\"{name}\" not implemented for '{kind}'")
        return call(x, y)

    return forward


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

# ---- extremes that pass over NaN


def _passing_over_nan(name: str, ufunc: Any, first: Callable[[Any, Any], Any]) -> None:
    """A row that takes one of two elements; `first` says where that is the first."""

    def chosen(x: Any, y: Any) -> Any:
        x, y = array_of(x), array_of(y)
        return (first(x, y) | np.isnan(y)).astype(x.dtype)

    row = op(
        f"{name}(x, y)",
        ufunc,
        promotes=True,
        x=lambda g, x, y: g * chosen(x, y),
        y=lambda g, x, y: g * (1 - chosen(x, y)),
        samples=lambda: [
            sample(grid(2, 3), unit(3, 2).T),
            sample(np.array([1.0, np.nan, 2.0, np.nan]), np.array([np.nan, 1.0, 2.5, np.nan]), smooth=False),
        ],
    )
    publish(row, numbers=False)


_passing_over_nan("fmax", np.fmax, np.greater_equal)
_passing_over_nan("fmin", np.fmin, np.less_equal)

# ---- powers and logarithms

LOGADDEXP2: Row = op(
    "logaddexp2(x, y)",
    _floats("logaddexp2_cpu", np.logaddexp2),
    promotes=True,
    x=lambda g, x, y: g / (1 + 2 ** (y - x)),
    y=lambda g, x, y: g / (1 + 2 ** (x - y)),
    samples=lambda: [sample(grid(2, 3), unit(3, 2).T)],
)
publish(LOGADDEXP2, numbers=False)


def _scaled_by_power(x: Any, y: Any) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    return (x * 2.0 ** np.asarray(y, x.dtype)).astype(x.dtype)


LDEXP: Row = op(
    "ldexp(x, y)",
    _scaled_by_power,
    promotes=True,
    x=lambda g, y: g * 2.0**y,
    y=lambda g, x, y: g * x * 2.0**y * math.log(2),
    samples=lambda: [sample(grid(2, 3), integers(3)), sample(grid(2, 3), unit(2, 3))],
)
publish(LDEXP, numbers=False)


@both
@composite
def float_power(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent` in float64; either may be a number."""
    base, power = (one.double() if isinstance(one, Tensor) else one for one in (operand(input), operand(exponent)))
    result: Tensor = FUNCTIONS["pow"](base, power)
    return result


# ---- whole numbers


def _whole(name: str, ufunc: Any) -> None:
    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind not in "iu":
            kind = dtypes.of(x).type_name.removesuffix("Tensor")
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{kind}'")
        return ufunc(x, y)

    row = op(
        f"{name}(x, y)",
        forward,
        promotes=True,
        samples=lambda: [
            sample(integers(6, high=9) * 2, integers(6) + 2),
            sample(-integers(2, 3) * 4, integers(3) * 6),
        ],
    )
    publish(row, inplace=True, numbers=False)


_whole("gcd", np.gcd)
_whole("lcm", np.lcm)


def _shift(name: str, ufunc: Any, symbol: str) -> None:
    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind not in "iu":
            kind = dtypes.of(x).type_name.removesuffix("Tensor")
            raise NotImplementedError(f"\"{symbol}_cpu\" not implemented for '{kind}'")
        return ufunc(x, y).astype(x.dtype)

    row = op(
        f"{name}(x, y)",
        forward,
        promotes=True,
        samples=lambda: [sample(integers(6), integers(6) + 1), sample(integers(4) * 9, 2)],
    )
    publish(row, inplace=True)


_shift("bitwise_left_shift", np.left_shift, "lshift")
_shift("bitwise_right_shift", np.right_shift, "rshift")

def _among(x: Any, others: Any, invert: bool) -> Any:
    if x.dtype.kind == "b":
        raise RuntimeError("Unsupported input type encountered for isin(): Bool")
    return np.isin(x, others, invert=invert)


ISIN: Row = op(
    "isin(elements, test_elements, *, invert=False)",
    _among,
    samples=lambda: [
        sample(integers(2, 3), np.array([0, 3])),
        sample(np.array([1.0, np.nan]), np.array([np.nan, 1.0]), invert=True),
    ],
)


@function
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """True where an element is among `test_elements`; either may be a number, one of them must be a tensor."""
    tensors = [one if isinstance(one, Tensor) else FUNCTIONS["tensor"](one) for one in (elements, test_elements)]
    return apply(ISIN, tensors, (invert,))


# ---- of one tensor: signs and infinities


def _signs(x: Any) -> Any:
    return np.signbit(x) if x.dtype.kind == "f" else x < 0


SGN: Row = op(
    "sgn(x)",
    lambda x: np.sign(x) if x.dtype.kind != "b" else x.copy(),
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
