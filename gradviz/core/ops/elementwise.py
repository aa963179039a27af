"""Functions of one tensor, element by element: exponentials, logarithms, trigonometry, rounding, tests for NaN."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.dual import sign_of
from gradviz.core.error_function import erf
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.arithmetic import POW_NUMBER
from gradviz.core.ops.samples import grid, positive, unit
from gradviz.core.ops.table import op, sample
from gradviz.core.public import METHODS, both, first_tensor, method, publish
from gradviz.core.tensor import Tensor

LN_2 = math.log(2)
LN_10 = math.log(10)
TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)


def floating(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A forward that gives float32 for ints and bools, where numpy would give float64 or float16.

    `function` itself is its `plain`: what compiled code calls for float32 and float64.
    """

    def forward(x: Any) -> Any:
        return function(x if x.dtype.kind == "f" else x.astype(np.float32))

    forward.plain = function  # type: ignore[attr-defined]
    return forward


def no_slope(g: Any) -> Any:
    """Cotangent for a function that is constant wherever it has a derivative."""
    return np.zeros_like(g)


# ---- exponentials and logarithms

EXP = op("exp(x)", floating(np.exp), x=lambda g, out: g * out, samples=lambda: [sample(grid(2, 3))])
EXP2 = op("exp2(x)", floating(np.exp2), x=lambda g, out: g * out * LN_2, samples=lambda: [sample(grid(2, 3))])
EXPM1 = op("expm1(x)", floating(np.expm1), x=lambda g, out: g * (out + 1), samples=lambda: [sample(grid(2, 3))])
LOG = op("log(x)", floating(np.log), x=lambda g, x: g / x, samples=lambda: [sample(positive(2, 3))])
LOG2 = op("log2(x)", floating(np.log2), x=lambda g, x: g / (x * LN_2), samples=lambda: [sample(positive(2, 3))])
LOG10 = op("log10(x)", floating(np.log10), x=lambda g, x: g / (x * LN_10), samples=lambda: [sample(positive(2, 3))])
LOG1P = op(
    "log1p(x)",
    floating(np.log1p),
    node="Log1PBackward0",
    x=lambda g, x: g / (x + 1),
    samples=lambda: [sample(unit(2, 3))],
)
SQRT = op("sqrt(x)", floating(np.sqrt), x=lambda g, out: g / (2 * out), samples=lambda: [sample(positive(2, 3))])
RSQRT = op(
    "rsqrt(x)",
    floating(lambda x: 1 / np.sqrt(x)),
    x=lambda g, out: -0.5 * g * out**3,
    samples=lambda: [sample(positive(2, 3))],
)
SIGMOID = op(
    "sigmoid(x)",
    floating(lambda x: 1 / (1 + np.exp(-x))),
    x=lambda g, out: g * (1 - out) * out,
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-800, high=800))],
)
ERF = op(
    "erf(x)",
    floating(erf),
    x=lambda g, x: TWO_BY_ROOT_PI * np.exp(-(x * x)) * g,
    samples=lambda: [sample(grid(2, 3)), sample(grid(9, low=-7, high=7))],
)

# ---- trigonometry

SIN = op("sin(x)", floating(np.sin), x=lambda g, x: g * np.cos(x), samples=lambda: [sample(grid(2, 3))])
COS = op("cos(x)", floating(np.cos), x=lambda g, x: g * -np.sin(x), samples=lambda: [sample(grid(2, 3))])
TAN = op("tan(x)", floating(np.tan), x=lambda g, out: g * (1 + out * out), samples=lambda: [sample(unit(2, 3))])
ASIN = op("asin(x)", floating(np.arcsin), x=lambda g, x: g / np.sqrt(1 - x * x), samples=lambda: [sample(unit(2, 3))])
ACOS = op("acos(x)", floating(np.arccos), x=lambda g, x: -g / np.sqrt(1 - x * x), samples=lambda: [sample(unit(2, 3))])
ATAN = op("atan(x)", floating(np.arctan), x=lambda g, x: g / (x * x + 1), samples=lambda: [sample(grid(2, 3))])
SINH = op("sinh(x)", floating(np.sinh), x=lambda g, x: g * np.cosh(x), samples=lambda: [sample(grid(2, 3))])
COSH = op("cosh(x)", floating(np.cosh), x=lambda g, x: g * np.sinh(x), samples=lambda: [sample(grid(2, 3))])
TANH = op("tanh(x)", floating(np.tanh), x=lambda g, out: g * (1 - out * out), samples=lambda: [sample(grid(2, 3))])
ASINH = op(
    "asinh(x)", floating(np.arcsinh), x=lambda g, x: g / np.sqrt(x * x + 1), samples=lambda: [sample(grid(2, 3))]
)
ACOSH = op(
    "acosh(x)",
    floating(np.arccosh),
    x=lambda g, x: g / np.sqrt(x * x - 1),
    samples=lambda: [sample(positive(2, 3) + 1)],
)
ATANH = op("atanh(x)", floating(np.arctanh), x=lambda g, x: g / (1 - x * x), samples=lambda: [sample(unit(2, 3))])

