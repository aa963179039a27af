"""Transforms of vectors to probabilities, of matrices to those that are positive, and of the parts of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.public import FUNCTIONAL, FUNCTIONS, LINALG
from gradviz.core.size import Size
from gradviz.distributions import constraints
from gradviz.distributions.distribution import Distribution
from gradviz.distributions.transforms.elementwise import clipped_sigmoid
from gradviz.distributions.transforms.transform import Plain, Transform


class SoftmaxTransform(Plain):
    """Probabilities, each in proportion to the exponential of an element. There is no one way back."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = False

    def _call(self, x: Any) -> Any:
        parts = (x - x.max(-1, True)[0]).exp()
        return parts / parts.sum(-1, True)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        """The same shape. Raises ValueError for that of a number."""
        return _last_changed(shape, 0)

    inverse_shape = forward_shape


class StickBreakingTransform(Plain):
    """Probabilities, one more than elements: each element says how much of what is left is the next one's."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        pad = FUNCTIONAL["pad"]
        taken = clipped_sigmoid(x - _left(x.shape[-1], x.dtype).log())
        return pad(taken, [0, 1], value=1) * pad((1 - taken).cumprod(-1), [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        parts = y[..., :-1]
        rest = (1 - parts.cumsum(-1)).clamp(min=float(np.finfo(y._data.dtype).tiny))
        return parts.log() - rest.log() + _left(parts.shape[-1], y.dtype).log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the product of the slopes."""
        x = x - _left(x.shape[-1], x.dtype).log()
        return (-x + FUNCTIONAL["logsigmoid"](x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        """The shape with one more. Raises ValueError for that of a number."""
        return _last_changed(shape, 1)

    def inverse_shape(self, shape: Any) -> Any:
        """The shape with one less. Raises ValueError for that of a number."""
        return _last_changed(shape, -1)


def _left(count: int, kind: Any) -> Any:
    """How many probabilities are left for each element: count, count - 1, ..., 1."""
    return FUNCTIONS["arange"](count, 0, -1, dtype=kind)


def _last_changed(shape: Any, change: int) -> Any:
    if not len(shape):
        raise ValueError("Too few dimensions on input")
    return Size((*shape[:-1], shape[-1] + change))


class LowerCholeskyTransform(Plain):
    """Lower triangles whose diagonals are the exponentials of the given ones."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky
    bijective = False

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Plain):
    """Positive definite matrices: the triangles of `LowerCholeskyTransform` times themselves, transposed."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite
    bijective = False

    def _call(self, x: Any) -> Any:
        root = LowerCholeskyTransform()(x)
        return root @ root.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(LINALG["cholesky"](y))


class CumulativeDistributionTransform(Transform):
    """How likely a variable is to be smaller than the value."""

    bijective = True
    codomain = constraints.unit_interval
    sign = 1

    def __init__(self, distribution: Distribution, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """What the variable can be."""
        return self.distribution.support

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        same = self._cache_size == cache_size
        return self if same else CumulativeDistributionTransform(self.distribution, cache_size)

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the density."""
        return self.distribution.log_prob(x)


class StackTransform(Transform):
    """A transform for each slice along a dimension."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [one.with_cache(cache_size) for one in tseq]
        self.dim = dim
        self.bijective = all(one.bijective for one in self.transforms)
        self.domain = constraints.stack([one.domain for one in self.transforms], dim)
        self.codomain = constraints.stack([one.codomain for one in self.transforms], dim)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        return self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)

    def _each(self, calls: Sequence[Any], *values: Any) -> Any:
        """The slices of values, each through its own function, put together again."""
        if any(value.size(self.dim) != len(calls) for value in values):
            size = values[0].size(self.dim)
            raise AssertionError(f"x.size({self.dim}) = {size} must equal len(transforms) {len(calls)}")
        slices = zip(*(value.unbind(self.dim) for value in values), strict=True)
        return FUNCTIONS["stack"]([call(*given) for call, given in zip(calls, slices, strict=True)], self.dim)

    def _call(self, x: Any) -> Any:
        return self._each(self.transforms, x)

    def _inverse(self, y: Any) -> Any:
        return self._each([one.inv for one in self.transforms], y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Those of the slices."""
        return self._each([one.log_abs_det_jacobian for one in self.transforms], x, y)
