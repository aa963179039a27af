"""The error function, what is left of it to 1, and its inverse, of arrays and numpy scalars.

Source of the float64 approximations: W. J. Cody, "Rational Chebyshev approximations for the error function" (1969). The
float32 one is a fit of our own, with a relative error of 1e-7 before rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_NEAR = ((1.85777706184603153e-1, 3.16112374387056560, 113.864154151050156, 377.485237685302021, 3209.37758913846947),
         (1.0, 23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062))  # fmt: skip
"""Of `erf(x) / x` for the square of an `x` up to `_EDGE`, highest power first: numerator and denominator."""
_MIDDLE = ((2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 66.1191906371416295,
            298.635138197400131, 881.952221241769090, 1712.04761263407058, 2051.07837782607147, 1230.33935479799725),
           (1.0, 15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019,
            3290.79923573345963, 4362.61909014324716, 3439.36767414372164, 1230.33935480374942))  # fmt: skip
"""Of `exp(x * x) * erfc(x)` for an `x` up to 4."""
_FAR = ((1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
         1.60837851487422766e-2, 6.58749161529837803e-4),
        (1.0, 2.56852019228982242, 1.87295284992346047, 5.27905102951428412e-1, 6.05183413124413191e-2,
         2.33520497626869185e-3))  # fmt: skip
"""Of what is missing in `1 / (x * sqrt(pi))` from that, for the square of `1 / x`."""
_EDGE = 0.46875

_SINGLE = (1.41853488e-7, -5.66849938e-6, 8.76374848e-5, -6.19785114e-4, -1.91830227e-4, 1.02769056e-1, 1.12837927)
"""Of `arctanh(erf(x)) / x` in float32 for the square of `x`, highest power first; it grows where erf is 1 already."""


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """Horner's scheme; the highest power comes first."""
    first, second, *rest = map(x.dtype.type, coefficients)
    total = x * first
    total += second
    for coefficient in rest:
        total *= x
        total += coefficient
    return total


def _ratio(pair: tuple[tuple[float, ...], tuple[float, ...]], x: Any) -> Any:
    top = _polynomial(pair[0], x)
    top /= _polynomial(pair[1], x)
    return top


def erf(x: Any) -> Any:
    """The error function, in the dtype of `x`: to 4e-7 of its value in float32, to rounding in float64."""
    if x.dtype == np.float64:
        return _like(_exact(np.abs(np.asarray(x)), False) * np.sign(x), x)
    single = np.asarray(x, np.float32)
    result = np.asarray(_polynomial(_SINGLE, single * single))
    result *= single
    return _like(np.tanh(result, out=result), x)


def erfc(x: Any) -> Any:
    """1 less the error function, with all digits where that is close to 1."""
    wide = np.asarray(x, np.float64)
    size = np.abs(wide)
    return _like(np.where(wide < 0, 1 + _exact(size, False), _exact(size, True)), x)


def scaled_erfc(x: Any) -> Any:
    """`erfc` times `exp(x * x)`, in the dtype of `x`."""
    wide = np.asarray(x, np.float64)
    low = np.where(wide < _EDGE, wide, 0.0)
    middle = np.clip(wide, _EDGE, 4.0)
    far = np.where(wide > 4, wide, 5.0)
    square = 1 / (far * far)
    tail = (1 / math.sqrt(math.pi) - square * _ratio(_FAR, square)) / far
    found = np.where(wide > 4, tail, _ratio(_MIDDLE, middle))
    return _like(np.where(wide < _EDGE, erfc(low) * np.exp(low * low), np.where(np.isnan(wide), np.nan, found)), x)


def _like(values: Any, x: Any) -> Any:
    return values.astype(x.dtype, copy=False) if isinstance(x, np.ndarray) else x.dtype.type(values)


def _exact(x: Any, complement: bool) -> Any:
    """erf or erfc of float64 values that are not negative."""
    result = np.array(x)  # keeps NaN
    near, far = x <= _EDGE, x > 4
    if near.any():
        part = x[near]
        value = part * _ratio(_NEAR, part * part)
        result[near] = 1 - value if complement else value
    for chosen, compute in ((~near & (x <= 4), _middle), (far, _far)):
        if chosen.any():
            value = compute(x[chosen])
            result[chosen] = value if complement else 1 - value
    return result


def _middle(x: Any) -> Any:
    return _gauss(x) * _ratio(_MIDDLE, x)


def _far(x: Any) -> Any:
    square = 1 / (x * x)
    rest = square * _ratio(_FAR, square)
    return _gauss(x) * (1 / math.sqrt(math.pi) - rest) / x


def _gauss(x: Any) -> Any:
    """exp(-x * x), of which the square of a rounded `x` is exact, so that its error is not multiplied."""
    short = np.trunc(np.minimum(x, 30.0) * 16) / 16
    return np.exp(-short * short) * np.exp(-(np.minimum(x, 30.0) - short) * (np.minimum(x, 30.0) + short))


def erfinv(x: Any) -> Any:
    """The number whose error function is `x`: infinite at -1 and 1, NaN beyond.

    Source of the first guess: S. Winitzki, "A handy approximation for the error function and its inverse" (2008).
    """
    wide = np.asarray(x, np.float64)
    size = np.abs(wide)
    inside = size < 1
    y = np.where(inside, size, 0.5)
    log = np.log1p(-y * y)
    half = 2 / (math.pi * 0.147) + log / 2
    guess = np.sqrt(np.sqrt(half * half - log / 0.147) - half)
    for _ in range(3):  # Halley's method: each step has three times as many digits
        off = np.where(y < 0.5, _exact(guess, False) - y, (1 - y) - _exact(guess, True))
        step = off / (2 / math.sqrt(math.pi) * np.exp(-guess * guess))
        guess = np.maximum(guess - step / (1 + guess * step), 0)
    result = np.where(inside, guess, np.where(size == 1, np.inf, np.nan))
    return _like(np.copysign(result, wide), x)
