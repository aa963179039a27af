"""The incomplete gamma functions, `igamma` and `igammac`, and Hurwitz's zeta function.

Sources: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 6.5.29 and 6.5.31, the latter by Lentz's
way to compute continued fractions (1976); 23.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.dual import run_row
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.gamma import LGAMMA, _zeta
from gradviz.core.ops.table import Row, op
from gradviz.core.public import SPECIAL, both, first_tensor, method
from gradviz.core.tensor import Tensor
from gradviz.errors import NotDifferentiableError

_LONGEST = 10000
"""Terms after which a series or a fraction is left as it is."""


def _refused(name: str) -> Callable[[Any], Any]:
    def refuse(g: Any) -> Any:
        raise NotDifferentiableError(f"the derivative for '{name}' is not implemented.")

    refuse.refuses = True  # type: ignore[attr-defined]
    return refuse


# ---- incomplete gamma functions


def _parts(a: Any, x: Any, above: bool) -> Any:
    """The lower function, or with `above` the upper one, over the whole, in the dtype of both."""
    if a.dtype.kind != "f":
        kind = dtypes.of(a).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"igamma{'c' * above}_cpu\" not implemented for '{kind}'")
    shape, place = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    usual = (shape > 0) & (place > 0) & np.isfinite(shape) & np.isfinite(place)
    s, z = np.where(usual, shape, 1.0), np.where(usual, place, 1.0)
    is_low = z < s + 1
    low = _series(np.where(is_low, s, 1.0), np.where(is_low, z, 0.5))
    high = _fraction(np.where(is_low, 1.0, s), np.where(is_low, 3.0, z))
    found = np.where(is_low, 1 - low, high) if above else np.where(is_low, low, 1 - high)
    none, all_ = (1.0, 0.0) if above else (0.0, 1.0)
    edge = np.where((place == 0) | np.isinf(shape), none, all_)
    wrong = (shape < 0) | (place < 0) | np.isnan(shape) | np.isnan(place)
    wrong |= (shape == 0) & (place == 0) | np.isinf(shape) & np.isinf(place)
    found = np.where(wrong, np.nan, np.where(usual, found, edge))
    return found.astype(np.result_type(a, x)) if found.ndim else np.result_type(a, x).type(found)


def _scale(s: Any, z: Any) -> Any:
    return np.exp(s * np.log(z) - z - LGAMMA.forward(s))


def _series(s: Any, z: Any) -> Any:
    total = term = np.ones_like(z)
    for number in range(1, _LONGEST):
        term = term * (z / (s + number))
        total = total + term
        if not (term > 1e-17 * total).any():
            break
    return total * _scale(s, z) / s


def _fraction(s: Any, z: Any) -> Any:
    b = z + 1 - s
    ratio = 1 / np.where(b == 0, 1e-300, b)
    other, total = np.full_like(z, 1e300), ratio
    for number in range(1, _LONGEST):
        term = -number * (number - s)
        b = b + 2
        ratio = term * ratio + b
        other = b + term / other
        ratio, other = (np.where(np.abs(one) < 1e-300, 1e-300, one) for one in (ratio, other))
        ratio = 1 / ratio
        change = ratio * other
        total = total * change
        if not (np.abs(change - 1) > 1e-16).any():
            break
    return total * _scale(s, z)


def _density(g: Any, x: Any, y: Any) -> Any:
    return g * np.exp((x - 1) * np.log(y) - y - run_row(LGAMMA, (x,)))


IGAMMA: Row = op(
    "igamma(x, y)",
    lambda x, y: _parts(x, y, False),
    promotes=True,
    x=_refused("igamma: input"),
    y=_density,
)
IGAMMAC: Row = op(
    "igammac(x, y)",
    lambda x, y: _parts(x, y, True),
    promotes=True,
    x=_refused("igammac: input"),
    y=lambda g, x, y: -_density(g, x, y),
)


@both
def igamma(input: Tensor, other: Tensor) -> Tensor:
    """The part of the gamma function of `input` that lies below `other`."""
    return apply(IGAMMA, (first_tensor("igamma", input), other))


@both
def igammac(input: Tensor, other: Tensor) -> Tensor:
    """The part of the gamma function of `input` that lies above `other`."""
    return apply(IGAMMAC, (first_tensor("igammac", input), other))


@method
def igamma_(self: Tensor, other: Tensor) -> Tensor:
    """In-place `igamma`."""
    return apply_inplace(IGAMMA, self, (other,))


@method
def igammac_(self: Tensor, other: Tensor) -> Tensor:
    """In-place `igammac`."""
    return apply_inplace(IGAMMAC, self, (other,))


def gammainc(input: Tensor, other: Tensor) -> Tensor:
    """The part of the gamma function of `input` that lies below `other`."""
    return igamma(_tensors("special_gammainc", input), _tensors("special_gammainc", other, 2))


def gammaincc(input: Tensor, other: Tensor) -> Tensor:
    """The part of the gamma function of `input` that lies above `other`."""
    return igammac(_tensors("special_gammaincc", input), _tensors("special_gammaincc", other, 2))


def _tensors(name: str, value: Any, position: int = 1) -> Tensor:
    if not isinstance(value, Tensor):
        argument = "input" if position == 1 else "other"
        kind = type(value).__name__
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {kind}")
    return value


# ---- zeta


def _hurwitz(x: Any, y: Any) -> Any:
    x, y = (one if one.dtype.kind == "f" else one.astype(np.float32) for one in (np.asarray(x), np.asarray(y)))
    kind = np.result_type(x, y)
    power, start = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    is_whole = start == np.floor(start)
    usual = (power > 1) & ~((start <= 0) & (is_whole | (power != np.floor(power))))
    found = _zeta(np.where(usual, power, 2.0), np.where(usual, start, 1.0))
    pole = (power == 1) | (power > 1) & (start <= 0) & is_whole
    found = np.where(usual, found, np.where(pole, np.inf, np.nan)).astype(kind)
    return found if found.ndim else found[()]


ZETA: Row = op(
    "special_zeta(x, y)",
    _hurwitz,
    call="special.zeta",
    promotes=True,
    x=_refused("zeta"),
    y=lambda g, x, y: g * (-x * run_row(ZETA, (x + 1, y))),
)


def zeta(input: Any, other: Any) -> Tensor:
    """The sum of `(other + k) ** -input` over k from 0. One of them may be a number."""
    return apply(ZETA, (input, other))


for _call in (gammainc, gammaincc, zeta):
    SPECIAL[_call.__name__] = _call
