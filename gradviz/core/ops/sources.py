"""Tensors made from the user's data: `tensor`, `as_tensor`, `from_numpy`, `scalar_tensor`.

Each is an op without inputs, the birth of a leaf. Where the data is a tensor, or lists with tensors in them, the values
go on but the gradient does not: that is the `retensor` cut, an op whose inputs are those tensors.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import leaf, remember
from gradviz.core.composites import called
from gradviz.core.ops.creation import DType, array_type, born, check_device, check_fits, number, source
from gradviz.core.ops.table import op
from gradviz.core.public import function, method
from gradviz.core.tensor import Tensor
from gradviz.core.trace import LEAF_GRAD
from gradviz.events import Cause

# `grad` and `from_numpy` are also what the engine and the operands of an op make leaves with.
source("tensor", "as_tensor", "from_numpy", "scalar_tensor", "new_tensor", "grad")

RETENSOR = op(
    "tensor(*x)",
    lambda *x: np.array(x),
    key="retensor",
    call="tensor",
    cause=Cause.RETENSOR,
)

_COPY = (
    "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
    "sourceTensor.detach().clone().requires_grad_(True), rather than {}(sourceTensor)."
)
_TO_SCALAR = (
    "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
    "Consider using tensor.detach() first."
)
_LIST_OF_ARRAYS = (
    "Creating a tensor from a list of numpy.ndarrays is extremely slow. Please consider converting the list to a "
    "single numpy.ndarray with numpy.array() before converting to a tensor."
)
_READ_ONLY = (
    "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to "
    "this tensor will result in undefined behavior. You may want to copy the array to protect its data or make it "
    "writable before converting it to a tensor."
)


@function
def tensor(data: Any, *, dtype: DType = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf with a copy of `data`: a number, nested sequences of numbers, an array, a tensor.

    dtype: by default float32 (see `set_default_dtype`) for Python floats, int64 for ints, bool for bools, and an
        array's or a tensor's own; the highest of them in a list.
    Tensors in `data` pass on their values but no gradient. Raises RuntimeError where grad is required of a dtype that
    is not floating, ValueError for ragged lists, TypeError or RuntimeError for what are no numbers.
    """
    check_device(device)
    if isinstance(data, Tensor):
        warnings.warn(_COPY.format("gradviz.tensor"), UserWarning, stacklevel=2)
    return _copied("tensor", data, array_type("tensor", dtype, False), requires_grad)


