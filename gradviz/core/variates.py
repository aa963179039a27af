"""Numbers that are drawn by trying again until one fits: of gamma, Poisson and binomial variables; and their slopes.

They are PyTorch's from the same seed. Sources: G. Marsaglia and W. Tsang, "A simple method for generating gamma
variables" (2000); W. Hörmann, "The transformed rejection method" (1993) for Poisson and "The generation of binomial
random variates" (1993). What of a variable changes with its parameter while its place among all values stays: M.
Figurnov and others, "Implicit reparameterization gradients" (2018).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.random import Generator

_SQUEEZE = float(np.float32(0.0331))


def gamma(source: Generator, shape: float, kind: Any = np.float64) -> float:
    """A gamma variable of scale 1. kind: the type that is computed with on the way to the constants."""
    scale = 1.0
    small = kind(shape)
    if small < 1:
        if small == 0:
            return 0.0
        scale = (1 - source.one_uniform()) ** float(kind(1) / small)
        small = kind(small + kind(1))
    third = float(kind(small - np.float32(1) / np.float32(3)))
    step = 1 / math.sqrt(9 * third)
    while True:
        normal = source.one_normal()
        root = 1 + step * normal
        if root <= 0:
            continue
        cube, square = root * root * root, normal * normal
        height = 1 - source.one_uniform()
        if height < 1 - _SQUEEZE * square * square:
            return scale * third * cube
        if math.log(height) < 0.5 * square + third * (1 - cube + math.log(cube)):
            return scale * third * cube


def poisson(source: Generator, rate: float) -> int:
    """How often something happens that happens `rate` times on average."""
    if rate < 10:
        count, product, least = 0, 1.0, math.exp(-rate)
        while rate:
            product *= source.one_uniform()
            if product <= least:
                return count
            count += 1
        return 0
    root, log = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse, sure = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = source.one_uniform() - 0.5, source.one_uniform()
        edge = 0.5 - abs(u)
        count = math.floor((2 * a / edge + b) * u + rate + 0.43)
        if edge >= 0.07 and v <= sure:
            return count
        if count < 0 or (edge < 0.013 and v > edge):
            continue
        height = math.log(v) + math.log(inverse) - math.log(a / (edge * edge) + b)
        if height <= -rate + count * log - math.lgamma(count + 1):
            return count


def binomial(source: Generator, count: float, chance: float) -> float:
    """How many of `count` tries succeed. NaN where either is NaN."""
    if count != count or chance != chance:
        return math.nan
    if count <= 0 or chance <= 0:
        return 0
    if chance >= 1:
        return count
    rare = min(chance, 1 - chance)
    found = _many_tries(source, count, rare) if count * rare >= 10 else _few_successes(source, count, rare)
    return found if chance <= 0.5 else count - found


def _few_successes(source: Generator, count: float, chance: float) -> int:
    """By the tries from one success to the next."""
    log, tries, found = math.log1p(-chance), 0, 0
    while True:
        tries += math.ceil(math.log(source.one_uniform()) / log)
        if tries > count:
            return found
        found += 1


def _many_tries(source: Generator, count: float, chance: float) -> int:
    """By one try under a hat that lies close."""
    deviation = math.sqrt(count * chance * (1 - chance))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * chance
    middle, sure, odds = count * chance + 0.5, 0.92 - 4.2 / b, chance / (1 - chance)
    height, top = (2.83 + 5.1 / b) * deviation, math.floor((count + 1) * chance)
    while True:
        u, v = source.one_uniform() - 0.5, source.one_uniform()
        edge = 0.5 - abs(u)
        found = math.floor((2 * a / edge + b) * u + middle)
        if edge >= 0.07 and v <= sure:
            return found
        if found < 0 or found > count:
            continue
        bound = (
            (top + 0.5) * math.log((top + 1) / (odds * (count - top + 1)))
            + (count + 1) * math.log((count - top + 1) / (count - found + 1))
            + (found + 0.5) * math.log(odds * (count - found + 1) / (found + 1))
            + _stirling(top) + _stirling(count - top) - _stirling(found) - _stirling(count - found)
        )  # fmt: skip
        if math.log(v * height / (a / (edge * edge) + b)) <= bound:
            return found


def _stirling(count: float) -> float:
    """What Stirling's formula lacks in the logarithm of a factorial."""
    if count <= 9:
        # The exact value, from the factorial itself.
        return math.lgamma(count + 1) - (count + 0.5) * math.log(count + 1) + count + 1 - 0.5 * math.log(2 * math.pi)
    square = (count + 1) ** 2
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (count + 1)


