"""Functions of `gradviz.special` that stay small: `i0e`, `i1e`, `erfcx`; and `bessel_j0`, `bessel_j1`.

Source of the Bessel functions far out: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 9.2.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.dual import run_row
from gradviz.core.error_function import scaled_erfc
from gradviz.core.ops.elementwise import floating
from gradviz.core.ops.probability import scaled_bessel
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import SPECIAL, first_tensor
from gradviz.core.tensor import Tensor


def _no_half(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A forward for float32 and float64 only, as PyTorch's is."""

    def forward(x: Any) -> Any:
        if x.dtype == np.float16:
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{dtypes.of(x).type_name[:-6]}'")
        return function(x if x.dtype.kind == "f" else x.astype(np.float32))

    return forward


def _slope_of_i1e(x: Any, out: Any) -> Any:
    safe = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 0.5, run_row(I0E, (x,)) - out * (np.sign(x) + 1 / safe))


I0E: Row = op(
    "special_i0e(x)",
    floating(lambda x: scaled_bessel(x, 0)),
    node="SpecialI0EBackward0",
    call="special.i0e",
    x=lambda g, x, out: g * (run_row(I1E, (x,)) - np.sign(x) * out),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-8, high=8))],
)
I1E: Row = op(
    "special_i1e(x)",
    floating(lambda x: scaled_bessel(x, 1)),
    node="SpecialI1EBackward0",
    call="special.i1e",
    x=lambda g, x, out: g * _slope_of_i1e(x, out),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-8, high=8))],
)
ERFCX: Row = op(
    "special_erfcx(x)",
    _no_half("erfcx", scaled_erfc),
    call="special.erfcx",
    x=lambda g, x, out: g * (2 * x * out - 2 / math.sqrt(math.pi)),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=1, high=30))],
)


def _ordinary(x: Any, order: int) -> Any:
    """J0 or J1: near by its integral over a turn, far by what it comes close to."""
    wide = np.asarray(x, np.float64)
    size = np.abs(wide)
    near = np.where(size < 60, size, 0.0)
    angles = (np.arange(120) + 0.5) * (math.pi / 120)
    waves = np.cos(order * angles - near[..., None] * np.sin(angles))
    inner = np.add.reduce(waves, axis=-1) / 120
    far = np.where(size < 60, 60.0, size)
    even, odd, term = np.ones_like(far), np.zeros_like(far), np.ones_like(far)
    for number in range(1, 12):
        term = term * ((4 * order * order - (2 * number - 1) ** 2) / (number * 8 * far))
        if number % 2:
            odd = odd + term * (-1) ** (number // 2)
        else:
            even = even + term * (-1) ** (number // 2)
    angle = far - (2 * order + 1) * math.pi / 4
    outer = np.sqrt(2 / (math.pi * far)) * (even * np.cos(angle) - odd * np.sin(angle))
    found = np.where(size < 60, inner, outer) * (np.where(wide < 0, -1.0, 1.0) if order else 1.0)
    found = np.where(np.isnan(wide), np.nan, np.where(np.isinf(wide), 0.0, found))
    return found.astype(x.dtype) if isinstance(x, np.ndarray) else x.dtype.type(found)


J0: Row = op(
    "special_bessel_j0(x)",
    _no_half("bessel_j0", lambda x: _ordinary(x, 0)),
    call="special.bessel_j0",
    samples=lambda: [sample(grid(2, 3))],
)
J1: Row = op(
    "special_bessel_j1(x)",
    _no_half("bessel_j1", lambda x: _ordinary(x, 1)),
    call="special.bessel_j1",
    samples=lambda: [sample(grid(2, 3))],
)


def _published(row: Row, text: str) -> None:
    def call(input: Tensor) -> Tensor:
        return apply(row, (first_tensor(row.name, input),))

    call.__name__ = call.__qualname__ = row.call.rpartition(".")[2]
    call.__doc__ = text
    SPECIAL[call.__name__] = call


_published(I0E, "`i0` times `exp(-abs(input))`, which does not overflow.")
_published(I1E, "`i1` times `exp(-abs(input))`, which does not overflow.")
_published(ERFCX, "`erfc` times `exp(input ** 2)`, which does not vanish.")
_published(J0, "The Bessel function of the first kind and order 0. It has no derivative, as in PyTorch.")
_published(J1, "The Bessel function of the first kind and order 1. It has no derivative, as in PyTorch.")
