"""Variables with a probability for each value: `Bernoulli`, `Categorical`, `OneHotCategorical`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONAL, FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.distributions.distribution import Distribution, shown, tensors


def _one_of(probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def _inside(probs: Any) -> Any:
    """Probabilities so far from 0 and 1 that their logarithms are finite."""
    least = float(np.finfo(probs._data.dtype).eps)
    return probs.clamp(least, 1 - least)


class Bernoulli(Distribution):
    """1 with probability `probs`, or with sigmoid(logits); else 0."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        _one_of(probs, logits)
        self._given = "probs" if probs is not None else "logits"
        (self._param,) = tensors(probs if probs is not None else logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def _limits(self) -> list[tuple[str, str, Any]]:
        data = self._param._data
        if self._given == "probs":
            return [("probs", "Interval(lower_bound=0.0, upper_bound=1.0)", (data >= 0) & (data <= 1))]
        return [("logits", "Real()", data == data)]

    @property
    def probs(self) -> Any:
        """How likely 1 is."""
        return self._param if self._given == "probs" else self._param.sigmoid()

    @property
    def logits(self) -> Any:
        """The logarithm of how much more likely 1 is than 0."""
        if self._given == "logits":
            return self._param
        inside = _inside(self._param)
        return inside.log() - (-inside).log1p()

    @property
    def mean(self) -> Any:
        """How likely 1 is."""
        return self.probs

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values."""
        with no_grad():
            return FUNCTIONS["bernoulli"](self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability."""
        logits, value = FUNCTIONS["broadcast_tensors"](self.logits, value)
        return -FUNCTIONAL["binary_cross_entropy_with_logits"](logits, value, reduction="none")

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        return FUNCTIONAL["binary_cross_entropy_with_logits"](self.logits, self.probs, reduction="none")

    def _parameters(self) -> str:
        return shown(**{self._given: self._param})


class Categorical(Distribution):
    """The number of a class, each with a probability in the last dimension of `probs`, or by its `logits`."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        _one_of(probs, logits)
        self._given = "probs" if probs is not None else "logits"
        self._param = probs if probs is not None else logits
        if self._param.ndim < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        self._raw = self._param
        if probs is not None:
            self._param = probs / probs.sum(-1, keepdim=True)
        else:
            self._param = logits - logits.logsumexp(dim=-1, keepdim=True)
        self._num_events = self._param.shape[-1]
        super().__init__(self._param.shape[:-1], validate_args=validate_args)

    def _limits(self) -> list[tuple[str, str, Any]]:
        data = self._raw._data
        if self._given == "probs":
            return [("probs", "Simplex()", (data >= 0) & (data == data))]
        return [("logits", "IndependentConstraint(Real(), 1)", data == data)]

    @property
    def probs(self) -> Any:
        """How likely each class is."""
        return self._param if self._given == "probs" else FUNCTIONS["softmax"](self._param, -1)

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._param if self._given == "logits" else _inside(self._param).log()

    @property
    def mode(self) -> Any:
        """The likeliest class."""
        return self.probs.argmax(dim=-1)

    @property
    def mean(self) -> Any:
        """NaN: a class is no number."""
        return self._nothing()

    @property
    def variance(self) -> Any:
        """NaN: a class is no number."""
        return self._nothing()

    def _nothing(self) -> Any:
        return FUNCTIONS["full"](self._extended_shape(), math.nan, dtype=self._param.dtype)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw classes."""
        count = math.prod(sample_shape)
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn: Any = FUNCTIONS["multinomial"](rows, count, True)
            return drawn.t().reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability of a class."""
        value, logs = FUNCTIONS["broadcast_tensors"](value.long().unsqueeze(-1), self.logits)
        return logs.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        least = float(np.finfo(self._param._data.dtype).min)
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    def _parameters(self) -> str:
        return shown(**{self._given: self._param})


class OneHotCategorical(Distribution):
    """`Categorical` whose values are vectors with a 1 at the class."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(
            self._categorical.batch_shape, (self._categorical._num_events,), validate_args=validate_args
        )

    @property
    def probs(self) -> Any:
        """How likely each class is."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def mean(self) -> Any:
        """The probabilities."""
        return self.probs

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw vectors."""
        drawn = self._categorical.sample(sample_shape)
        return FUNCTIONAL["one_hot"](drawn, self._categorical._num_events).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Any:
        """The logarithm of the probability of a vector."""
        indices: Any = value.max(-1)[1]
        return self._categorical.log_prob(indices)

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        return self._categorical.entropy()

    def __repr__(self) -> str:
        return "OneHotCategorical()"
