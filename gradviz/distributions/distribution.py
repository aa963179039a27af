"""What distributions share: their shapes and checks; and `Independent`, which makes one of several.

A sample has shape (*sample_shape, *batch_shape, *event_shape): how many are drawn, how many variables there are, and
what one of them is.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gradviz.core.grad_mode import enable_grad, no_grad
from gradviz.core.public import FUNCTIONS
from gradviz.core.size import Size
from gradviz.core.tensor import Tensor
from gradviz.distributions.constraints import Constraint, independent, is_dependent


def tensors(*values: Any) -> list[Any]:
    """Tensors of one shape and dtype from numbers and tensors. Raises ValueError for anything else."""
    if not all(isinstance(value, (Tensor, int, float)) for value in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__."
        )
    kinds = [value.dtype for value in values if isinstance(value, Tensor)]
    made = [
        value if isinstance(value, Tensor) else FUNCTIONS["tensor"](float(value), dtype=kinds[0] if kinds else None)
        for value in values
    ]
    return list(FUNCTIONS["broadcast_tensors"](*made))


def standard_normal(shape: tuple[int, ...], kind: Any) -> Any:
    """Normal numbers of mean 0 and deviation 1."""
    return FUNCTIONS["normal"](FUNCTIONS["zeros"](shape, dtype=kind), FUNCTIONS["ones"](shape, dtype=kind))


def filled(like: Any, value: float) -> Any:
    """One number in the shape and dtype of a tensor."""
    return FUNCTIONS["full_like"](like, value)


def summed(values: Any, count: int) -> Any:
    """The sums over the last `count` dimensions."""
    return values.sum(tuple(range(-count, 0))) if count else values


class kept:
    """A property that is computed once, with a gradient wherever it is first asked for, and stays with its object."""

    def __init__(self, compute: Any) -> None:
        self.compute = compute
        self.name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = instance.__dict__[self.name] = self.compute(instance)
        return value


class Distribution:
    """A random variable, or a batch of independent ones.

    arg_constraints: by name what each parameter must be. support: what values can be. validate_args: raise ValueError
    for parameters, and for values in `log_prob`, that cannot be.
    """

    arg_constraints: ClassVar[Any] = {}
    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args = True
    _moved: tuple[str, ...] = ()
    """The attributes that have the variables' dimensions: tensors and distributions, which `expand` expands."""

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape = Size(tuple(batch_shape))
        self._event_shape = Size(tuple(event_shape))
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if not is_dependent(constraint) and self._is_given(name):
                    self._require(name, constraint)

    def _is_given(self, name: str) -> bool:
        """Whether a parameter was given, rather than computed from others."""
        return True

    def _require(self, name: str, constraint: Constraint) -> None:
        value = getattr(self, name)
        if not np.all(constraint.holds(value)):
            raise ValueError(
                f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
            )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked where nothing else is said."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same variable as a batch of another shape, to which its own can be broadcast."""
        shape, own = tuple(batch_shape), len(self._batch_shape)
        new = copy.copy(self)
        for name in self._moved:
            part = getattr(self, name)
            rest = tuple(part.shape[own:]) if isinstance(part, Tensor) else ()
            setattr(new, name, part.expand((*shape, *rest)))
        for name in [name for name in vars(new) if isinstance(getattr(type(new), name, None), kept)]:
            vars(new)[name] = vars(new)[name].expand((*shape, *vars(new)[name].shape[own:]))
        new._batch_shape = Size(shape)
        return new

    @property
    def batch_shape(self) -> Size:
        """How many variables there are."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """What one variable is."""
        return self._event_shape

    @property
    def support(self) -> Any:
        """What values can be."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The expected value."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The likeliest value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

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

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def cdf(self, value: Any) -> Any:
        """How likely a smaller value is."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The value below which a part of all values lies."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values, one behind the other in a first dimension."""
        raise NotImplementedError

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _check(self, value: Any) -> None:
        """Raise ValueError for what is no value of the variable, where values are checked."""
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape, count = value.size(), len(self._event_shape)
        if shape[len(shape) - count :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {shape} vs {self._event_shape}."
            )
        expected = (*self._batch_shape, *self._event_shape)
        for mine, other in zip(reversed(shape), reversed(expected), strict=False):
            if 1 not in (mine, other) and mine != other:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {shape} vs {Size(expected)}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please initialize the "
                "distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if not np.all(support.holds(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _parameters(self) -> str:
        """The parameters as `__repr__` shows them."""
        known = [name for name in self.arg_constraints if self._is_given(name) or name in vars(self)]
        given = {name: getattr(self, name) for name in known}
        return shown(**{name: value for name, value in given.items() if isinstance(value, Tensor)})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._parameters()})"


def shown(**parameters: Any) -> str:
    """Parameters for `__repr__`: a number where there is one, else the shape."""
    return ", ".join(
        f"{name}: {value if value.numel() == 1 else value.size()}" for name, value in parameters.items()
    )


class Symmetric(Distribution):
    """A variable that is as likely to lie on one side of `loc` as on the other."""

    loc: Any

    @property
    def mean(self) -> Any:
        """`loc`."""
        return self.loc

    @property
    def mode(self) -> Any:
        """`loc`."""
        return self.loc


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
        self.has_enumerate_support = base_distribution.has_enumerate_support and not reinterpreted_batch_ndims
        super().__init__(shape[: len(shape) - inner], shape[len(shape) - inner :], validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same variable as a batch of another shape, to which its own can be broadcast."""
        inner = self._event_shape[: self.reinterpreted_batch_ndims]
        base = self.base_dist.expand((*batch_shape, *inner))
        return type(self)(base, self.reinterpreted_batch_ndims, self._validate_args)

    @property
    def support(self) -> Any:
        """That of the base, for all its variables."""
        count = self.reinterpreted_batch_ndims
        return independent(self.base_dist.support, count) if count else self.base_dist.support

    @property
    def mean(self) -> Any:
        """That of the base."""
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        """That of the base."""
        return self.base_dist.mode

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
        return summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Any:
        """The sum of the base's."""
        return summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of the base. Raises NotImplementedError where several are one."""
        if self.reinterpreted_batch_ndims > 0:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand=expand)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"


LOG_ROOT_2_PI = math.log(math.sqrt(2 * math.pi))
