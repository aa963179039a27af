"""Functions of `gradviz.special` that are nowhere else: `ndtr`, `ndtri`, `log_ndtr`, `entr`, `xlog1py`; and `i0`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import called
from gradviz.core.dual import run_row
from gradviz.core.error_function import erfc
from gradviz.core.ops.elementwise import floating
from gradviz.core.ops.samples import grid, positive, unit
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import SPECIAL, first_tensor, publish
from gradviz.core.tensor import Tensor

ROOT_HALF = math.sqrt(0.5)

# ---- the normal distribution


def ndtr(input: Any) -> Tensor:
    """How likely a standard normal number below `input` is."""
    x: Any = first_tensor("special_ndtr", input)
    x = x if x.is_floating_point() else x.float()
    result: Tensor = ((x * ROOT_HALF).erf() + 1) * 0.5
    return result


def ndtri(input: Any) -> Tensor:
    """The number that a part `input` of standard normal numbers lies below."""
    p: Any = first_tensor("special_ndtri", input)
    result: Tensor = (p * 2 - 1).erfinv() * math.sqrt(2)
    return result


def _log_normal(x: Any) -> Any:
    """The logarithm of the distribution function; far below 0 by an asymptotic series, where that is 0."""
    wide = np.asarray(x, np.float64)
    near = np.maximum(wide, -25.0)
    far = np.minimum(wide, -25.0)
    square = far * far
    series = 1 - 1 / square * (1 - 3 / square * (1 - 5 / square))
    tail = -square / 2 - np.log(-far) - 0.5 * math.log(2 * math.pi) + np.log(series)
    log = np.where(near > 1, np.log1p(-0.5 * erfc(near * ROOT_HALF)), np.log(0.5 * erfc(-near * ROOT_HALF)))
    return np.where(wide < -25, tail, log).astype(x.dtype)


LOG_NDTR: Row = op(
    "special_log_ndtr(x)",
    floating(_log_normal),
    call="special.log_ndtr",
    x=lambda g, x, out: g * np.exp(-x * x / 2 - out) / math.sqrt(2 * math.pi),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-4, high=4))],
)


def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of `ndtr`, exact far below 0, too."""
    return apply(LOG_NDTR, (first_tensor("special_log_ndtr", input),))


# ---- information


def _entropy(x: Any) -> Any:
    positive_ = np.where(x > 0, x, 1)
    return np.where(x > 0, -x * np.log(positive_), np.where(x == 0, 0, np.where(x < 0, -np.inf, x))).astype(x.dtype)


ENTR: Row = op(
    "special_entr(x)",
    floating(_entropy),
    call="special.entr",
    x=lambda g, x: g * (-np.log(x) - 1),
    samples=lambda: [sample(positive(2, 3))],
)


def entr(input: Tensor) -> Tensor:
    """`-input * log(input)`: 0 for 0, and minus infinity below."""
    return apply(ENTR, (first_tensor("special_entr", input),))


def _times_log1p(x: Any, y: Any) -> Any:
    x, y = (one if one.dtype.kind == "f" else one.astype(np.float32) for one in (np.asarray(x), np.asarray(y)))
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(y)).astype(np.result_type(x, y))


XLOG1PY: Row = op(
    "special_xlog1py(x, y)",
    _times_log1p,
    node="SpecialXlog1PyBackward0",
    call="special.xlog1py",
    promotes=True,
    x=lambda g, x, y: g * np.where((x == 0) & (y <= -1), 0.0, np.log1p(y)),
    y=lambda g, x, y: g * x / (y + 1),
    samples=lambda: [sample(grid(2, 3), unit(2, 3)), sample(positive(3), positive(2, 3))],
)


def xlog1py(input: Tensor, other: Tensor) -> Tensor:
    """`input * log(1 + other)`, and 0 where `input` is 0."""
    return apply(XLOG1PY, (input, other))


# ---- Bessel functions


def scaled_bessel(x: Any, order: int) -> Any:
    """I0 or I1 times `exp(-abs(x))`, by its integral over half a turn, which the trapezoidal rule gives to rounding."""
    wide = np.asarray(x, np.float64)
    angles = (np.arange(200) + 0.5) * (math.pi / 200)
    waves = np.exp((np.cos(angles) - 1) * np.abs(wide)[..., None])
    scaled = np.add.reduce(waves * (np.cos(angles) if order else 1), axis=-1) / 200
    return (scaled * (np.sign(wide) if order else 1)).astype(x.dtype)


def _bessel(x: Any, order: int) -> Any:
    wide = np.asarray(x, np.float64)
    return (scaled_bessel(wide, order) * np.exp(np.abs(wide))).astype(x.dtype)


def _slope_of_i1(x: Any, out: Any) -> Any:
    safe = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 0.5, run_row(I0, (x,)) - out / safe)


I0: Row = op(
    "i0(x)",
    floating(lambda x: _bessel(x, 0)),
    node="I0Backward0",
    x=lambda g, x: g * run_row(I1, (x,)),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-8, high=8))],
)
I1: Row = op(
    "special_i1(x)",
    floating(lambda x: _bessel(x, 1)),
    node="SpecialI1Backward0",
    call="special.i1",
    x=lambda g, x, out: g * _slope_of_i1(x, out),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-8, high=8))],
)
publish(I0, inplace=True)


def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind and order 1."""
    return apply(I1, (first_tensor("special_i1", input),))


for _call in (log_ndtr, entr, xlog1py, i1):
    SPECIAL[_call.__name__] = _call
for _call in (ndtr, ndtri):
    SPECIAL[_call.__name__] = called(f"special_{_call.__name__}")(_call)
