"""Variables made of gamma ones: `Gamma`, `Chi2`, `InverseGamma`, `Dirichlet`, `Beta`, `StudentT`, `FisherSnedecor`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gradviz.core.public import FUNCTIONAL, FUNCTIONS, SPECIAL
from gradviz.core.tensor import Tensor
from gradviz.distributions import constraints
from gradviz.distributions.distribution import Distribution, standard_normal, tensors
from gradviz.distributions.transformed import TransformedDistribution
from gradviz.distributions.transforms import PowerTransform


class Gamma(Distribution):
    """The time until something happens `concentration` times that happens at `rate`."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _moved = ("concentration", "rate")

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = tensors(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The expected value."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        shape = self._extended_shape(sample_shape)
        value = FUNCTIONS["_standard_gamma"](self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=float(np.finfo(value._data.dtype).tiny))
        return value

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        value = value if isinstance(value, Tensor) else FUNCTIONS["tensor"](value, dtype=self.rate.dtype)
        self._check(value)
        xlogy, concentration, rate = FUNCTIONS["xlogy"], self.concentration, self.rate
        return xlogy(concentration, rate) + xlogy(concentration - 1, value) - rate * value - concentration.lgamma()

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        concentration = self.concentration
        rest = (1.0 - concentration) * concentration.digamma()
        return concentration - self.rate.log() + concentration.lgamma() + rest

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        self._check(value)
        return SPECIAL["gammainc"](self.concentration, self.rate * value)


class Chi2(Gamma):
    """The sum of the squares of `df` normal variables."""

    arg_constraints: ClassVar[Any] = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args)

    @property
    def df(self) -> Any:
        """How many variables are summed."""
        return self.concentration * 2

    def _is_given(self, name: str) -> bool:
        return "_batch_shape" not in vars(self)

    def _parameters(self) -> str:
        return ""


class InverseGamma(TransformedDistribution):
    """One over a gamma variable."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args)
        inverse = FUNCTIONS["tensor"](-1.0, dtype=base.rate.dtype)
        super().__init__(base, PowerTransform(inverse), validate_args)

    @property
    def concentration(self) -> Any:
        """That of the gamma variable."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """That of the gamma variable."""
        return self.base_dist.rate

    @property
    def mean(self) -> Any:
        """The expected value, infinity for a `concentration` up to 1."""
        return FUNCTIONS["where"](self.concentration > 1, self.rate / (self.concentration - 1), math.inf)

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean, infinity for a `concentration` up to 2."""
        concentration = self.concentration
        found = self.rate.square() / ((concentration - 1).square() * (concentration - 2))
        return FUNCTIONS["where"](concentration > 2, found, math.inf)

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        concentration = self.concentration
        rest = (1 + concentration) * concentration.digamma()
        return concentration + self.rate.log() + concentration.lgamma() - rest


