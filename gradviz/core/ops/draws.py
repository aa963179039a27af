"""Random tensors: `rand`, `randn`, `randint`, `randperm`, `normal`, `bernoulli`, and in place `normal_` and the like.

What is drawn depends on no value smoothly, so the derivatives of those that have inputs are zero, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import remember
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.creation import (
    DType,
    array_type,
    born,
    check_device,
    shape_of,
    source,
    tensor_argument,
    tuple_of,
    whole,
)
from gradviz.core.ops.table import Row, op
from gradviz.core.public import FUNCTIONS, both, function, method
from gradviz.core.random import Generator, stream
from gradviz.core.tensor import Tensor

source("rand", "randn", "randint", "randperm", "normal", "rand_like", "randn_like", "randint_like")


def _drawn(array: Any) -> Any:
    """The forward of a row whose public function has drawn the numbers already."""
    return array


def _no_gradient(g: Any) -> Any:
    return g * 0


BERNOULLI = op("bernoulli(x)", _drawn, x=_no_gradient)
NORMAL_MEAN = op("normal(mean)", _drawn, key="normal.mean", node="NormalBackward1", mean=_no_gradient)
NORMAL_STD = op("normal(std)", _drawn, key="normal.std", node="NormalBackward2", std=_no_gradient)
NORMAL_BOTH = op(
    "normal(mean, std)", _drawn, key="normal.both", node="NormalBackward3", mean=_no_gradient, std=_no_gradient
)
NORMAL_ = op("normal_(x, *, mean=0.0, std=1.0)", _drawn, node="NormalBackward0", x=_no_gradient)
UNIFORM_ = op("uniform_(x, *, low=0.0, high=1.0)", _drawn, node="UniformBackward0", x=_no_gradient)
BERNOULLI_ = op("bernoulli_(x, *, p=0.5)", _drawn, node="BernoulliBackward2", x=_no_gradient)
RANDOM_ = op("random_(x)", _drawn, node="RandomBackward2", x=_no_gradient)


def _floating(what: str, kind: Any) -> Any:
    """`kind`, if it has fractions to draw; NotImplementedError in PyTorch's words if not."""
    if kind.kind != "f":
        name = dtypes.FROM_NUMPY[kind].type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"{what}\" not implemented for '{name}'")
    return kind


def _uniform(shape: tuple[int, ...], kind: Any, generator: Generator | None) -> Any:
    return stream(generator).uniform(_count(shape), _floating("check_uniform_bounds", kind)).reshape(shape)


