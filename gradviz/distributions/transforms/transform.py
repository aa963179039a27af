"""Functions that a variable is put through, each with its inverse and the logarithm of its slope.

A transform is called with values; `inv` is its inverse; `log_abs_det_jacobian(x, y)` is the logarithm of the absolute
determinant of its derivative at `x`, which it takes to `y`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradviz.core.public import FUNCTIONS
from gradviz.core.size import Size
from gradviz.distributions import constraints
from gradviz.distributions.distribution import summed


class Transform:
    """A function of tensors. A subclass has `_call`, `_inverse` and `log_abs_det_jacobian`.

    cache_size: 1 to keep the last value and what it became, so that the way back is free. domain, codomain: what goes
    in and what comes out. bijective: there is a way back for all. sign: whether greater ones become greater, 1, or
    smaller.
    """

    bijective: Any = False
    domain: Any
    codomain: Any

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._kept: tuple[Any, Any] = (None, None)
        self._inv: Transform | None = None

    @property
    def event_dim(self) -> int:
        """How many dimensions belong to one value."""
        if self.domain.event_dim == self.codomain.event_dim:
            return int(self.domain.event_dim)
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def sign(self) -> Any:
        """Whether greater values become greater, 1, or smaller, -1. Raises NotImplementedError where it is neither."""
        raise NotImplementedError

    @property
    def inv(self) -> Transform:
        """The way back."""
        if self._inv is None:
            self._inv = self._turned()
        return self._inv

    def _turned(self) -> Transform:
        return _InverseTransform(self)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        if self._cache_size == cache_size:
            return self
        if type(self).__init__ is Transform.__init__:
            return type(self)(cache_size=cache_size)
        raise NotImplementedError(f"{type(self)}.with_cache is not implemented")

    def __call__(self, x: Any) -> Any:
        if not self._cache_size:
            return self._call(x)
        if x is not self._kept[0]:
            self._kept = x, self._call(x)
        return self._kept[1]

    def _back(self, y: Any) -> Any:
        if not self._cache_size:
            return self._inverse(y)
        if y is not self._kept[1]:
            self._kept = self._inverse(y), y
        return self._kept[0]

    def _call(self, x: Any) -> Any:
        raise NotImplementedError

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the absolute determinant of the derivative at `x`, which becomes `y`."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> Any:
        """What a shape becomes."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """What shape becomes this one."""
        return shape

    def _equals(self, other: Any) -> bool:
        return self is other

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._equals(other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._parts())})"

    def _parts(self) -> list[str]:
        """The arguments as `__repr__` shows them."""
        return []


class Plain(Transform):
    """One without parameters."""

    bijective = True
    domain: Any = constraints.real

    def _equals(self, other: Any) -> bool:
        return True


class _InverseTransform(Transform):
    """The way back of another one."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inv = transform
        self.domain = transform.codomain
        self.codomain = transform.domain
        self.bijective = transform.bijective

    @property
    def sign(self) -> Any:
        """That of the other one."""
        return self.inv.sign

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        return self.inv.with_cache(cache_size).inv

    def __call__(self, x: Any) -> Any:
        return self.inv._back(x)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The negated one of the way there."""
        return -self.inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        """What a shape becomes."""
        return self.inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        """What shape becomes this one."""
        return self.inv.forward_shape(shape)

    def _equals(self, other: Any) -> bool:
        return bool(self.inv == other.inv)

    def _parts(self) -> list[str]:
        return [repr(self.inv)]


class ComposeTransform(Transform):
    """`parts` one after the other."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        self.parts = [part.with_cache(cache_size) for part in parts] if cache_size else list(parts)
        super().__init__(cache_size)
        self.domain = self.codomain = constraints.real
        self.bijective = all(part.bijective for part in self.parts)
        if self.parts:
            self.domain = self._widened(self.parts[0].domain, reversed(self.parts), "domain", "codomain")
            self.codomain = self._widened(self.parts[-1].codomain, iter(self.parts), "codomain", "domain")

    @staticmethod
    def _widened(end: Any, parts: Any, near: str, far: str) -> Any:
        """What goes in, or comes out, with the dimensions that parts further on see as one value."""
        count: int | None = None
        for part in parts:
            mine, other = getattr(part, near).event_dim, getattr(part, far).event_dim
            count = max(mine, (other if count is None else count) + mine - other)
        more = (count or 0) - end.event_dim
        return constraints.independent(end, more) if more > 0 else end

    @property
    def sign(self) -> Any:
        """The product of the parts'."""
        return math.prod((part.sign for part in self.parts), start=1)

    def _turned(self) -> Transform:
        turned = ComposeTransform([part.inv for part in reversed(self.parts)])
        turned._inv = self
        return turned

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        return self if self._cache_size == cache_size else ComposeTransform(self.parts, cache_size)

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The sum of the parts'."""
        if not self.parts:
            return FUNCTIONS["zeros_like"](x)
        values = [x]
        for part in self.parts[:-1]:
            values.append(part(values[-1]))
        values.append(y)
        count, total = self.domain.event_dim, None
        for part, before, after in zip(self.parts, values, values[1:], strict=False):
            term = summed(part.log_abs_det_jacobian(before, after), count - part.domain.event_dim)
            total = term if total is None else total + term
            count += part.codomain.event_dim - part.domain.event_dim
        return total

    def forward_shape(self, shape: Any) -> Any:
        """What a shape becomes."""
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """What shape becomes this one."""
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def _equals(self, other: Any) -> bool:
        return bool(self.parts == other.parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(\n    " + ",\n    ".join(map(repr, self.parts)) + "\n)"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """`base_transform` of values that have `reinterpreted_batch_ndims` more dimensions."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)
        self.bijective = base_transform.bijective

    @property
    def sign(self) -> Any:
        """That of the base."""
        return self.base_transform.sign

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        if self._cache_size == cache_size:
            return self
        return IndependentTransform(self.base_transform, self.reinterpreted_batch_ndims, cache_size)

    def _call(self, x: Any) -> Any:
        if x.dim() < self.domain.event_dim:
            raise ValueError("Too few dimensions on input")
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        if y.dim() < self.codomain.event_dim:
            raise ValueError("Too few dimensions on input")
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The sum of the base's."""
        return summed(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        """What a shape becomes."""
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        """What shape becomes this one."""
        return self.base_transform.inverse_shape(shape)

    def _parts(self) -> list[str]:
        return [repr(self.base_transform), str(self.reinterpreted_batch_ndims)]


class ReshapeTransform(Transform):
    """The last dimensions, `in_shape`, as `out_shape`."""

    bijective = True

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = Size(tuple(in_shape)), Size(tuple(out_shape))
        if math.prod(in_shape) != math.prod(out_shape):
            raise ValueError("in_shape, out_shape have different numbers of elements")
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform, which keeps what it did last."""
        return self if self._cache_size == cache_size else ReshapeTransform(self.in_shape, self.out_shape, cache_size)

    def _call(self, x: Any) -> Any:
        return x.reshape((*x.shape[: x.dim() - len(self.in_shape)], *self.out_shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape((*y.shape[: y.dim() - len(self.out_shape)], *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Zero."""
        return FUNCTIONS["zeros"](tuple(x.shape[: x.dim() - len(self.in_shape)]), dtype=x.dtype)

    def forward_shape(self, shape: Any) -> Any:
        """What a shape becomes. Raises ValueError for one that does not end in `in_shape`."""
        return _end_changed(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        """What shape becomes this one. Raises ValueError for one that does not end in `out_shape`."""
        return _end_changed(shape, self.out_shape, self.in_shape)


def _end_changed(shape: Any, old: Size, new: Size) -> Any:
    cut = len(shape) - len(old)
    if cut < 0:
        raise ValueError("Too few dimensions on input")
    if tuple(shape[cut:]) != tuple(old):
        raise ValueError(f"Shape mismatch: expected {shape[cut:]} but got {old}")
    return Size((*shape[:cut], *new))