# ---- size, sign and rounding


def _sign(x: Any) -> Any:
    return sign_of(x) if x.dtype.kind != "b" else x.copy()


def _rounding(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A forward that leaves whole numbers as they are."""

    def forward(x: Any) -> Any:
        return function(x) if x.dtype.kind == "f" else x.copy()

    return forward


ABS = op(
    "abs(x)",
    operator.abs,
    x=lambda g, x: g * sign_of(x),
    samples=lambda: [sample(grid(2, 3)), sample(np.array([-1.0, 0.0, -0.0, 2.0]), smooth=False)],
)
SIGN = op(
    "sign(x)", _sign, x=no_slope, samples=lambda: [sample(grid(2, 3)), sample(np.array([0.0, -0.0]), smooth=False)]
)
FLOOR = op("floor(x)", _rounding(np.floor), x=no_slope, samples=lambda: [sample(grid(2, 3))])
CEIL = op("ceil(x)", _rounding(np.ceil), x=no_slope, samples=lambda: [sample(grid(2, 3))])
TRUNC = op("trunc(x)", _rounding(np.trunc), x=no_slope, samples=lambda: [sample(grid(2, 3))])
ROUND = op(
    "round(x)",
    _rounding(np.rint),
    x=no_slope,
    samples=lambda: [sample(grid(2, 3)), sample(np.array([-1.5, -0.5, 0.5, 2.5]), smooth=False)],
)
ROUND_DECIMALS = op(
    "round(x, *, decimals)",
    lambda x, decimals: np.round(x, decimals),
    key="round.decimals",
    node="RoundBackward1",
    x=no_slope,
    samples=lambda: [sample(grid(2, 3), decimals=1), sample(grid(3) * 100, decimals=-1)],
)
FRAC = op("frac(x)", lambda x: x - np.trunc(x), x=lambda g: g, samples=lambda: [sample(grid(2, 3))])

# ---- tests


_STRANGE = np.array([1.0, -np.inf, np.nan, np.inf, 0.0])
ISNAN = op("isnan(x)", np.isnan, samples=lambda: [sample(_STRANGE), sample(grid(2, 3))])
ISINF = op("isinf(x)", np.isinf, samples=lambda: [sample(_STRANGE), sample(grid(2, 3))])
ISFINITE = op("isfinite(x)", np.isfinite, samples=lambda: [sample(_STRANGE), sample(grid(2, 3))])

for _row in (EXP, EXP2, EXPM1, LOG, LOG2, LOG10, LOG1P, SQRT, RSQRT, SIGMOID, ERF, SIN, COS, TAN, ASIN, ACOS, ATAN):
    publish(_row, inplace=True)
for _row in (SINH, COSH, TANH, ASINH, ACOSH, ATANH, ABS, SIGN, FLOOR, CEIL, TRUNC, FRAC):
    publish(_row, inplace=True)
for _row in (ISNAN, ISINF, ISFINITE):
    publish(_row)

METHODS["__abs__"] = METHODS["abs"]


@both
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number, or multiple of `10 ** -decimals`; halves go to the even neighbour."""
    if decimals:
        return apply(ROUND_DECIMALS, (first_tensor("round", input),), (decimals,))
    return apply(ROUND, (first_tensor("round", input),))


@method
def round_(self: Tensor, *, decimals: int = 0) -> Tensor:
    """In-place `round`."""
    return apply_inplace(ROUND_DECIMALS, self, (), (decimals,)) if decimals else apply_inplace(ROUND, self)


SQUARE = op(
    "square(x)",
    lambda x: POW_NUMBER.forward(x, 2),
    node="PowBackward0",
    x=lambda g, x: g * (2 * x),
    samples=lambda: [sample(grid(2, 3)), sample(grid())],
)
square = publish(SQUARE, inplace=True)
