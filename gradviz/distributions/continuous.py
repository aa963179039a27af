"""Variables with a density: `Normal`, `Uniform`, `Exponential`, `Laplace`, `Cauchy`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS
from gradviz.distributions import constraints
from gradviz.distributions.distribution import LOG_ROOT_2_PI, Distribution, Symmetric, filled, standard_normal, tensors


class _Located(Symmetric):
    """A variable moved by `loc` and widened by `scale`."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _moved = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)


class Normal(_Located):
    """loc: the mean. scale: the standard deviation."""

    @property
    def stddev(self) -> Any:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Any:
        """The square of `scale`."""
        return self.stddev.pow(2)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values that have no gradient."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return FUNCTIONS["normal"](self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which `loc` and `scale` get a gradient."""
        return self.loc + standard_normal(self._extended_shape(sample_shape), self.loc.dtype) * self.scale

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        variance = self.scale**2
        return -((value - self.loc) ** 2) / (2 * variance) - self.scale.log() - LOG_ROOT_2_PI

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        self._check(value)
        return 0.5 * (1 + ((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)).erf())

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class Uniform(Distribution):
    """Every value from `low` up to `high` alike."""

    has_rsample = True
    _moved = ("low", "high")

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = tensors(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    @property
    def arg_constraints(self) -> Any:
        """`low` is less than `high`."""
        return {"low": constraints.less_than(self.high), "high": constraints.greater_than(self.low)}

    @property
    def support(self) -> Any:
        """From `low` to `high`."""
        return constraints.interval(self.low, self.high)

    @property
    def mode(self) -> Any:
        """NaN: all values are alike."""
        return math.nan * self.high

    @property
    def mean(self) -> Any:
        """The middle."""
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Any:
        """A twelfth of the squared width."""
        return (self.high - self.low).pow(2) / 12

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which `low` and `high` get a gradient."""
        drawn = FUNCTIONS["rand"](self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + drawn * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density; minus infinity outside."""
        self._check(value)
        inside = self.low.le(value).to(self.low.dtype) * self.high.gt(value).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        self._check(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def entropy(self) -> Any:
        """The logarithm of the width."""
        return (self.high - self.low).log()

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        return value * (self.high - self.low) + self.low


class Exponential(Distribution):
    """The time until something that happens at `rate`."""

    arg_constraints: ClassVar[Any] = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _moved = ("rate",)

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The inverse of the rate."""
        return self.rate.reciprocal()

    @property
    def mode(self) -> Any:
        """Zero."""
        return filled(self.rate, 0.0)

    @property
    def variance(self) -> Any:
        """The square of the mean."""
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which `rate` gets a gradient."""
        drawn = FUNCTIONS["empty"](self._extended_shape(sample_shape), dtype=self.rate.dtype).exponential_()
        return drawn / self.rate

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        self._check(value)
        return 1 - (-self.rate * value).exp()

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return 1.0 - self.rate.log()

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        return -(-value).log1p() / self.rate


class Laplace(_Located):
    """loc: the middle. scale: the expected distance from it."""

    @property
    def variance(self) -> Any:
        """Twice the square of `scale`."""
        return 2 * self.scale.pow(2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which `loc` and `scale` get a gradient."""
        kind = self.loc.dtype
        least = float(np.finfo(kind.array_type).eps) - 1
        drawn = FUNCTIONS["empty"](self._extended_shape(sample_shape), dtype=kind).uniform_(least, 1)
        return self.loc - self.scale * drawn.sign() * (-drawn.abs()).log1p()

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return 1 + (2 * self.scale).log()

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        self._check(value)
        away = value - self.loc
        return 0.5 - 0.5 * away.sign() * (-away.abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        away = value - 0.5
        return self.loc - self.scale * away.sign() * (-2 * away.abs()).log1p()


class Cauchy(_Located):
    """loc: the middle, which is no mean. scale: half of the width at half of the height."""

    @property
    def mean(self) -> Any:
        """NaN: there is none."""
        return filled(self.loc, math.nan)

    @property
    def variance(self) -> Any:
        """Infinity."""
        return filled(self.loc, math.inf)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which `loc` and `scale` get a gradient."""
        drawn = FUNCTIONS["empty"](self._extended_shape(sample_shape), dtype=self.loc.dtype).cauchy_()
        return self.loc + drawn * self.scale

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        return -math.log(math.pi) - self.scale.log() - (((value - self.loc) / self.scale) ** 2).log1p()

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        self._check(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return math.log(4 * math.pi) + self.scale.log()