@method
def new_tensor(
    self: Tensor, data: Any, *, dtype: DType = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`tensor(data)`, by default in this tensor's dtype."""
    check_device(device)
    if isinstance(data, Tensor):
        warnings.warn(_COPY.format("tensor.new_tensor"), UserWarning, stacklevel=2)
    return _copied("new_tensor", data, array_type("new_tensor", dtype, self._data.dtype), requires_grad)


@function
def as_tensor(data: Any, dtype: DType = None, device: Any = None) -> Tensor:
    """`data` as a tensor, copied only where it must be: a tensor is returned itself and stays in its graph, an array
    shares its memory."""
    check_device(device)
    if isinstance(data, Tensor):
        converted: Tensor = data if dtype is None else data.to(_as_dtype(dtype))
        return converted
    wanted = array_type("as_tensor", dtype, False)
    if isinstance(data, np.ndarray) and (not wanted or wanted == data.dtype):
        return leaf(_shareable(data), "as_tensor", False)
    return _copied("as_tensor", data, wanted, False)


@function
def from_numpy(ndarray: Any) -> Tensor:
    """A leaf on the memory of a numpy array: writes to either are seen by both.

    Raises TypeError for what is no array or holds no numbers, ValueError for negative strides.
    """
    if not isinstance(ndarray, np.ndarray):
        kind = type(ndarray)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        raise TypeError(f"expected np.ndarray (got {name})")
    return leaf(_shareable(ndarray), "from_numpy", False)


@function
def scalar_tensor(s: Any, *, dtype: DType = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d leaf, of the default floating dtype whatever the number's type."""
    check_device(device)
    s = number("scalar_tensor", "s", 1, s)
    return born("scalar_tensor", np.array(s).astype(array_type("scalar_tensor", dtype)), requires_grad)


def _shareable(array: Any) -> Any:
    dtypes.of(array)
    if any(stride < 0 for stride in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array  with "
            "array.copy().) "
        )
    if not array.flags.writeable:
        warnings.warn(_READ_ONLY, UserWarning, stacklevel=3)
    return array


def _as_dtype(dtype: DType) -> dtypes.dtype:
    return dtypes.FROM_NUMPY[array_type("as_tensor", dtype)]


def _copied(name: str, data: Any, wanted: Any, requires_grad: bool) -> Tensor:
    """A leaf, or the result of a retensor cut, with a copy of `data` as type `wanted`, False to take the data's own."""
    tensors: list[Tensor] = []
    if isinstance(data, Tensor):
        tensors.append(data)
        array = np.array(data._data, wanted or None)
    elif hasattr(data, "__array__"):
        array = np.asarray(data)
        dtypes.of(array)
        array = array.astype(wanted or array.dtype)
    else:
        array = _from_nested(data, tensors, wanted)
    if not tensors:
        return born(name, array, requires_grad)
    if requires_grad and array.dtype.kind != "f":
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return called(name)(_retensored)(tensors, array if array.ndim else array[()], requires_grad)


def _retensored(tensors: list[Tensor], array: Any, requires_grad: bool) -> Tensor:
    result: Tensor = remember(RETENSOR, tensors, [source._data for source in tensors], (), array)
    if requires_grad:
        result._requires_grad = True
        result._origin.flags |= LEAF_GRAD
    return result


def _from_nested(data: Any, tensors: list[Tensor], wanted: Any) -> Any:
    """The array that nested sequences of numbers spell; the tensors among the numbers are added to `tensors`."""
    items: list[Any] = [data]
    shape: list[int] = []
    while items and not set(map(type, items)) <= _NUMBERS and _is_sequence(items[0]):
        length = len(items[0])
        for item in items:
            if not _is_sequence(item):
                raise TypeError("not a sequence")
            if length and len(item) != length:
                raise ValueError(f"expected sequence of length {length} at dim {len(shape)} (got {len(item)})")
        if shape and isinstance(items[0], np.ndarray):
            warnings.warn(_LIST_OF_ARRAYS, UserWarning, stacklevel=4)
        shape.append(length)
        items = list(chain.from_iterable(items)) if length else []
    kinds = set(map(type, items))
    natural = dtypes.DEFAULT_BY_CATEGORY[2] if kinds == {float} else _common_type(items, bool(shape))
    if not kinds <= _NUMBERS:
        for position, item in enumerate(items):
            if isinstance(item, Tensor):
                items[position] = _element(item, tensors)
    # Python floats keep all their digits until the type that is wanted is known.
    wide = np.dtype(np.float64) if natural.kind == "f" else natural
    try:
        array = np.array(items, wide).reshape(shape)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    target = wanted or natural
    if not shape:
        check_fits(array, target)
    return array.astype(target, copy=False)


_NUMBERS = {float, int, bool}


def _is_sequence(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return bool(item.ndim)
    return isinstance(item, Sequence) and not isinstance(item, (str, bytes))


def _element(item: Tensor, tensors: list[Tensor]) -> Any:
    if item.requires_grad and not any(known.requires_grad for known in tensors):
        warnings.warn(_TO_SCALAR, UserWarning, stacklevel=5)
    if item._data.size != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    tensors.append(item)
    return item._data.item()


def _common_type(items: list[Any], nested: bool) -> Any:
    """The numpy type of a list of numbers: of those in the highest category, the widest."""
    found: list[Any] = []
    for kind in sorted(set(map(type, items)), key=lambda kind: kind.__name__):
        if issubclass(kind, Tensor):
            found += {item._data.dtype for item in items if isinstance(item, Tensor)}
        elif issubclass(kind, (np.generic, np.ndarray)):
            found += {dtypes.of(item).array_type for item in items if type(item) is kind}
        elif issubclass(kind, (int, float)):
            found.append(dtypes.promote([False if kind is bool else 0 if issubclass(kind, int) else 0.0]))
        elif issubclass(kind, (str, bytes)):
            if nested and isinstance(items[0], kind):
                raise ValueError(f"too many dimensions '{kind.__name__}'")
            raise TypeError(f"new(): invalid data type '{kind.__name__}'")
        elif issubclass(kind, Sequence) and isinstance(items[0], int):
            raise TypeError(f"'{kind.__name__}' object cannot be interpreted as an integer")
        elif issubclass(kind, Sequence):
            raise TypeError(f"must be real number, not {kind.__name__}")
        else:
            raise RuntimeError(f"Could not infer dtype of {kind.__name__}")
    if not found:
        return dtypes.DEFAULT_BY_CATEGORY[2]
    highest = max(dtypes.FROM_NUMPY[one].category for one in found)
    common = None
    for one in found:
        if dtypes.FROM_NUMPY[one].category == highest:
            common = one if common is None else np.promote_types(common, one)
    return common
