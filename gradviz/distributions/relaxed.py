"""Choices as shares that have a gradient, `RelaxedBernoulli` and `RelaxedOneHotCategorical`; `MixtureSameFamily`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS
from gradviz.distributions import constraints
from gradviz.distributions.discrete import Categorical, Chance, OfClasses, clamped
from gradviz.distributions.distribution import Distribution, filled
from gradviz.distributions.transformed import TransformedDistribution
from gradviz.distributions.transforms import ExpTransform, SigmoidTransform


class LogitRelaxedBernoulli(Chance):
    """What `RelaxedBernoulli` is the sigmoid of."""

    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        self._take(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        shape = self._extended_shape(sample_shape)
        probs = clamped(self.probs.expand(shape))
        drawn = clamped(FUNCTIONS["rand"](shape, dtype=probs.dtype))
        return (drawn.log() - (-drawn).log1p() + probs.log() - (-probs).log1p()) / self.temperature

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        logits, value = FUNCTIONS["broadcast_tensors"](self.logits, value)
        away = logits - value.mul(self.temperature)
        return self.temperature.log() + away - 2 * away.exp().log1p()


class _Relaxed(TransformedDistribution):
    """What has a temperature, and the probabilities of its base."""

    @property
    def temperature(self) -> Any:
        """The smaller, the closer to a choice."""
        return self.base_dist.temperature

    @property
    def probs(self) -> Any:
        """The probabilities of the choice."""
        return self.base_dist.probs

    @property
    def logits(self) -> Any:
        """Their logits."""
        return self.base_dist.logits


class RelaxedBernoulli(_Relaxed):
    """Nearly 1 with probability `probs`, else nearly 0. temperature: the smaller, the nearer."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(LogitRelaxedBernoulli(temperature, probs, logits), SigmoidTransform(), validate_args)


class ExpRelaxedCategorical(OfClasses):
    """What `RelaxedOneHotCategorical` is the exponential of."""

    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        super().__init__(Categorical(probs, logits), validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        drawn = clamped(FUNCTIONS["rand"](self._extended_shape(sample_shape), dtype=self.logits.dtype))
        scores = (self.logits - (-drawn.log()).log()) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        count = self._categorical._num_events
        logits, value = FUNCTIONS["broadcast_tensors"](self.logits, value)
        size = filled(self.temperature, float(count)).lgamma() + self.temperature.log().mul(count - 1)
        score = logits - value.mul(self.temperature)
        return (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1) + size


class RelaxedOneHotCategorical(_Relaxed):
    """Shares of which one is nearly 1. temperature: the smaller, the nearer."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)


class MixtureSameFamily(Distribution):
    """One of several variables, drawn by `mixture_distribution`, a `Categorical`.

    component_distribution: the variables, along the last dimension of its batch.
    """

    _moved = ("_mixture_distribution",)

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution")
        mine, others = mixture_distribution.batch_shape, component_distribution.batch_shape[:-1]
        for one, other in zip(reversed(mine), reversed(others), strict=False):
            if 1 not in (one, other) and one != other:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mine}) is not compatible with "
                    f"`component_distribution.batch_shape`({others})"
                )
        count, there = mixture_distribution.logits.shape[-1], component_distribution.batch_shape[-1]
        if count != there:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({there})"
            )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._num_component = count
        self._event_ndims = len(component_distribution.event_shape)
        super().__init__(others, component_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same variable as a batch of another shape, to which its own can be broadcast."""
        new = super().expand(batch_shape)
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        return new

    @property
    def mixture_distribution(self) -> Any:
        """Which of the variables it is."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The variables."""
        return self._component_distribution

    @property
    def support(self) -> Any:
        """What each of the variables can be."""
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    def _shares(self) -> Any:
        """The probabilities, with dimensions for those of one value."""
        probs = self._mixture_distribution.probs
        count = len(self._mixture_distribution.batch_shape)
        more = 0 if count == 1 else len(self.batch_shape) - count
        shape = (*probs.shape[:-1], *(1,) * more, probs.shape[-1], *(1,) * self._event_ndims)
        return probs.reshape(shape)

    @property
    def mean(self) -> Any:
        """The expected value."""
        return (self._shares() * self._component_distribution.mean).sum(dim=-1 - self._event_ndims)

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        shares, dim = self._shares(), -1 - self._event_ndims
        within = (shares * self._component_distribution.variance).sum(dim=dim)
        away = self._component_distribution.mean - self.mean.unsqueeze(dim)
        return within + (shares * away.pow(2.0)).sum(dim=dim)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values."""
        with no_grad():
            dim = len(sample_shape) + len(self.batch_shape)
            chosen = self._mixture_distribution.sample(sample_shape)
            values = self._component_distribution.sample(sample_shape)
            index = chosen.reshape((*chosen.shape, *(1,) * (self._event_ndims + 1)))
            index = index.expand((*values.shape[:dim], 1, *values.shape[dim + 1 :]))
            return values.gather(dim, index).squeeze(dim)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        logs = self._component_distribution.log_prob(value.unsqueeze(-1 - self._event_ndims))
        shares = FUNCTIONS["log_softmax"](self._mixture_distribution.logits, dim=-1)
        return (logs + shares).logsumexp(dim=-1)

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        each = self._component_distribution.cdf(value.unsqueeze(-1 - self._event_ndims))
        return (each * self._mixture_distribution.probs).sum(dim=-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"
