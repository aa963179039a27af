"""`Kumaraswamy`: numbers from 0 to 1, much as `Beta` has them, with a simple distribution function."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from gradviz.core.public import FUNCTIONS
from gradviz.distributions import constraints
from gradviz.distributions.continuous import Uniform
from gradviz.distributions.distribution import filled, tensors
from gradviz.distributions.transformed import EULER, TransformedDistribution
from gradviz.distributions.transforms import AffineTransform, PowerTransform, Transform


class Kumaraswamy(TransformedDistribution):
    """concentration1: greater where values near 1 are likelier. concentration0: where those near 0 are."""

    arg_constraints: ClassVar[Any] = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    _moved = ("concentration1", "concentration0")

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = tensors(concentration1, concentration0)
        base = Uniform(filled(self.concentration0, 0.0), filled(self.concentration0, 1.0), validate_args)
        steps: list[Transform] = [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(1.0, -1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]
        super().__init__(base, steps, validate_args)

    def _moment(self, power: int) -> Any:
        part, other = 1 + power / self.concentration1, self.concentration0
        return other * (part.lgamma() + other.lgamma() - (part + other).lgamma()).exp()

    @property
    def mean(self) -> Any:
        """The expected value."""
        return self._moment(1)

    @property
    def mode(self) -> Any:
        """The likeliest value, NaN where a concentration is less than 1."""
        one, zero = self.concentration1, self.concentration0
        found = zero.reciprocal() * (-zero).log1p() - (-zero * one).log1p()
        return FUNCTIONS["where"]((zero < 1) | (one < 1), math.nan, found).exp()

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self._moment(2) - self.mean.pow(2)

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        one, zero = self.concentration1, self.concentration0
        harmonic = (zero + 1).digamma() + EULER
        return (1 - zero.reciprocal()) + (1 - one.reciprocal()) * harmonic - one.log() - zero.log()
