"""Variables that count: `Geometric`, `Poisson`, `Binomial`, `NegativeBinomial`, `Multinomial`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONAL, FUNCTIONS
from gradviz.distributions import constraints
from gradviz.distributions.discrete import Categorical, Chance, OfClasses
from gradviz.distributions.distribution import Distribution, filled, tensors
from gradviz.distributions.gammas import Gamma


class Geometric(Chance):
    """How often it fails before the first success."""

    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and self._given == "probs" and not (self._param._data > 0).all():
            value = self._param
            raise ValueError(
                f"Expected parameter probs ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                f"{self!r} to be positive but found invalid values:\n{value.detach()[value <= 0]}"
            )

    @property
    def mean(self) -> Any:
        """The expected value."""
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        """Zero."""
        return filled(self.probs, 0.0)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values."""
        shape, kind = self._extended_shape(sample_shape), self.probs.dtype
        with no_grad():
            least = float(np.finfo(kind.array_type).tiny)
            drawn = FUNCTIONS["empty"](shape, dtype=kind).uniform_(least, 1)
            return (drawn.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability."""
        self._check(value)
        value, probs = FUNCTIONS["broadcast_tensors"](value, self.probs)
        probs = FUNCTIONS["where"]((probs == 1) & (value == 0), 0.0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        each = FUNCTIONAL["binary_cross_entropy_with_logits"](self.logits, self.probs, reduction="none")
        return each / self.probs


class Poisson(Distribution):
    """How often something happens that happens `rate` times on average."""

    arg_constraints: ClassVar[Any] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _moved = ("rate",)

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """`rate`."""
        return self.rate

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        return self.rate.floor()

    @property
    def variance(self) -> Any:
        """`rate`."""
        return self.rate

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values."""
        with no_grad():
            return FUNCTIONS["poisson"](self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability."""
        self._check(value)
        rate, value = FUNCTIONS["broadcast_tensors"](self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()


class Binomial(Chance):
    """How many of `total_count` tries succeed."""

    arg_constraints: ClassVar[Any] = {"total_count": constraints.nonnegative_integer, **Chance.arg_constraints}
    has_enumerate_support = True
    _moved = ("total_count", "_param")

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        (count,) = self._take(probs, logits, total_count)
        self.total_count = count.to(self._param.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """From 0 to `total_count`."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        """The expected value."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        return FUNCTIONS["minimum"](((self.total_count + 1) * self.probs).floor(), self.total_count)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return FUNCTIONS["binomial"](self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability."""
        self._check(value)
        count, logits = self.total_count, self.logits
        above = (logits.clamp(min=0) + logits - logits.clamp(max=0)) / 2  # at zero it has the slope 1/2
        size = count * above + count * (-logits.abs()).exp().log1p() - (count + 1).lgamma()
        return value * logits - (value + 1).lgamma() - (count - value + 1).lgamma() - size

    def _same_count(self, what: str) -> int:
        count = int(self.total_count.max())
        if not self.total_count.min() == count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{what}`.")
        return count

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability. Raises NotImplementedError for several counts."""
        self._same_count("entropy")
        logs = self.log_prob(self.enumerate_support(False))
        return -(logs.exp() * logs).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        """0 to `total_count` in a first dimension. Raises NotImplementedError for several counts."""
        count = self._same_count("enumerate_support")
        values = FUNCTIONS["arange"](1 + count, dtype=self._param.dtype)
        values = values.view((-1, *(1,) * len(self.batch_shape)))
        return values.expand((-1, *self.batch_shape)) if expand else values


class NegativeBinomial(Chance):
    """How many tries succeed before `total_count` of them fail."""

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _moved = ("total_count", "_param")

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        (count,) = self._take(probs, logits, total_count)
        self.total_count = count.to(self._param.dtype)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The expected value."""
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values."""
        with no_grad():
            rates = Gamma(self.total_count, (-self.logits).exp(), validate_args=False).sample(sample_shape)
            return FUNCTIONS["poisson"](rates)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability."""
        self._check(value)
        count, logits, log = self.total_count, self.logits, FUNCTIONAL["logsigmoid"]
        size = -(count + value).lgamma() + (1.0 + value).lgamma() + count.lgamma()
        size = size.masked_fill(count + value == 0.0, 0.0)
        return count * log(-logits) + value * log(logits) - size


class Multinomial(OfClasses):
    """How often each class comes in `total_count` tries. probs, or logits: (..., classes)."""

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        super().__init__(Categorical(probs, logits), validate_args)

    @property
    def support(self) -> Any:
        """Counts that add up to `total_count`."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        """The expected counts."""
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        """The expected squared distances from the mean."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw counts."""
        drawn = self._categorical.sample((self.total_count, *sample_shape))
        with no_grad():
            each = FUNCTIONAL["one_hot"](drawn, self.event_shape[0])
            return each.sum(0).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability."""
        self._check(value)
        logits, value = FUNCTIONS["broadcast_tensors"](self.logits, value)
        logits = logits.masked_fill((value == 0) & (logits == -math.inf), 0.0)
        orders = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return orders + (logits * value).sum(-1)

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        each = Binomial(self.total_count, self.probs)
        counts = each.enumerate_support(expand=False)[1:]
        parts = each.log_prob(counts).exp() * (counts + 1).lgamma()
        return self.total_count * self._categorical.entropy() - math.lgamma(self.total_count + 1) + parts.sum((0, -1))
