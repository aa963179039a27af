"""Questions about tensors and dtypes that are no ops: `is_tensor`, `numel`, `result_type`, `can_cast`, ..."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.public import FUNCTIONS, METHODS, both, function
from gradviz.core.tensor import Tensor


@function
def is_tensor(obj: Any) -> bool:
    """True for tensors."""
    return isinstance(obj, Tensor)


@function
def is_floating_point(input: Tensor) -> bool:
    """True for tensors whose elements have fractions."""
    return input.is_floating_point()


@function
def numel(input: Tensor) -> int:
    """The number of elements."""
    return math.prod(input.shape)


@function
def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype that an operation on both, tensors or numbers, has."""
    arrays = [one._data if isinstance(one, Tensor) else one for one in (tensor1, tensor2)]
    return dtypes.FROM_NUMPY[np.dtype(dtypes.promote(arrays))]


@function
def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype that holds what both hold."""
    return dtypes.FROM_NUMPY[np.dtype(dtypes.promote([np.zeros(1, one.array_type) for one in (type1, type2)]))]


@function
def can_cast(from_: Any, to: Any) -> bool:
    """True unless a cast loses fractions, or makes bools of numbers."""
    return bool(from_.category <= to.category)


@both
def is_nonzero(input: Tensor) -> bool:
    """True for a single element that is not zero. Raises RuntimeError for several, or none."""
    return bool(input)


@both
def is_complex(input: Tensor) -> bool:
    """False: there are no complex numbers."""
    return False


@both
def is_signed(input: Tensor) -> bool:
    """True for dtypes that hold negative numbers."""
    return input._data.dtype.kind in "if"


@both
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """True for tensors of one shape."""
    return tuple(input.shape) == tuple(other.shape)


def _itself(input: Tensor) -> Tensor:
    """The tensor itself, whose elements are real."""
    return input


for _name in ("real", "conj", "resolve_conj", "resolve_neg"):
    FUNCTIONS[_name] = _itself
for _name in ("conj", "resolve_conj", "resolve_neg"):
    METHODS[_name] = _itself
METHODS["real"] = property(_itself)
METHODS["ndimension"] = Tensor.dim
METHODS["nelement"] = Tensor.numel