def _normal(shape: tuple[int, ...], kind: Any, generator: Generator | None, mean: float = 0.0, std: float = 1.0) -> Any:
    _floating("normal_kernel_cpu", kind)
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    return stream(generator).normal(_count(shape), kind, mean, std).reshape(shape)


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _published(name: str, draw: Callable[..., Any], what: str) -> Callable[..., Tensor]:
    """`rand` and `rand_like` from the function that draws."""

    def call(
        *sizes: int | Sequence[int],
        size: Sequence[int] | None = None,
        generator: Generator | None = None,
        dtype: DType = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        check_device(device)
        return born(name, draw(shape_of(name, sizes, size), array_type(name, dtype), generator), requires_grad)

    def call_like(
        input: Tensor,
        *,
        generator: Generator | None = None,
        dtype: DType = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        check_device(device)
        data = tensor_argument(like, input)._data
        return born(like, draw(data.shape, array_type(like, dtype, data.dtype), generator), requires_grad)

    like = f"{name}_like"
    call.__name__ = call.__qualname__ = name
    call_like.__name__ = call_like.__qualname__ = like
    call.__doc__ = f"A leaf of the given shape with {what}: `{name}(2, 3)` or `{name}((2, 3))`."
    call_like.__doc__ = f"A leaf with the shape and dtype of `input` and with {what}."
    FUNCTIONS[name], FUNCTIONS[like] = call, call_like
    return call


rand = _published("rand", _uniform, "numbers drawn evenly from [0, 1)")
randn = _published("randn", _normal, "numbers drawn from the standard normal distribution")


@function
def randint(
    *args: Any,
    low: int | None = None,
    high: int | None = None,
    size: Sequence[int] | None = None,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`randint(high, size)`, `randint(low, high, size)`: whole numbers from low (0) to high - 1. int64 by default."""
    check_device(device)
    rest = list(args)
    if size is None and len(rest) > 1:
        size = rest.pop()
    limits = [one for one in (low, *rest, high) if one is not None]
    if size is None or not 1 <= len(limits) <= 2 or not all(_is_whole(limit) for limit in limits):
        kinds = ", ".join(type(argument).__name__ for argument in args)
        raise TypeError(f"randint() received an invalid combination of arguments - got ({kinds})")
    shape = tuple_of("randint", size, len(args) or 3)
    array = _whole_numbers(shape, [0, *limits][-2:], array_type("randint", dtype, np.dtype(np.int64)), generator)
    return born("randint", array, requires_grad)


@function
def randint_like(
    input: Tensor,
    *args: int,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`randint_like(input, high)`, `randint_like(input, low, high)`: `randint` in the shape and dtype of `input`."""
    check_device(device)
    data = tensor_argument("randint_like", input)._data
    kind = array_type("randint_like", dtype, data.dtype)
    return born("randint_like", _whole_numbers(data.shape, [0, *args][-2:], kind, generator), requires_grad)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) or (isinstance(value, Tensor) and value._data.dtype.kind in "iu")


def _whole_numbers(shape: tuple[int, ...], limits: list[Any], kind: Any, generator: Generator | None) -> Any:
    low, high = map(int, limits)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if max(abs(low), abs(high)) >= 2**63:
        raise ValueError("Overflow when unpacking long long")
    if kind.kind != "f":
        bounds = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        for name, value in (("from", low), ("to - 1", high - 1)):
            if not bounds[0] <= value <= bounds[1]:
                raise RuntimeError(f"{name} is out of bounds for {_C_NAMES[kind.name]}")
    return stream(generator).integers(low, high, _count(shape)).astype(kind).reshape(shape)


_C_NAMES = {
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long",
}


@function
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """0 to n - 1 in random order. int64 by default."""
    check_device(device)
    count = whole("randperm", "n", n)
    if count < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {count}: [{count}]")
    order = stream(generator).permutation(count)
    return born("randperm", order.astype(array_type("randperm", dtype, order.dtype)), requires_grad)


@function
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers: `normal(mean, std, size)` with numbers, or with a tensor of means, of deviations, or both."""
    check_device(device)
    tensors = [one for one in (mean, std) if isinstance(one, Tensor)]
    if not tensors:
        if not isinstance(size, (tuple, list)) or not all(isinstance(one, (int, float)) for one in (mean, std)):
            kinds = ", ".join(type(one).__name__ for one in (mean, std, *([] if size is None else [size])))
            raise TypeError(f"normal() received an invalid combination of arguments - got ({kinds})")
        shape = tuple_of("normal", size, 3)
        array = _normal(shape, array_type("normal", dtype), generator, float(mean), float(std))
        return born("normal", array, requires_grad)
    arrays = [one._data for one in tensors]
    means = mean._data if isinstance(mean, Tensor) else mean
    deviations = std._data if isinstance(std, Tensor) else std
    if np.any(np.less(deviations, 0)):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    kind = _floating("normal_kernel_cpu", np.result_type(*arrays))
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    array = (_normal(shape, kind, generator) * deviations + means).astype(kind)
    row = NORMAL_BOTH if len(tensors) == 2 else NORMAL_MEAN if isinstance(mean, Tensor) else NORMAL_STD
    return result_of(row, tensors, array)


@both
def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """Ones and zeros in the shape and dtype of `input`, ones with the probabilities in it, or with `p` throughout."""
    data = tensor_argument("bernoulli", input)._data
    if p is None:
        _floating("bernoulli_tensor_cpu_p_", data.dtype)
        if not ((data >= 0) & (data <= 1)).all():
            raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
        chances: Any = np.asarray(data).ravel()
    else:
        chances = _probability("bernoulli_", p)
    drawn = stream(generator).chances(chances, data.size).astype(data.dtype).reshape(data.shape)
    return result_of(BERNOULLI, [input], drawn)


def _probability(name: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise RuntimeError(f"{name} expects p to be in [0, 1], but got p={p:g}")
    return float(p)


def result_of(row: Row, tensors: list[Tensor], array: Any) -> Tensor:
    """The result of a row whose numbers are drawn."""
    result: Tensor = remember(row, tensors, [one._data for one in tensors], (), array if array.ndim else array[()])
    return result


def drawn_into(self: Tensor, row: Row, static: tuple[Any, ...], array: Any) -> Tensor:
    """Put what was drawn into a tensor."""

    def write(memory: Any, *_: Any) -> None:
        memory[...] = array

    return apply_inplace(row, self, (), static, write)


@method
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers, in place."""
    return drawn_into(self, NORMAL_, (mean, std), _normal(self._data.shape, self._data.dtype, generator, mean, std))


@method
def uniform_(self: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers drawn evenly from [low, high), in place."""
    data = self._data
    kind = _floating("check_uniform_bounds", data.dtype)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")
    drawn = stream(generator).uniform(data.size, kind, low, high).reshape(data.shape)
    return drawn_into(self, UNIFORM_, (low, high), drawn)


@method
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with ones, each with probability p, and zeros, in place."""
    data = self._data
    if isinstance(p, Tensor):
        chances: Any = np.broadcast_to(p._data, data.shape).ravel()
    else:
        chances = _probability("bernoulli_", p)
    drawn = stream(generator).chances(chances, data.size).astype(data.dtype).reshape(data.shape)
    return drawn_into(self, BERNOULLI_, (None if isinstance(p, Tensor) else p,), drawn)


@method
def random_(self: Tensor, *limits: int, generator: Generator | None = None) -> Tensor:
    """`random_(high)`, `random_(low, high)`: fill with whole numbers from low (0) to high - 1, in place."""
    data = self._data
    if not limits:
        # Every whole number that the dtype holds exactly.
        bits = {"bool": 1, "uint8": 8, "float16": 11, "float32": 24, "float64": 53}.get(data.dtype.name)
        limits = (0, 2**bits + (data.dtype.kind == "f") if bits else int(np.iinfo(data.dtype).max))
    return drawn_into(self, RANDOM_, (), _whole_numbers(data.shape, [0, *limits][-2:], data.dtype, generator))
