"""The gamma function's logarithm and that one's derivatives: `lgamma`, `digamma`, `polygamma`; `mvlgamma`.

Source of the series: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 6.3.18, 6.4.11 and 23.2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import run_row
from gradviz.core.ops.elementwise import floating
from gradviz.core.ops.samples import grid, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, METHODS, both, first_tensor, publish
from gradviz.core.tensor import Tensor

_FAR = 10.0
"""From here on the asymptotic series have all digits of a float64."""
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
"""B2, B4, ..., B14."""


def _wide(x: Any) -> Any:
    return np.asarray(x, np.float64)


def _narrow(values: Any, x: Any) -> Any:
    """In the shape and dtype of `x`: a numpy scalar for a scalar."""
    return values.astype(x.dtype) if isinstance(x, np.ndarray) else x.dtype.type(values)


def _log_gamma(x: Any) -> Any:
    values = _wide(x)
    poles = (values <= 0) & (values == np.floor(values)) | np.isinf(values)
    exact = np.fromiter(map(math.lgamma, np.where(poles, 1.0, values).ravel().tolist()), np.float64, values.size)
    return _narrow(np.where(poles, np.inf, exact.reshape(values.shape)), x)


def _digamma(x: Any) -> Any:
    values = _wide(x)
    low = values < 0.5
    y = np.where(low, 1 - values, values)
    total = np.zeros_like(y)
    while (near := y < _FAR).any():
        total = np.where(near, total - 1 / np.where(near, y, 1.0), total)
        y = np.where(near, y + 1, y)
    square = 1 / (y * y)
    series = np.zeros_like(y)
    for order, number in reversed(list(enumerate(_BERNOULLI, 1))):
        series = (series + number / (2 * order)) * square
    total = total + np.log(y) - 0.5 / y - series
    # Below 1/2 by reflection; a pole has a sign at 0 only.
    turned = np.where(low, values, 0.25)
    total = np.where(low, total - math.pi / np.tan(math.pi * (turned - np.round(turned))), total)
    total = np.where((values < 0) & (values == np.floor(values)), np.nan, total)
    return _narrow(np.where(values == 0, -np.copysign(np.inf, values), total), x)


def _zeta(s: Any, q: Any) -> Any:
    """Hurwitz's sum of `(q + k) ** -s` over k from 0, for numbers `s` above 1."""
    s = np.float64(s)
    total = np.zeros_like(q)
    finite = np.isfinite(q)
    q = np.where(finite, q, 1.0)
    while (near := q < _FAR).any():
        total = np.where(near, total + np.where(near, q, 1.0) ** -s, total)
        q = np.where(near, q + 1, q)
    total = total + q ** (1.0 - s) / (s - 1) + 0.5 * q ** -s
    factor = s
    for order, number in enumerate(_BERNOULLI, 1):
        total = total + number / math.factorial(2 * order) * factor * q ** (1.0 - s - 2 * order)
        factor = factor * (s + 2 * order - 1) * (s + 2 * order)
    return np.where(finite, total, np.where(q == q, 0.0, np.nan))


def _polygamma(x: Any, n: int) -> Any:
    if n == 0:
        return _digamma(x)
    values = _wide(x)
    result = _zeta(n + 1, values) * (math.factorial(n) * (-1.0) ** (n + 1))
    return _narrow(np.where(np.isnan(values), np.nan, result), x)


def _large(*shape: int) -> Any:
    """Values so large that PyTorch's first derivative of `digamma` has ten digits; it has fewer for small ones."""
    return positive(*shape) * 10 + 30


LGAMMA: Row = op(
    "lgamma(x)",
    floating(_log_gamma),
    x=lambda g, x: g * run_row(DIGAMMA, (x,)),
    samples=lambda: [sample(grid(2, 3)), sample(positive(2, 3) * 20)],
)
DIGAMMA: Row = op(
    "digamma(x)",
    floating(_digamma),
    x=lambda g, x: g * run_row(POLYGAMMA, (x,), (1,)),
    samples=lambda: [sample(_large(2, 3))],
)
POLYGAMMA: Row = op(
    "polygamma(x, *, n)",
    lambda x, n: _polygamma(x if x.dtype.kind == "f" else x.astype(np.float32), n),
    call="Tensor.polygamma",
    x=lambda g, x, n: g * run_row(POLYGAMMA, (x,), (n + 1,)),
    samples=lambda: [sample(_large(2, 3), 1), sample(positive(2, 3) * 20, 2), sample(positive(2, 3), n=3)],
)

lgamma = publish(LGAMMA, inplace=True)
digamma = publish(DIGAMMA, inplace=True)


def _order(n: int) -> int:
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return n


def polygamma(n: int, input: Tensor) -> Tensor:
    """The derivative of `digamma` of order `n`."""
    return apply(POLYGAMMA, (first_tensor("polygamma", input),), (_order(n),))


def _method(self: Tensor, n: int) -> Tensor:
    """The derivative of `digamma` of order `n`."""
    return polygamma(n, self)


FUNCTIONS["polygamma"] = polygamma
METHODS["polygamma"] = _method
_method.__name__ = _method.__qualname__ = "polygamma"


@both
@composite
def mvlgamma(input: Any, p: int) -> Tensor:
    """The logarithm of the gamma function of `p` dimensions."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    shifts = FUNCTIONS["arange"](-p / 2 + 0.5, 0.5, 0.5, dtype=input.dtype)
    parts = (shifts + input.unsqueeze(-1)).lgamma()
    result: Tensor = parts.sum(-1) + p * (p - 1) / 4 * math.log(math.pi)
    return result
