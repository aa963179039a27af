"""The same values in another dtype: `to`, `type`, `float`, `long`, ... What changes nothing gives the tensor itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import called, composite
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import op, sample
from gradviz.core.public import METHODS, method
from gradviz.core.tensor import Tensor

TO = op(
    "to(x, *, dtype)",
    lambda x, dtype: x.astype(dtype.array_type),
    node="ToCopyBackward0",
    call="Tensor.to",
    x=lambda g: g,
    samples=lambda: [
        sample(grid(2, 3), dtypes.float64, copy=True),
        sample(grid(2, 3), dtype=dtypes.float64, copy=True),
        sample(grid(), np.float64(1.0), copy=True),
    ],
)


@method
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)`: a copy, or the tensor itself if nothing changes.

    copy: make a copy all the same. `non_blocking` and `memory_format` are accepted and mean nothing here. Raises
    RuntimeError for a device other than the CPU.
    """
    dtype = kwargs.get("dtype")
    device = kwargs.get("device")
    for argument in args:
        if isinstance(argument, Tensor):
            dtype = argument.dtype
        elif isinstance(argument, dtypes.dtype):
            dtype = argument
        elif not isinstance(argument, bool) and argument is not None:
            device = argument
    if device is not None and not str(device).startswith("cpu"):
        raise RuntimeError(f"gradviz's own tensors live on the CPU, not on `{device}`")
    return cast(self, dtype or self.dtype, copy=bool(kwargs.get("copy")))


def cast(self: Tensor, dtype: dtypes.dtype, *, copy: bool = False) -> Tensor:
    """The tensor itself if it is of `dtype`, else a copy that is."""
    if dtype.array_type == self._data.dtype and not copy:
        return self
    return apply(TO, (self,), (dtype,))


@method
@composite
def type(self: Tensor, dtype: Any = None) -> Any:
    """The tensor in another dtype; without one, the name of its type: `torch.FloatTensor`."""
    if dtype is None:
        return f"torch.{self.dtype.type_name}"
    if isinstance(dtype, str):
        dtype = next((one for one in dtypes.ALL if dtype in (f"torch.{one.type_name}", str(one))), dtype)
    dtype = getattr(dtype, "_dtype", dtype)
    if not isinstance(dtype, dtypes.dtype):
        raise ValueError(f"invalid type: '{dtype}'")
    return cast(self, dtype)


@method
@composite
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of `other`."""
    return cast(self, other.dtype)


@method
def cpu(self: Tensor) -> Tensor:
    """The tensor itself: there is no other device."""
    return self


def _caster(dtype: dtypes.dtype) -> Callable[[Tensor], Tensor]:
    def call(self: Tensor) -> Tensor:
        return cast(self, dtype)

    call.__doc__ = f"The tensor in `{dtype.name}`; itself if it is so already."
    return call


for _name, _dtype in (
    ("double", dtypes.float64),
    ("float", dtypes.float32),
    ("half", dtypes.float16),
    ("long", dtypes.int64),
    ("int", dtypes.int32),
    ("short", dtypes.int16),
    ("char", dtypes.int8),
    ("byte", dtypes.uint8),
    ("bool", dtypes.bool_),
):
    METHODS[_name] = called(_name)(_caster(_dtype))
    METHODS[_name].__name__ = METHODS[_name].__qualname__ = _name
