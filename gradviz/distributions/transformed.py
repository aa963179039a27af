"""Variables that are others put through functions: `TransformedDistribution`, `LogNormal`, `Gumbel`, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS
from gradviz.core.size import Size
from gradviz.distributions import constraints
from gradviz.distributions.continuous import Cauchy, Exponential, Normal, Uniform
from gradviz.distributions.distribution import Distribution, Independent, filled, summed, tensors
from gradviz.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    StickBreakingTransform,
    Transform,
)

EULER = 0.5772156649015329
"""The constant of Euler and Mascheroni."""


class TransformedDistribution(Distribution):
    """`base_distribution` put through one transform or a list of them. Raises ValueError for anything else."""

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | list[Transform],
        validate_args: bool | None = None,
    ) -> None:
        if isinstance(transforms, Transform):
            transforms = [transforms]
        elif not isinstance(transforms, list):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        if not all(isinstance(one, Transform) for one in transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        self.transforms = transforms
        whole = ComposeTransform(transforms)
        events = len(base_distribution.event_shape)
        shape = Size((*base_distribution.batch_shape, *base_distribution.event_shape))
        if len(shape) < whole.domain.event_dim:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {whole.domain.event_dim}, but got {shape}."
            )
        after = whole.forward_shape(shape)
        before = whole.inverse_shape(after)
        if tuple(shape) != tuple(before):
            base_distribution = base_distribution.expand(tuple(before)[: len(before) - events])
        more = whole.domain.event_dim - events
        if more > 0:
            base_distribution = Independent(base_distribution, more)
        self.base_dist: Any = base_distribution
        change = whole.codomain.event_dim - whole.domain.event_dim
        cut = len(after) - max(whole.codomain.event_dim, events + change)
        super().__init__(tuple(after)[:cut], tuple(after)[cut:], validate_args)

    @property
    def has_rsample(self) -> Any:
        """Whether the base has it."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        """What comes out of the last transform."""
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        more = len(self.event_shape) - last.event_dim
        return constraints.independent(last, more) if more > 0 else last

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same variable as a batch of another shape, to which its own can be broadcast."""
        new = super().expand(batch_shape)
        shape: Any = (*batch_shape, *self.event_shape)
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        new.base_dist = self.base_dist.expand(tuple(shape)[: len(shape) - len(self.base_dist.event_shape)])
        return new

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values that have no gradient."""
        with no_grad():
            return self._through(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        return self._through(self.base_dist.rsample(sample_shape))

    def _through(self, value: Any) -> Any:
        for transform in self.transforms:
            value = transform(value)
        return value

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density: that of the base, and of how much room the transforms make."""
        self._check(value)
        count, total = len(self.event_shape), None
        for transform in reversed(self.transforms):
            before = transform.inv(value)
            count += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(before, value)
            term = summed(slope, count - transform.domain.event_dim)
            total = -term if total is None else total - term
            value = before
        base = summed(self.base_dist.log_prob(value), count - len(self.base_dist.event_shape))
        return base if total is None else total + base

    def _turned(self, chance: Any) -> Any:
        """How likely smaller values are, for how likely those of the base are, or the other way round."""
        sign = math.prod((one.sign for one in self.transforms), start=1)
        return chance if isinstance(sign, int) and sign == 1 else sign * (chance - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        return self._through(self.base_dist.icdf(self._turned(value)))

    def _is_given(self, name: str) -> bool:
        return name in vars(self)


class LogNormal(TransformedDistribution):
    """A variable whose logarithm is normal. loc, scale: mean and standard deviation of that."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

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
    def mode(self) -> Any:
        """The likeliest value."""
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        squared = self.scale.pow(2)
        return squared.expm1() * (2 * self.loc + squared).exp()

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return self.base_dist.entropy() + self.loc


class LogisticNormal(TransformedDistribution):
    """Probabilities whose logarithms are normal, one more than `loc` and `scale` have elements."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base: Any = Normal(loc, scale, validate_args)
        if not base.batch_shape:
            base = base.expand((1,))
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The means of the logarithms."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviations of the logarithms."""
        return self.base_dist.base_dist.scale


class _Half(TransformedDistribution):
    """The size of a variable around zero."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive}
    support = constraints.nonnegative

    @property
    def scale(self) -> Any:
        """That of the base."""
        return self.base_dist.scale

    @property
    def mode(self) -> Any:
        """Zero."""
        return filled(self.scale, 0.0)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density; minus infinity below zero."""
        self._check(value)
        return FUNCTIONS["where"](value >= 0, self.base_dist.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        self._check(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return self.base_dist.entropy() - math.log(2)


class HalfNormal(_Half):
    """The size of a normal variable of mean 0. scale: its standard deviation."""

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(0, scale, validate_args=False), AbsTransform(), validate_args)

    @property
    def mean(self) -> Any:
        """The expected value."""
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self.scale.pow(2) * (1 - 2 / math.pi)


class HalfCauchy(_Half):
    """The size of a Cauchy variable around 0. scale: half of its width at half of its height."""

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), AbsTransform(), validate_args)

    @property
    def mean(self) -> Any:
        """Infinity."""
        return filled(self.scale, math.inf)

    @property
    def variance(self) -> Any:
        """Infinity."""
        return self.base_dist.variance


