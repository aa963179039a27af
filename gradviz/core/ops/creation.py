"""What all sources of tensors share: how size, dtype and device are read, and how a leaf is born."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import leaf
from gradviz.core.ops.table import op
from gradviz.core.tensor import Tensor

DType: TypeAlias = dtypes.dtype | type[float] | type[int] | type[bool] | None
"""A dtype argument: Python's `float`, `int` and `bool` are float64, int64 and bool."""
Sizes: TypeAlias = int | Sequence[int]

_OF_PYTHON: dict[Any, dtypes.dtype] = {float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_}


def source(*names: str) -> None:
    """Add a row without inputs for each of `names`, an op that makes a leaf from nothing."""
    for name in names:
        op(f"{name}()", _nothing)


def _nothing() -> None:
    """The forward of a source: its public function makes the array."""


def born(name: str, array: Any, requires_grad: bool) -> Tensor:
    """A leaf of the source `name` around an array that nobody else holds."""
    return leaf(array[()] if not array.ndim else array, name, requires_grad)


def array_type(name: str, dtype: DType, default: Any = None) -> Any:
    """The numpy type for a dtype argument of function `name`; for None the default, or else the default float type.

    Raises TypeError for what is no dtype.
    """
    if dtype is None:
        return dtypes.DEFAULT_BY_CATEGORY[2] if default is None else default
    found = _OF_PYTHON.get(dtype, dtype)
    if not isinstance(found, dtypes.dtype):
        raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    return found.array_type


def check_device(device: Any) -> None:
    """Raise RuntimeError for a device other than the CPU."""
    if device is not None and not str(device).startswith("cpu"):
        raise RuntimeError(f"gradviz's own tensors live on the CPU, not on `{device}`")


def shape_of(name: str, given: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """The shape that `name(2, 3)`, `name((2, 3))` or `name(size=(2, 3))` asks for.

    Raises TypeError for what is no whole number, RuntimeError for a negative length.
    """
    if size is not None:
        given = (size,)
    elif not given:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    single = len(given) == 1
    lengths = given[0] if single and isinstance(given[0], (tuple, list)) else given
    shape = []
    for position, length in enumerate(lengths, 1):
        try:
            if isinstance(length, bool):
                raise TypeError
            shape.append(operator.index(length))
        except TypeError:
            kind = type(length).__name__
            if lengths is given and position == 1:
                raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {kind}") from None
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {position} with error "
                f'"type must be tuple of ints,but got {kind}"'
            ) from None
    for length in shape:
        if length < 0:
            if name == "zeros":
                raise RuntimeError("zeros: Dimension size must be non-negative.")
            raise RuntimeError(f"Trying to create tensor with negative dimension {length}: {shape}")
    return tuple(shape)


def tuple_of(name: str, size: Any, position: int) -> tuple[int, ...]:
    """The shape for a function that takes it as one tuple. Raises TypeError for a bare number."""
    if not isinstance(size, (tuple, list)):
        kind = type(size).__name__
        raise TypeError(f"{name}(): argument 'size' (position {position}) must be tuple of ints, not {kind}")
    return shape_of(name, (size,))


def number(name: str, argument: str, position: int, value: Any) -> Any:
    """A Python number from a number or a tensor of one element that requires no grad. Raises TypeError otherwise."""
    if isinstance(value, Tensor) and value._data.size == 1 and not value.requires_grad:
        return value.item()
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, (bool, int, float)):
        kind = type(value).__name__
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Number, not {kind}")
    return value


def check_fits(value: Any, target: Any) -> None:
    """Raise RuntimeError for a single number that an integer type `target` cannot hold; a negative one wraps around."""
    if target.kind in "iu":
        largest = int(np.iinfo(target).max)
        if not -largest - 1 <= value <= largest:
            raise RuntimeError(f"value cannot be converted to type {target.name} without overflow")


def whole(name: str, argument: str, value: Any) -> int:
    """The first argument of a function that takes a whole number. Raises TypeError for anything else."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name}(): argument '{argument}' (position 1) must be int, not {kind}") from None


def tensor_argument(name: str, value: Any) -> Tensor:
    """`value`, if it is a tensor. Raises TypeError otherwise."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(value).__name__}")
    return value
