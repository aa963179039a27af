"""What values of a variable, or its parameters, can be: `positive`, `simplex`, `interval(0.0, 1.0)`, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor


class Constraint:
    """A condition that values meet or not. A subclass has `check`.

    is_discrete: the values are apart from each other. event_dim: how many dimensions one value has.
    """

    is_discrete: Any = False
    event_dim: Any = 0

    def check(self, value: Any) -> Any:
        """Where a tensor's values meet the condition. (...) without the dimensions of one value, bool."""
        raise NotImplementedError

    def holds(self, value: Any) -> Any:
        """`check` as an array."""
        return self.check(value)._data

    def __repr__(self) -> str:
        return f"{type(self).__name__.lstrip('_')}({', '.join(self._parts())})"

    def _parts(self) -> list[str]:
        """The arguments as `__repr__` shows them."""
        return []


class _Own(Constraint):
    """One of gradviz's own, which looks at arrays, so that a check is no op."""

    def check(self, value: Any) -> Any:
        """Where a tensor's values meet the condition. (...) without the dimensions of one value, bool."""
        return FUNCTIONS["tensor"](np.asarray(self.holds(value)))

    def holds(self, value: Any) -> Any:
        """`check` as an array."""
        return self._where(np.asarray(value._data if isinstance(value, Tensor) else value))

    def _where(self, x: Any) -> Any:
        raise NotImplementedError


def _plain(bound: Any) -> Any:
    return bound._data if isinstance(bound, Tensor) else bound


class _Bounded(_Own):
    """What has a `lower_bound`, an `upper_bound` or both: numbers or tensors."""

    _names: tuple[str, ...] = ("lower_bound",)
    _strict: tuple[str, ...] = ()

    def __init__(self, *bounds: Any, **named: Any) -> None:
        for name, bound in zip(self._names, [*bounds, *named.values()], strict=True):
            setattr(self, name, bound)

    def _where(self, x: Any) -> Any:
        found = x == x if not self.is_discrete else x % 1 == 0
        for name in self._names:
            bound = _plain(getattr(self, name))
            low, high = (bound, x) if name == "lower_bound" else (x, bound)
            found = found & (low < high if name in self._strict else low <= high)
        return found

    def _parts(self) -> list[str]:
        return [f"{name}={getattr(self, name)}" for name in self._names]


class _GreaterThan(_Bounded):
    _strict = ("lower_bound",)


class _GreaterThanEq(_Bounded):
    pass


class _LessThan(_Bounded):
    _names = _strict = ("upper_bound",)


class _Interval(_Bounded):
    _names = ("lower_bound", "upper_bound")


class _HalfOpenInterval(_Interval):
    _strict = ("upper_bound",)


class _IntegerInterval(_Interval):
    is_discrete = True


class _IntegerGreaterThan(_Bounded):
    is_discrete = True


class _Real(_Own):
    def _where(self, x: Any) -> Any:
        return x == x


class _Boolean(_Own):
    is_discrete = True

    def _where(self, x: Any) -> Any:
        return (x == 0) | (x == 1)


class _OneHot(_Own):
    is_discrete = True
    event_dim = 1

    def _where(self, x: Any) -> Any:
        return ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1)


class _Simplex(_Own):
    event_dim = 1

    def _where(self, x: Any) -> Any:
        return (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6)


class _Multinomial(_Own):
    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: int) -> None:
        self.upper_bound = upper_bound

    def _where(self, x: Any) -> Any:
        return (x >= 0).all(-1) & (x.sum(-1) <= self.upper_bound)


class _LowerTriangular(_Own):
    event_dim = 2

    def _where(self, x: Any) -> Any:
        return (np.tril(x) == x).all((-2, -1))