class Gumbel(TransformedDistribution):
    """The greatest of many values. loc: the likeliest. scale: how far they spread."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    _moved = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(loc, scale)
        limits = np.finfo(self.loc._data.dtype)
        low, high = (filled(self.loc, float(end)) for end in (limits.tiny, 1 - limits.eps))
        steps = [
            ExpTransform().inv,
            AffineTransform(0, -filled(self.scale, 1.0)),
            ExpTransform().inv,
            AffineTransform(loc, -self.scale),
        ]
        super().__init__(Uniform(low, high, validate_args), steps, validate_args)

    @property
    def mean(self) -> Any:
        """The expected value."""
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Any:
        """`loc`."""
        return self.loc

    @property
    def stddev(self) -> Any:
        """The root of the variance."""
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self.stddev.pow(2)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        away = (self.loc - value) / self.scale
        return away - away.exp() - self.scale.log()

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return self.scale.log() + (1 + EULER)


class Pareto(TransformedDistribution):
    """Values from `scale` on. alpha: how fast the greater ones become rare."""

    arg_constraints: ClassVar[Any] = {"alpha": constraints.positive, "scale": constraints.positive}
    _moved = ("scale", "alpha")

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = tensors(scale, alpha)
        base = Exponential(self.alpha, validate_args)
        super().__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args)

    @property
    def support(self) -> Any:
        """`scale` and more."""
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        """The expected value, infinity for an `alpha` up to 1."""
        alpha = self.alpha.clamp(min=1)
        return alpha * self.scale / (alpha - 1)

    @property
    def mode(self) -> Any:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean, infinity for an `alpha` up to 2."""
        alpha = self.alpha.clamp(min=2)
        return self.scale.pow(2) * alpha / ((alpha - 1).pow(2) * (alpha - 2))

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Weibull(TransformedDistribution):
    """The time until something fails. concentration: above 1 where it ages. scale: how long it takes."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    _moved = ("scale", "concentration", "concentration_reciprocal")

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = tensors(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(filled(self.scale, 1.0), validate_args)
        steps: list[Transform] = [PowerTransform(self.concentration_reciprocal), AffineTransform(0, self.scale)]
        super().__init__(base, steps, validate_args)

    @property
    def mean(self) -> Any:
        """The expected value."""
        return self.scale * (1 + self.concentration_reciprocal).lgamma().exp()

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        part = (self.concentration - 1) / self.concentration
        return self.scale * part ** self.concentration.reciprocal()

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        inverse = self.concentration_reciprocal
        return self.scale.pow(2) * ((1 + 2 * inverse).lgamma().exp() - (2 * (1 + inverse).lgamma()).exp())

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        inverse = self.concentration_reciprocal
        return EULER * (1 - inverse) + (self.scale * inverse).log() + 1
