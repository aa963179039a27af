"""What distributions share: their shapes and checks; and `Independent`, which makes one of several.

A sample has shape (*sample_shape, *batch_shape, *event_shape): how many are drawn, how many variables there are, and
what one of them is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS
from gradviz.core.size import Size
from gradviz.core.tensor import Tensor


def tensors(*values: Any) -> list[Any]:
    """Tensors of one shape and dtype from numbers and tensors."""
    kinds = [value.dtype for value in values if isinstance(value, Tensor)]
    made = [
        value if isinstance(value, Tensor) else FUNCTIONS["tensor"](float(value), dtype=kinds[0] if kinds else None)
        for value in values
    ]
    return list(FUNCTIONS["broadcast_tensors"](*made))


class Distribution:
    """A random variable, or a batch of independent ones.

    validate_args: raise ValueError for parameters, and for values in `log_prob`, that cannot be.
    """

    has_rsample = False
    _validate_args = True

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape = Size(tuple(batch_shape))
        self._event_shape = Size(tuple(event_shape))
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, allowed, condition in self._limits():
                self._require(name, allowed, condition)

    def _limits(self) -> list[tuple[str, str, Any]]:
        """For each parameter what it must satisfy, in words, and where it does, as an array."""
        return []

    def _require(self, name: str, allowed: str, condition: Any) -> None:
        if not np.all(condition):
            value = getattr(self, name)
            raise ValueError(
                f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                f"{self!r} to satisfy the constraint {allowed}, but found invalid values:\n{value}"
            )

    @property
    def batch_shape(self) -> Size:
        """How many variables there are."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """What one variable is."""
        return self._event_shape

    @property
    def mean(self) -> Any:
        """The expected value."""
        raise NotImplementedError

    @property
    def variance(self) -> Any:
        """The expected squared distance from the mean."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values that have no gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        raise NotImplementedError

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or of the probability, at a value."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        raise NotImplementedError

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _parameters(self) -> str:
        """The parameters as `__repr__` shows them."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._parameters()})"


def shown(**parameters: Any) -> str:
    """Parameters for `__repr__`: a number where there is one, else the shape."""
    return ", ".join(
        f"{name}: {value if value.numel() == 1 else value.size()}" for name, value in parameters.items()
    )


class Independent(Distribution):
    """`base_distribution` whose last `reinterpreted_batch_ndims` dimensions of variables are one variable."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        inner = reinterpreted_batch_ndims + len(base_distribution.event_shape)
        if reinterpreted_batch_ndims > len(base_distribution.batch_shape):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {len(base_distribution.batch_shape)}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.has_rsample = base_distribution.has_rsample
        super().__init__(shape[: len(shape) - inner], shape[len(shape) - inner :], validate_args)

    @property
    def mean(self) -> Any:
        """That of the base."""
        return self.base_dist.mean

    @property
    def variance(self) -> Any:
        """That of the base."""
        return self.base_dist.variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values that have no gradient."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        """The sum of the base's."""
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Any:
        """The sum of the base's."""
        return self._summed(self.base_dist.entropy())

    def _summed(self, values: Any) -> Any:
        count = self.reinterpreted_batch_ndims
        return values.sum(tuple(range(-count, 0))) if count else values

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


LOG_ROOT_2_PI = math.log(math.sqrt(2 * math.pi))
