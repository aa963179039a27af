"""Transforms element by element: `ExpTransform`, `SigmoidTransform`, `AffineTransform`, ..."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.public import FUNCTIONAL, FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.distributions import constraints
from gradviz.distributions.distribution import filled, tensors
from gradviz.distributions.transforms.transform import Plain, Transform


class ExpTransform(Plain):
    """y = exp(x)."""

    codomain = constraints.positive
    sign = 1

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """x."""
        return x


class PowerTransform(Transform):
    """y = x ** exponent."""

    domain = codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        (self.exponent,) = tensors(exponent)

    @property
    def sign(self) -> Any:
        """That of the exponent."""
        return self.exponent.sign()

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        return self if self._cache_size == cache_size else PowerTransform(self.exponent, cache_size)

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the slope."""
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        """The shape and the exponent's broadcast."""
        return FUNCTIONS["broadcast_shapes"](tuple(shape), tuple(self.exponent.shape))

    inverse_shape = forward_shape

    def _equals(self, other: Any) -> bool:
        return np.array_equal(self.exponent._data, other.exponent._data)


def clipped_sigmoid(x: Any) -> Any:
    limits = np.finfo(x._data.dtype)
    return x.sigmoid().clamp(min=float(limits.tiny), max=1.0 - float(limits.eps))


class SigmoidTransform(Plain):
    """y = sigmoid(x), never quite 0 or 1."""

    codomain = constraints.unit_interval
    sign = 1

    def _call(self, x: Any) -> Any:
        return clipped_sigmoid(x)

    def _inverse(self, y: Any) -> Any:
        limits = np.finfo(y._data.dtype)
        y = y.clamp(min=float(limits.tiny), max=1.0 - float(limits.eps))
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of y * (1 - y)."""
        return -FUNCTIONAL["softplus"](-x) - FUNCTIONAL["softplus"](x)


class SoftplusTransform(Plain):
    """y = log(1 + exp(x))."""

    codomain = constraints.positive
    sign = 1

    def _call(self, x: Any) -> Any:
        return FUNCTIONAL["softplus"](x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of sigmoid(x)."""
        return -FUNCTIONAL["softplus"](-x)


class TanhTransform(Plain):
    """y = tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)
    sign = 1

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of 1 - y * y, as it keeps its digits."""
        return 2.0 * (math.log(2.0) - x - FUNCTIONAL["softplus"](-2.0 * x))


class AbsTransform(Plain):
    """y = |x|. There is no one way back; `inv` takes the positive one."""

    codomain = constraints.positive
    bijective = False

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """y = loc + scale * x. event_dim: how many dimensions belong to one value."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim
        real = constraints.real
        self.domain = self.codomain = constraints.independent(real, event_dim) if event_dim else real

    @property
    def event_dim(self) -> int:
        """How many dimensions belong to one value."""
        return self._event_dim

    @property
    def sign(self) -> Any:
        """That of the scale."""
        return self.scale.sign() if isinstance(self.scale, Tensor) else (self.scale > 0) - (self.scale < 0)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        if self._cache_size == cache_size:
            return self
        return AffineTransform(self.loc, self.scale, self._event_dim, cache_size)

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the scale."""
        shape = tuple(x.shape)
        is_tensor = isinstance(self.scale, Tensor)
        result = self.scale.abs().log() if is_tensor else filled(x, math.log(abs(self.scale)))
        if self._event_dim:
            result = result.view((*result.shape[: -self._event_dim], -1)).sum(-1)
            shape = shape[: -self._event_dim]
        return result.expand(shape)

    def forward_shape(self, shape: Any) -> Any:
        """The shape, `loc` and `scale` broadcast."""
        own = (tuple(getattr(one, "shape", ())) for one in (self.loc, self.scale))
        return FUNCTIONS["broadcast_shapes"](tuple(shape), *own)

    inverse_shape = forward_shape

    def _equals(self, other: Any) -> bool:
        pairs = ((self.loc, other.loc), (self.scale, other.scale))
        return all(np.all(np.equal(*(getattr(one, "_data", one) for one in pair))) for pair in pairs)
