"""GELU and its slope in float32: quotients of polynomials, whose powers are made once for both.

One number needs neither an exponential nor a hyperbolic tangent, which take as long as ten products each. Above and
below the line the powers are multiplied by their coefficients and added up in one product of matrices. The coefficients
are fits of our own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.at_hand import keep_at_hand
from gradviz.core.tame import is_tame

BLOCK = 1 << 16
"""So many numbers are computed at once. Fewer would lie nearer, but cost more calls."""

_SHARE = ((0.398942245, 0.0333722445, 0.0046508524, 1.64321893e-4, 6.36002436e-6, 2.33867436e-8),
          (1.0, 0.250317901, 0.0283786972, 0.0018589826, 7.24002645e-5, 1.21659158e-6))  # fmt: skip
"""Of `(cdf(x) - 1/2) / x` for the square of an `x` up to `_SHARE_END`, to 5e-9: lowest power first, above and below."""
_SHARE_END = 5.4
_SLOPE = ((0.797885361, -0.0309958502, 0.0142303049, 1.9220679e-5, 3.59559299e-5, 1.92929059e-7),
          (1.0, 0.294494047, 0.0409802124, 0.00352303481, 1.92036437e-4, 8.95241243e-6))  # fmt: skip
"""Of `(slope(x) - 1/2) / x` likewise, to 1.1e-7."""
_SLOPE_END = 5.8

_COEFFICIENTS = {pair: np.array(pair, np.float32) for pair in (_SHARE, _SLOPE)}
_FACTORS = len(_SHARE[0])


def goes_by_quotients(x: Any) -> bool:
    """Whether these functions know all of `x`: an array of float32 without infinities and NaN."""
    return isinstance(x, np.ndarray) and x.dtype == np.float32 and x.flags.c_contiguous and is_tame(x)


def gelu(x: Any) -> Any:
    """`x` times the normal distribution's CDF at it, to 3e-7 of `x`."""
    keep_at_hand()
    out = np.empty(x.size, np.float32)
    work = _Work(x.size)
    for part, found in _blocks(x.reshape(-1), out):
        squares = np.multiply(part, part, out=work.powers[1, : len(part)])
        np.clip(squares, 0, _SHARE_END**2, out=squares)
        np.multiply(work.quotient(_SHARE, len(part)), part, out=found)
        np.clip(found, -0.5, 0.5, out=found)
        found += 0.5
        found *= part
    return out.reshape(x.shape)


def gelu_slope(x: Any) -> Any:
    """The derivative of `gelu`, to 3e-7."""
    out = np.empty(x.size, np.float32)
    work = _Work(x.size)
    for part, found in _blocks(x.reshape(-1), out):
        np.clip(part, -_SLOPE_END, _SLOPE_END, out=found)
        np.multiply(found, found, out=work.powers[1, : len(part)])
        found *= work.quotient(_SLOPE, len(part))
        found += 0.5
    return out.reshape(x.shape)


def _blocks(x: Any, out: Any) -> Any:
    return ((x[start : start + BLOCK], out[start : start + BLOCK]) for start in range(0, len(x), BLOCK))


class _Work:
    """The memory that all blocks share, so that it stays near: powers, one exponent a line, and two sums of them."""

    def __init__(self, size: int) -> None:
        self.powers = np.empty((_FACTORS, min(size, BLOCK)), np.float32)
        self.powers[0] = 1
        self.sums = np.empty((2, min(size, BLOCK)), np.float32)

    def quotient(self, pair: Any, count: int) -> Any:
        """The quotient at the squares in line 1, in memory that the next block will use again."""
        powers, (top, bottom) = self.powers[:, :count], self.sums[:, :count]
        np.multiply(powers[1], powers[1], out=powers[2])
        np.multiply(powers[1:3], powers[2], out=powers[3:5])
        np.multiply(powers[3], powers[2], out=powers[5])
        above, below = _COEFFICIENTS[pair]
        np.matmul(above, powers, out=top)
        np.matmul(below, powers, out=bottom)
        return np.divide(top, bottom, out=top)
