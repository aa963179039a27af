"""Variables with a density: `Normal`, `LogNormal`, `Uniform`, `Exponential`, `Laplace`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS
from gradviz.distributions.distribution import LOG_ROOT_2_PI, Distribution, shown, tensors

_ABOVE_ZERO = "GreaterThan(lower_bound=0.0)"


class _Located(Distribution):
    """A variable moved by `loc` and widened by `scale`."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def _limits(self) -> list[tuple[str, str, Any]]:
        return [("loc", "Real()", self.loc._data == self.loc._data), ("scale", _ABOVE_ZERO, self.scale._data > 0)]

    @property
    def mean(self) -> Any:
        """`loc`."""
        return self.loc

    def _parameters(self) -> str:
        return shown(loc=self.loc, scale=self.scale)


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
        shape, kind = self._extended_shape(sample_shape), self.loc.dtype
        noise = FUNCTIONS["normal"](FUNCTIONS["zeros"](shape, dtype=kind), FUNCTIONS["ones"](shape, dtype=kind))
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        variance = self.scale**2
        return -((value - self.loc) ** 2) / (2 * variance) - self.scale.log() - LOG_ROOT_2_PI

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        return 0.5 * (1 + ((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)).erf())

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class LogNormal(Distribution):
    """A variable whose logarithm is normal. loc, scale: mean and standard deviation of that."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.base_dist = Normal(loc, scale, validate_args)
        super().__init__(self.base_dist.batch_shape, validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        """The expected value."""
        return (self.loc + self.scale.pow(2) / 2).exp()

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        squared = self.scale.pow(2)
        return squared.expm1() * (2 * self.loc + squared).exp()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        return self.base_dist.rsample(sample_shape).exp()

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        log = value.log()
        return -log + self.base_dist.log_prob(log)

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return self.base_dist.entropy() + self.loc

    def __repr__(self) -> str:
        return "LogNormal()"


class Uniform(Distribution):
    """Every value from `low` up to `high` alike."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = tensors(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    def _limits(self) -> list[tuple[str, str, Any]]:
        return [("low", f"LessThan(upper_bound={self.high})", self.low._data < self.high._data)]

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
        inside = self.low.le(value).to(self.low.dtype) * self.high.gt(value).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def entropy(self) -> Any:
        """The logarithm of the width."""
        return (self.high - self.low).log()

    def _parameters(self) -> str:
        return shown(low=self.low, high=self.high)


class Exponential(Distribution):
    """The time until something that happens at `rate`."""

    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def _limits(self) -> list[tuple[str, str, Any]]:
        return [("rate", _ABOVE_ZERO, self.rate._data > 0)]

    @property
    def mean(self) -> Any:
        """The inverse of the rate."""
        return self.rate.reciprocal()

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
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        return 1 - (-self.rate * value).exp()

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return 1.0 - self.rate.log()

    def _parameters(self) -> str:
        return shown(rate=self.rate)


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
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return 1 + (2 * self.scale).log()
