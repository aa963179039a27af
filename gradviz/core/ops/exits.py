"""Where data leaves autograd: `detach`, `data`, `item`, `tolist`, `numpy`.

Each is an op of the table, so that the graph shows what left and where. None has a derivative; the row says which cut
it makes.
"""

from __future__ import annotations

import warnings
from typing import Any

from gradviz.core.apply import apply
from gradviz.core.composites import called
from gradviz.core.grad_mode import is_grad_enabled
from gradviz.core.listeners import listeners
from gradviz.core.ops.table import op
from gradviz.core.public import METHODS, both, method
from gradviz.core.tensor import Tensor
from gradviz.core.trace import LEAF_GRAD
from gradviz.events import Cause

DETACH = op("detach(x)", lambda x: x, view=True, cause=Cause.DETACH)
DATA = op("data(x)", lambda x: x, view=True, cause=Cause.DATA)
DETACH_ = op("detach_(x)", lambda x: x, view=True, cause=Cause.DETACH_)
SET_DATA = op("set_data(x)", lambda x: x, view=True, cause=Cause.DATA)
ITEM = op("item(x)", lambda x: (), cause=Cause.ITEM)
TOLIST = op("tolist(x)", lambda x: (), cause=Cause.ITEM)
NUMPY = op("numpy(x)", lambda x: (), cause=Cause.NUMPY)


@both
def detach(input: Tensor) -> Tensor:
    """A tensor on the same memory that requires no grad. Writes to either are seen by both, and by version checks."""
    return apply(DETACH, (input,))


@method
def detach_(self: Tensor) -> Tensor:
    """Cut this tensor itself from its history and return it. Raises RuntimeError for a view."""
    if self._view is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
            "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence "
            "detach_() cannot be called on these gradients. To fix this error, please refer to the "
            "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
        )
    loose = apply(DETACH_, (self,))
    self._memory = self._storage  # nodes that saved the tensor look for it where the memory came from
    self._origin, self._number, self._requires_grad = loose._origin, 0, False
    return self


def _get_data(self: Tensor) -> Tensor:
    """A tensor on the same memory that requires no grad, whose writes the version checks do not see."""
    return apply(DATA, (self,))


@called("")  # so that the op is told of when it is known what it made
def _set_data(self: Tensor, value: Tensor) -> Any:
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if value._data.dtype.kind != "f" and self._requires_grad:
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    if listeners and not self._origin.tracked:
        self._tell("set_data")
    placed = apply(SET_DATA, (value,))
    self._memory = self._storage  # nodes that saved the tensor look for it where the memory came from
    self._data = value._array()
    if not self._origin.tracked:
        self._origin, self._number = placed._origin, 0
        if self._requires_grad:
            placed._origin.flags |= LEAF_GRAD
    return placed


METHODS["data"] = property(_get_data, _set_data)


@method
def item(self: Tensor) -> Any:
    """The single element as a Python number; the gradient does not follow it. Raises RuntimeError for more elements."""
    if self._data.size != 1:
        raise RuntimeError(f"a Tensor with {self._data.size} elements cannot be converted to Scalar")
    if listeners:
        apply(ITEM, (self,))
    return self._data.item()


@method
def tolist(self: Tensor) -> Any:
    """Nested lists of Python numbers, or one number for a 0-d tensor; the gradient does not follow them."""
    if listeners:
        apply(TOLIST, (self,))
    return self._data.tolist()


@method
def numpy(self: Tensor, *, force: bool = False) -> Any:
    """The elements as a numpy array on the same memory.

    force: detach first. Raises RuntimeError for a tensor that requires grad, while grad mode is on.
    """
    if self.requires_grad and not force and is_grad_enabled():
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if listeners:
        apply(NUMPY, (self,))
    return self._array()


def _as_array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


METHODS["__array__"] = _as_array


def _as_bool(self: Tensor) -> bool:
    if self._data.size == 0:
        raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
    if self._data.size != 1:
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(item(self))


def _only(self: Tensor) -> Any:
    """The one element, for Python's own numbers."""
    if self._data.size != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return item(self)


def _as_float(self: Tensor) -> float:
    if self.requires_grad:
        warnings.warn(
            "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
            "Consider using tensor.detach() first.",
            UserWarning,
            stacklevel=2,
        )
    return float(_only(self))


def _as_index(self: Tensor) -> int:
    if self._data.dtype.kind not in "iub" or self._data.size != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


METHODS.update(
    __bool__=_as_bool,
    __float__=_as_float,
    __int__=lambda self: int(_only(self)),
    __complex__=lambda self: complex(_only(self)),
    __index__=_as_index,
)