class Dirichlet(Distribution):
    """Shares that add up to 1. concentration: (..., n), how large each is, and all together how sure."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _moved = ("concentration",)

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        """The expected shares."""
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        """The likeliest shares; for concentrations below 1 all to one of them."""
        more = (self.concentration - 1).clamp(min=0.0)
        mode = more / more.sum(-1, True)
        only = FUNCTIONAL["one_hot"](mode.argmax(dim=-1), self.event_shape[0]).to(mode.dtype)
        return FUNCTIONS["where"]((self.concentration < 1).all(-1, keepdim=True), only, mode)

    @property
    def variance(self) -> Any:
        """The expected squared distances from the mean."""
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw shares through which the concentrations get a gradient."""
        return FUNCTIONS["_sample_dirichlet"](self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        concentration = self.concentration
        parts = FUNCTIONS["xlogy"](concentration - 1.0, value).sum(-1)
        return parts + concentration.sum(-1).lgamma() - concentration.lgamma().sum(-1)

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        concentration, total = self.concentration, self.concentration.sum(-1)
        found = concentration.lgamma().sum(-1) - total.lgamma() - (self.event_shape[0] - total) * total.digamma()
        return found - ((concentration - 1.0) * concentration.digamma()).sum(-1)


class Beta(Distribution):
    """A share: the first of two that `Dirichlet` gives."""

    arg_constraints: ClassVar[Any] = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True
    _moved = ("_dirichlet",)

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        both = FUNCTIONS["stack"](tensors(concentration1, concentration0), -1)
        self._dirichlet = Dirichlet(both, validate_args)
        super().__init__(self._dirichlet.batch_shape, validate_args=validate_args)

    @property
    def concentration1(self) -> Any:
        """How large the share is."""
        return self._dirichlet.concentration[..., 0]

    @property
    def concentration0(self) -> Any:
        """How large the rest is."""
        return self._dirichlet.concentration[..., 1]

    @property
    def mean(self) -> Any:
        """The expected share."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Any:
        """The likeliest share."""
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw shares through which the parameters get a gradient."""
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        return self._dirichlet.log_prob(FUNCTIONS["stack"]([value, 1.0 - value], -1))

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        return self._dirichlet.entropy()

    def _parameters(self) -> str:
        return ""


class StudentT(Distribution):
    """A normal variable whose deviation is not known. df: from how many values more than one it was estimated."""

    arg_constraints: ClassVar[Any] = {
        "df": constraints.positive, "loc": constraints.real, "scale": constraints.positive
    }  # fmt: skip
    support = constraints.real
    has_rsample = True
    _moved = ("df", "loc", "scale", "_chi2")

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = tensors(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """`loc`, NaN for a `df` up to 1."""
        return FUNCTIONS["where"](self.df <= 1, math.nan, self.loc)

    @property
    def mode(self) -> Any:
        """`loc`."""
        return self.loc

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean: infinity for a `df` up to 2, NaN for one up to 1."""
        where, df = FUNCTIONS["where"], self.df
        found = where(df > 2, self.scale.pow(2) * df / (df - 2), math.inf)
        return where(df <= 1, math.nan, found)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        noise = standard_normal(self._extended_shape(sample_shape), self.df.dtype)
        return self.loc + self.scale * (noise * (self._chi2.rsample(sample_shape) / self.df).rsqrt())

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        away, df = (value - self.loc) / self.scale, self.df
        size = self.scale.log() + 0.5 * df.log() + 0.5 * math.log(math.pi)
        size = size + (0.5 * df).lgamma() - (0.5 * (df + 1.0)).lgamma()
        return -0.5 * (df + 1.0) * (away**2.0 / df).log1p() - size

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        beta = half.lgamma() + math.lgamma(0.5) - more.lgamma()
        return self.scale.log() + more * (more.digamma() - half.digamma()) + 0.5 * self.df.log() + beta


class FisherSnedecor(Distribution):
    """The ratio of two variances. df1, df2: from how many values more than one each was estimated."""

    arg_constraints: ClassVar[Any] = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    _moved = ("df1", "df2", "_gamma1", "_gamma2")

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = tensors(df1, df2)
        self._gamma1, self._gamma2 = (Gamma(df * 0.5, df) for df in (self.df1, self.df2))
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The expected value, NaN for a `df2` up to 2."""
        return FUNCTIONS["where"](self.df2 <= 2, math.nan, self.df2 / (self.df2 - 2))

    @property
    def mode(self) -> Any:
        """The likeliest value, NaN for a `df1` up to 2."""
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return FUNCTIONS["where"](self.df1 <= 2, math.nan, found)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean, NaN for a `df2` up to 4."""
        df1, df2 = self.df1, self.df2
        found = 2 * df2.pow(2) * (df1 + df2 - 2) / (df1 * (df2 - 2).pow(2) * (df2 - 4))
        return FUNCTIONS["where"](df2 <= 4, math.nan, found)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        above, below = self._gamma1.rsample(sample_shape), self._gamma2.rsample(sample_shape)
        least = float(np.finfo(below._data.dtype).tiny)
        return (above / below.clamp(min=least)).clamp(min=least)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        one, two, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        size = (one + two).lgamma() - one.lgamma() - two.lgamma()
        return size + one * ratio.log() + (one - 1) * value.log() - (one + two) * (ratio * value).log1p()