class _LowerCholesky(_LowerTriangular):
    def _where(self, x: Any) -> Any:
        return super()._where(x) & (np.diagonal(x, axis1=-2, axis2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    def _where(self, x: Any) -> Any:
        least = np.finfo(x.dtype).eps * x.shape[-1] * 10
        return super()._where(x) & (np.abs(np.sqrt((x * x).sum(-1)) - 1) <= least).all(-1)


class _Square(_Own):
    event_dim = 2

    def _where(self, x: Any) -> Any:
        return np.full(x.shape[:-2], x.shape[-2] == x.shape[-1])


class _Symmetric(_Square):
    def _where(self, x: Any) -> Any:
        if x.shape[-2] != x.shape[-1]:
            return super()._where(x)
        return np.isclose(x, np.swapaxes(x, -1, -2), atol=1e-6).all((-2, -1))

    def _by_values(self, x: Any, strict: bool) -> Any:
        symmetric = _Symmetric._where(self, x)
        if not symmetric.all():
            return symmetric
        values = np.linalg.eigvalsh(x)
        return (values > 0 if strict else values >= 0).all(-1)


class _PositiveSemidefinite(_Symmetric):
    def _where(self, x: Any) -> Any:
        return self._by_values(x, False)


class _PositiveDefinite(_Symmetric):
    def _where(self, x: Any) -> Any:
        return self._by_values(x, True)


class _IndependentConstraint(Constraint):
    """`base_constraint` met by all values along the last dimensions."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        """Where a tensor's values meet the condition. (...) without the dimensions of one value, bool."""
        return FUNCTIONS["tensor"](np.asarray(self.holds(value)))

    def holds(self, value: Any) -> Any:
        """`check` as an array."""
        found = np.asarray(self.base_constraint.holds(value))
        if found.ndim < self.reinterpreted_batch_ndims:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return found.all(tuple(range(-self.reinterpreted_batch_ndims, 0)))

    def _parts(self) -> list[str]:
        return [repr(self.base_constraint), str(self.reinterpreted_batch_ndims)]


class MixtureSameFamilyConstraint(Constraint):
    """`base_constraint` met by a value for every component of a mixture."""

    def __init__(self, base_constraint: Constraint) -> None:
        self.base_constraint = base_constraint
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim

    def check(self, value: Any) -> Any:
        """Where a tensor's values meet the condition. (...) without the dimensions of one value, bool."""
        return FUNCTIONS["tensor"](np.asarray(self.holds(value)))

    def holds(self, value: Any) -> Any:
        """`check` as an array."""
        array = np.asarray(value._data)
        found = np.asarray(self.base_constraint.holds(np.expand_dims(array, -1 - self.event_dim)))
        return found.reshape((*found.shape[: array.ndim - self.event_dim], -1)).all(-1)

    def _parts(self) -> list[str]:
        return [repr(self.base_constraint)]


class _Pieces(Constraint):
    """A condition for each of several parts along a dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq = list(cseq)
        self.dim = dim
        self.is_discrete = any(one.is_discrete for one in cseq)
        self.event_dim = max(one.event_dim for one in cseq)


class _Cat(_Pieces):
    def __init__(self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)

    def check(self, value: Any) -> Any:
        """Where a tensor's values meet the condition of their part."""
        parts = value.split(self.lengths, self.dim)
        found = [one.check(part) for one, part in zip(self.cseq, parts, strict=True)]
        return FUNCTIONS["cat"](found, self.dim)


class _Stack(_Pieces):
    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        super().__init__(cseq, dim)
        self.event_dim += dim + self.event_dim < 0

    def check(self, value: Any) -> Any:
        """Where a tensor's values meet the condition of their part."""
        parts = value.unbind(self.dim)
        found = [one.check(part) for one, part in zip(self.cseq, parts, strict=True)]
        return FUNCTIONS["stack"](found, self.dim)


class _Dependent(Constraint):
    """A condition that depends on the variable's parameters."""

    def check(self, value: Any) -> Any:
        """Raise ValueError: it cannot be known."""
        raise ValueError("Cannot determine validity of dependent constraint")


def is_dependent(constraint: Any) -> bool:
    """Whether a condition depends on the variable's parameters."""
    return isinstance(constraint, (_Dependent, property))


def dependent_property(*given: Any, is_discrete: bool | None = None, event_dim: int | None = None) -> Any:
    """Mark a method that gives a condition by the variable's parameters: `@dependent_property`, or with its kind."""
    return property(given[0]) if given else property


dependent = _Dependent()
independent = _IndependentConstraint
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
cat = _Cat
stack = _Stack
