"""Element types under PyTorch's names, and PyTorch's promotion between them.

PyTorch ranks types by category (bool < integer < floating). A 0-d tensor or a Python number raises the result's
category but never its width within one: float32 tensor + float64 scalar tensor is float32. numpy knows only the rule
for Python numbers, so every mixed case goes through `promote`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.spelling import spelling
from gradviz.errors import NotWrittenError


class dtype:
    """One element type. Each exists once, so `is` and `==` agree; prints as `gradviz.float32`."""

    __slots__ = ("array_type", "category", "name", "type_name")

    def __init__(self, name: str, array_type: type[np.generic], category: int, type_name: str) -> None:
        self.name = name
        self.array_type = np.dtype(array_type)
        self.category = category
        self.type_name = type_name

    @property
    def is_floating_point(self) -> bool:
        """True for the types whose tensors can require grad."""
        return self.category == 2

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.array_type.itemsize

    def __repr__(self) -> str:
        return f"{spelling.name}.{self.name}"

    def __reduce__(self) -> str:
        return self.name if self.name != "bool" else "bool_"


class _Nameable(dtype):
    """A type that programs may name, compare and choose by, and that no tensor can have: numpy has none like it."""

    __slots__ = ()

    def __init__(self, name: str, type_name: str) -> None:
        self.name = name
        self.category = 2
        self.type_name = type_name

    @property
    def array_type(self) -> Any:  # type: ignore[override]
        """Raises NotWrittenError."""
        raise NotWrittenError(
            f"`{self!r}` is not written yet: gradviz's own tensors have no {self.name}",
            help=f"use `{spelling.name}.float32`, or run the script with PyTorch installed",
        )

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return 2


bool_ = dtype("bool", np.bool_, 0, "BoolTensor")
uint8 = dtype("uint8", np.uint8, 1, "ByteTensor")
int8 = dtype("int8", np.int8, 1, "CharTensor")
int16 = dtype("int16", np.int16, 1, "ShortTensor")
int32 = dtype("int32", np.int32, 1, "IntTensor")
int64 = dtype("int64", np.int64, 1, "LongTensor")
float16 = dtype("float16", np.float16, 2, "HalfTensor")
float32 = dtype("float32", np.float32, 2, "FloatTensor")
float64 = dtype("float64", np.float64, 2, "DoubleTensor")
bfloat16 = _Nameable("bfloat16", "BFloat16Tensor")

ALL = (bool_, uint8, int8, int16, int32, int64, float16, float32, float64)
FROM_NUMPY = {d.array_type: d for d in ALL}
DEFAULT_BY_CATEGORY = [bool_.array_type, int64.array_type, float32.array_type]
"""By category the type of a Python number. The last is what `set_default_dtype` sets."""
_CATEGORY = {d.array_type: d.category for d in ALL}
_CATEGORY_OF_NUMBER = {bool: 0, int: 1, float: 2}


def get_default_dtype() -> dtype:
    """The dtype that Python floats become: float32 unless `set_default_dtype` says otherwise."""
    return FROM_NUMPY[DEFAULT_BY_CATEGORY[2]]


def set_default_dtype(d: dtype) -> None:
    """Make `d` the dtype of Python floats, and of what `zeros`, `rand`, ... make. For all threads, as in PyTorch.

    Raises TypeError for a dtype that is not floating.
    """
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    DEFAULT_BY_CATEGORY[2] = d.array_type


def of(array: Any) -> dtype:
    """The gradviz type of an array's elements. Raises TypeError for a type that has none (strings, complex)."""
    try:
        return FROM_NUMPY[array.dtype]
    except KeyError:
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype}. The only supported types are: "
            + ", ".join(d.name for d in reversed(ALL))
        ) from None


def promote(operands: list[Any]) -> Any:
    """The numpy type that PyTorch computes `operands` (arrays, numpy scalars, Python numbers) in.

    Dimensioned arrays decide first, then 0-d arrays, then Python numbers; a later group counts only where its category
    is higher than all before it.
    """
    best: Any = None
    category = -1
    for group in _by_priority(operands):
        found: Any = None
        for candidate in group:
            found = candidate if found is None else _wider(found, candidate)
        if found is not None and _CATEGORY[found] > category:
            best, category = found, _CATEGORY[found]
    return best


def _wider(one: Any, other: Any) -> Any:
    """The common type of two types that count alike. int64 and float32 give float32, where numpy gives float64."""
    difference = _CATEGORY[one] - _CATEGORY[other]
    if not difference:
        return np.promote_types(one, other)
    return one if difference > 0 else other


def _by_priority(operands: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    dimensioned: list[Any] = []
    scalars: list[Any] = []
    numbers: list[Any] = []
    for operand in operands:
        kind = type(operand)
        if kind in _CATEGORY_OF_NUMBER:
            numbers.append(DEFAULT_BY_CATEGORY[_CATEGORY_OF_NUMBER[kind]])
        elif operand.ndim:
            dimensioned.append(operand.dtype)
        else:
            scalars.append(operand.dtype)
    return dimensioned, scalars, numbers


def promoted(arrays: list[Any]) -> list[Any]:
    """The operands in their common dtype; Python numbers are left where numpy treats them as PyTorch does."""
    common: Any = None
    same = True
    for operand in arrays:
        kind = type(operand)
        if kind is float or kind is int or kind is bool:
            continue
        if common is None:
            common = operand.dtype
        elif operand.dtype is not common:
            same = False
    if same and common is not None and common.kind == "f":
        return arrays
    common = promote(arrays)
    scalar = common.type
    return [
        _in_type(scalar, operand)
        if type(operand) in (float, int, bool)
        else operand
        if operand.dtype == common
        else operand.astype(common)
        for operand in arrays
    ]


def _in_type(scalar: Any, number: Any) -> Any:
    """A Python number as a numpy scalar; one beyond the range of an integer type wraps around."""
    try:
        return scalar(number)
    except OverflowError:
        return np.array(number).astype(scalar)[()]