# ---- slopes

_LONGEST = 20000
"""Terms after which a series is left as it is."""


def gamma_slope(shape: Any, x: Any) -> Any:
    """By how much a gamma variable of value `x` grows with its shape. Arrays of float64, alike in shape."""
    shape, x = np.broadcast_arrays(np.asarray(shape, np.float64), np.asarray(x, np.float64))
    far = x > shape + 4 * np.sqrt(shape) + 5
    near = np.where(far, 1.0, x)
    below = _gamma_below(np.where(far, 1.0, shape), near)
    above = _gamma_above(np.where(far, shape, 1.0), np.where(far, x, 20.0))
    return np.where(far, above, below)


def _gamma_below(shape: Any, x: Any) -> Any:
    """By the series of the lower incomplete function."""
    total, slope = np.ones_like(x), np.zeros_like(x)
    term, log = np.ones_like(x), np.zeros_like(x)
    for number in range(1, _LONGEST):
        term = term * (x / (shape + number))
        log = log - 1 / (shape + number)
        total, slope = total + term, slope + term * log
        if not (term * (1 - log) > 1e-17 * total).any():
            break
    # The function of shape + 1: that of shape goes to minus infinity as 1 / shape does.
    return -x / shape * (total * (np.log(x) - _digamma_next(shape)) + slope)


def _digamma_next(shape: Any) -> Any:
    from gradviz.core.ops.gamma import DIGAMMA  # the table is filled after this module

    return DIGAMMA.forward(shape + 1)


def _gamma_above(shape: Any, x: Any) -> Any:
    """By Gauss's sum for the upper incomplete function, which loses no digits there."""
    places, weights = np.polynomial.laguerre.laggauss(60)
    logs = np.log1p(places / x[..., None])
    parts = weights * np.exp((shape[..., None] - 1) * logs)
    psi = _digamma_next(shape) - 1 / shape
    return parts.sum(-1) * (np.log(x) - psi) + (parts * logs).sum(-1)


def dirichlet_slope(x: Any, shape: Any, total: Any) -> Any:
    """By how much a beta variable of value `x` grows with its shape, over 1 - x, where both shapes are `total`."""
    x, a, b = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (x, shape, np.subtract(total, shape))))
    low = x <= a / (a + b)
    near = _beta_below(np.where(low, x, 0.5), np.where(low, a, 1.0), np.where(low, b, 1.0), True)
    # From the other end it is the other shape of the rest to 1, which shrinks.
    far = -_beta_below(np.where(low, 0.5, 1 - x), np.where(low, 1.0, b), np.where(low, 1.0, a), False)
    return np.where(low, near, far) / (1 - x)


def _beta_below(x: Any, a: Any, b: Any, first: bool) -> Any:
    """By how much a beta variable grows with its first or second shape, by the series of the lower function."""
    total, slope = np.ones_like(x), np.zeros_like(x)
    term, log = np.ones_like(x), np.zeros_like(x)
    for number in range(_LONGEST):
        term = term * ((a + b + number) / (a + 1 + number) * x)
        log = log + 1 / (a + b + number) - (1 / (a + 1 + number) if first else 0)
        total, slope = total + term, slope + term * log
        if not (term * (1 + np.abs(log)) > 1e-17 * total).any():
            break
    next_both = _digamma_next(a + b - 1)
    edge = np.log(x) - _digamma_next(a) if first else np.log1p(-x) - _digamma_next(b - 1)
    return -x * (1 - x) / a * (total * (edge + next_both) + slope)
