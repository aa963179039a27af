"""Random tensors that depend on others: `poisson`, `binomial`, `_standard_gamma`, `_sample_dirichlet`; `cauchy_`, ...

The values of gamma and Dirichlet variables have a slope: how they move with their parameters while their places among
all values stay. Those of the others have none, or a slope of zero, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes, variates
from gradviz.core.dual import run_row
from gradviz.core.ops.creation import tensor_argument
from gradviz.core.ops.draws import drawn_into, result_of
from gradviz.core.ops.refusals import NOT_IMPLEMENTED, no_derivative
from gradviz.core.ops.table import Row, op
from gradviz.core.public import function, method
from gradviz.core.random import Generator, stream
from gradviz.core.tensor import Tensor
from gradviz.errors import NotDifferentiableError


def _no_slope(g: Any) -> Any:
    return g * 0


def _never(text: str) -> Callable[[Any], Any]:
    def refuse(g: Any) -> Any:
        raise NotDifferentiableError(text)

    refuse.refuses = True  # type: ignore[attr-defined]
    return refuse


_ONCE = _never("the derivative for '_standard_gamma_grad' is not implemented.")
_TWICE = _never("trying to differentiate twice a function that was marked with @once_differentiable")

GAMMA_SLOPE: Row = op(
    "_standard_gamma_grad(x, y)",
    lambda x, y: np.asarray(variates.gamma_slope(x, y)).astype(x.dtype),
    x=_ONCE,
    y=_ONCE,
)
STANDARD_GAMMA: Row = op(
    "_standard_gamma(x)",
    lambda array: array,
    x=lambda g, x, out: g * run_row(GAMMA_SLOPE, (x, out)),
)
DIRICHLET_SLOPE: Row = op(
    "_dirichlet_grad(x, y, z)",
    lambda x, y, z: np.asarray(variates.dirichlet_slope(x, y, z)).astype(x.dtype),
    x=_TWICE,
    y=_TWICE,
    z=_TWICE,
)
SAMPLE_DIRICHLET: Row = op(
    "_sample_dirichlet(x)",
    lambda array: array,
    node="_DirichletBackward",
    x=lambda g, x, out: run_row(DIRICHLET_SLOPE, (out, x, np.add.reduce(x, axis=-1, keepdims=True)))
    * (g - np.add.reduce(out * g, axis=-1, keepdims=True)),
)
POISSON: Row = op("poisson(x)", lambda array: array, x=_no_slope)
BINOMIAL: Row = op(
    "binomial(count, prob)",
    lambda array: array,
    node=NOT_IMPLEMENTED,
    count=no_derivative("binomial"),
    prob=no_derivative("binomial"),
)
CAUCHY_: Row = op("cauchy_(x, *, median=0.0, sigma=1.0)", lambda array: array, node="CauchyBackward0", x=_no_slope)
GEOMETRIC_: Row = op("geometric_(x, *, p)", lambda array: array, node="GeometricBackward0", x=_no_slope)
LOG_NORMAL_: Row = op(
    "log_normal_(x, *, mean=1.0, std=2.0)", lambda array: array, node="LogNormalBackward0", x=_no_slope
)


def _fractions(what: str, data: Any, kinds: str = "efd") -> Any:
    if data.dtype.char not in kinds:
        kind = dtypes.of(data).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"{what}\" not implemented for '{kind}'")
    return data


def _each(draw: Callable[..., float], source: Generator, *arrays: Any) -> Any:
    """What is drawn for each element, in order, as float64."""
    values = zip(*(array.ravel().tolist() for array in arrays), strict=True)
    with source._lock:
        found = [draw(source, *given) for given in values]
    return np.array(found, np.float64).reshape(arrays[0].shape)


@function
def _standard_gamma(self: Tensor, generator: Generator | None = None) -> Tensor:
    """Gamma variables of scale 1, for each element one that has it as its shape."""
    data = np.asarray(_fractions("gamma_cpu", tensor_argument("_standard_gamma", self)._data, "fd"))
    kind = np.float64 if data.dtype == np.float64 else np.float32
    drawn = _each(lambda source, shape: variates.gamma(source, shape, kind), stream(generator), data)
    least = np.finfo(data.dtype).tiny
    return result_of(STANDARD_GAMMA, [self], np.maximum(drawn.astype(data.dtype), least))


@function
def _sample_dirichlet(self: Tensor, generator: Generator | None = None) -> Tensor:
    """Shares that add up to 1 along the last dimension, drawn for shapes."""
    data = np.asarray(_fractions("dirichlet", tensor_argument("_sample_dirichlet", self)._data, "fd"))
    parts = np.maximum(_each(variates.gamma, stream(generator), data), np.finfo(np.float64).tiny)
    shares = (parts / parts.sum(-1, keepdims=True)).astype(data.dtype)
    limits = np.finfo(data.dtype)
    drawn = np.clip(shares, limits.tiny, np.nextafter(data.dtype.type(1), data.dtype.type(0)))
    return result_of(SAMPLE_DIRICHLET, [self], drawn)


@function
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """How often something happens that happens as often on average as an element says."""
    data = np.asarray(_fractions("poisson_cpu", tensor_argument("poisson", input)._data))
    if not (data >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    drawn = _each(variates.poisson, stream(generator), data)
    return result_of(POISSON, [input], drawn.astype(data.dtype))


@function
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` tries succeed, each with probability `prob`. Raises ValueError for whole numbers."""
    counts, chances = (tensor_argument("binomial", one)._data for one in (count, prob))
    for name, one, data in (("count", count, counts), ("prob", prob, chances)):
        if data.dtype.kind != "f":
            kind = one.dtype.type_name.removesuffix("Tensor")
            raise ValueError(f"binomial only supports floating-point dtypes for {name}, got: {kind}")
    if counts.dtype != chances.dtype:
        names = [one.dtype.type_name.removesuffix("Tensor") for one in (prob, count)]
        raise RuntimeError(f"Found dtype {names[0]} but expected {names[1]}")
    arrays = np.broadcast_arrays(counts, chances)
    drawn = _each(variates.binomial, stream(generator), *arrays)
    return result_of(BINOMIAL, [count, prob], drawn.astype(counts.dtype))


def _uniforms(self: Tensor, generator: Generator | None) -> Any:
    return stream(generator).uniform(self._data.size, np.dtype(np.float64)).reshape(self._data.shape)


@method
def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers of the Cauchy distribution, in place."""
    if self._data.dtype.kind != "f":
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {_C_NAMES[self._data.dtype.name]}"
        )
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    drawn = median + sigma * np.tan(np.pi * (_uniforms(self, generator) - 0.5))
    return drawn_into(self, CAUCHY_, (median, sigma), drawn)


_C_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int",
    "int64": "long int",
}  # fmt: skip


@method
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers of tries up to a first success of probability `p`, in place."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    drawn = np.ceil(np.log(_uniforms(self, generator)) / np.log1p(-p))
    return drawn_into(self, GEOMETRIC_, (p,), drawn)


@method
def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponentials of normal numbers, in place."""
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    _fractions("log_normal_cpu", self._data)
    source = stream(generator)
    with source._lock:
        drawn = np.array([source.one_normal() for _ in range(self._data.size)], np.float64)
    return drawn_into(self, LOG_NORMAL_, (mean, std), np.exp(drawn * std + mean).reshape(self._data.shape))

