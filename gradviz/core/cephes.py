"""Logarithm, sine and cosine of float32 arrays, to the last bit as PyTorch's AVX2 code for normal numbers has them.

The polynomials are those of S. L. Moshier's Cephes library (`logf`, `sinf`, `cosf`); the order of the operations, and
which multiplications are fused with an addition, are those of the vector code. numpy's and the C library's functions
differ from it in the last bit for one value in six.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_F = np.float32

_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_SQRT_HALF = 0.707106781186547524
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4

_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_FOUR_OVER_PI = 1.27323954473516
_QUARTER_PI = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
"""-pi / 4 in three parts, of which the first two times a small whole number are exact."""


def log(x: Any) -> Any:
    """Natural logarithm of positive, normal float32 values."""
    bits = x.view(np.int32)
    exponent = ((bits >> 23) - 126).astype(_F)
    mantissa = ((bits & 0x007FFFFF) | 0x3F000000).view(_F)
    low = mantissa < _F(_SQRT_HALF)
    exponent = np.where(low, exponent - _F(1), exponent)
    m = mantissa - _F(1)
    m = np.where(low, m + mantissa, m)
    square = m * m
    y = _polynomial(_LOG, m) * m
    y = fused(y, square, exponent * _F(_LN2_LOW)) - square * _F(0.5)
    return fused(exponent, _F(_LN2_HIGH), m + y)


def sine_and_cosine(x: Any) -> tuple[Any, Any]:
    """Sine and cosine of float32 angles from 0 to a few turns."""
    octant = ((x * _F(_FOUR_OVER_PI)).astype(np.int32) + 1) & ~1
    turns = octant.astype(_F)
    for part in _QUARTER_PI:
        x = fused(turns, _F(part), x)
    square = x * x
    cosine = _polynomial(_COS, square) * square
    cosine = fused(cosine, square, square * _F(-0.5)) + _F(1)
    sine = _polynomial(_SIN, square) * square
    sine = fused(sine, x, x)
    swapped = (octant & 2) != 0
    sine, cosine = np.where(swapped, cosine, sine), np.where(swapped, sine, cosine)
    return np.where(octant & 4, -sine, sine), np.where((octant - 2) & 4, cosine, -cosine)


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """Horner's scheme, every step of it fused; the highest power comes first."""
    y: Any = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y = fused(y, x, _F(coefficient))
    return y


def fused(a: Any, b: Any, c: Any) -> Any:
    """a * b + c of float32 values, rounded once: the product of two is exact in float64."""
    return (np.multiply(a, b, dtype=np.float64) + c).astype(_F)
