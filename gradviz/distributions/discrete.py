"""Variables with a probability for each value: `Bernoulli`, `Categorical`, `OneHotCategorical`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONAL, FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.distributions import constraints
from gradviz.distributions.distribution import Distribution, kept, tensors


def _one_of(probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def clamped(probs: Any) -> Any:
    """Probabilities so far from 0 and 1 that their logarithms are finite."""
    least = float(np.finfo(probs._data.dtype).eps)
    return probs.clamp(least, 1 - least)


class Chance(Distribution):
    """What depends on the probability of a success: `probs`, or by its `logits`."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    _moved: tuple[str, ...] = ("_param",)
    _given: str

    def _take(self, probs: Any, logits: Any, *others: Any) -> list[Any]:
        """Keep what is given; returns the others in its shape."""
        _one_of(probs, logits)
        self._given = "probs" if probs is not None else "logits"
        self._param, *rest = tensors(probs if probs is not None else logits, *others)
        return rest

    def _is_given(self, name: str) -> bool:
        return name not in ("probs", "logits") or name == self._given

    @kept
    def probs(self) -> Any:
        """How likely a success is."""
        return self._param if self._given == "probs" else self._param.sigmoid()

    @kept
    def logits(self) -> Any:
        """The logarithm of how much more likely a success is than none."""
        if self._given == "logits":
            return self._param
        inside = clamped(self._param)
        return inside.log() - (-inside).log1p()

    @property
    def param_shape(self) -> Any:
        """The shape of `probs` and `logits`."""
        return self._param.size()


class Bernoulli(Chance):
    """1 with probability `probs`, or with sigmoid(logits); else 0."""

    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._take(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """How likely 1 is."""
        return self.probs

    @property
    def mode(self) -> Any:
        """The likelier value, NaN where neither is."""
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return FUNCTIONS["where"](self.probs == 0.5, math.nan, mode)

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
        self._check(value)
        logits, value = FUNCTIONS["broadcast_tensors"](self.logits, value)
        return -FUNCTIONAL["binary_cross_entropy_with_logits"](logits, value, reduction="none")

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        return FUNCTIONAL["binary_cross_entropy_with_logits"](self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Any:
        """0 and 1, one behind the other in a first dimension."""
        return _counted(2, self, self._param.dtype, expand)


class Categorical(Distribution):
    """The number of a class, each with a probability in the last dimension of `probs`, or by its `logits`."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _moved = ("_param",)

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        _one_of(probs, logits)
        self._given = "probs" if probs is not None else "logits"
        self._param = probs if probs is not None else logits
        if self._param.ndim < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        if probs is not None:
            self._param = probs / probs.sum(-1, keepdim=True)
        else:
            self._param = logits - logits.logsumexp(dim=-1, keepdim=True)
        self._num_events = self._param.shape[-1]
        super().__init__(self._param.shape[:-1], validate_args=validate_args)

    def _is_given(self, name: str) -> bool:
        return name == self._given

    @property
    def support(self) -> Any:
        """Whole numbers from 0."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of `probs` and `logits`."""
        return self._param.size()

    @kept
    def probs(self) -> Any:
        """How likely each class is."""
        return self._param if self._given == "probs" else FUNCTIONS["softmax"](self._param, -1)

    @kept
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._param if self._given == "logits" else clamped(self._param).log()

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
        self._check(value)
        value, logs = FUNCTIONS["broadcast_tensors"](value.long().unsqueeze(-1), self.logits)
        return logs.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        least = float(np.finfo(self._param._data.dtype).min)
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        """The classes, one behind the other in a first dimension."""
        return _counted(self._num_events, self, None, expand)


def _counted(count: int, variable: Distribution, kind: Any, expand: bool) -> Any:
    """0 to count - 1 in a first dimension before those of the variables."""
    values = FUNCTIONS["arange"](count, dtype=kind).view((-1, *(1,) * len(variable.batch_shape)))
    return values.expand((-1, *variable.batch_shape)) if expand else values


class OfClasses(Distribution):
    """What draws by a `Categorical`, and has its `probs` and `logits`."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _moved = ("_categorical",)

    def __init__(self, categorical: Categorical, validate_args: bool | None) -> None:
        self._categorical = categorical
        super().__init__(categorical.batch_shape, (categorical._num_events,), validate_args)

    @property
    def probs(self) -> Any:
        """How likely each class is."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    def _parameters(self) -> str:
        return ""


class OneHotCategorical(OfClasses):
    """`Categorical` whose values are vectors with a 1 at the class."""

    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(Categorical(probs, logits, validate_args), validate_args)

    @property
    def mean(self) -> Any:
        """The probabilities."""
        return self.probs

    @property
    def mode(self) -> Any:
        """The likeliest class."""
        return FUNCTIONAL["one_hot"](self._categorical.mode, self.event_shape[0]).to(self.probs.dtype)

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
        self._check(value)
        indices: Any = value.max(-1)[1]
        return self._categorical.log_prob(indices)

    def entropy(self) -> Any:
        """The expected negated logarithm of the probability."""
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        """The vectors, one behind the other in a first dimension."""
        count = self.event_shape[0]
        ones = FUNCTIONS["eye"](count, dtype=self.probs.dtype)
        values = ones.view((count, *(1,) * len(self.batch_shape), count))
        return values.expand((count, *self.batch_shape, count)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """`OneHotCategorical` whose vectors have the gradient of the probabilities."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw vectors through which the probabilities get a gradient."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
