"""Where tensors come from: `tensor`, `zeros`, `arange`, ... Each is an op without inputs, the birth of a leaf."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply, leaf
from gradviz.core.ops.table import op
from gradviz.core.public import function
from gradviz.core.tensor import Tensor
from gradviz.events import Cause

for _name in ("tensor", "from_numpy", "grad", "zeros", "ones", "full", "empty", "arange", "linspace", "eye", "rand", "randn", "randint"):
    op(f"{_name}()", lambda: None)
RETENSOR = op("tensor(x)", np.array, key="retensor", cause=Cause.RETENSOR)


@function
def tensor(data: Any, *, dtype: dtypes.dtype | None = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A new leaf with a copy of `data` (numbers, nested sequences, an array, a tensor).

    dtype: by default float32 for Python floats, int64 for ints, bool for bools, and an array's own.
    Raises RuntimeError where grad is required of a dtype that is not floating.
    """
    if isinstance(data, Tensor):
        loose = apply(RETENSOR, (data,))
        loose._requires_grad = requires_grad
        return loose
    array = np.array(data)
    if dtype is not None:
        array = array.astype(dtype.array_type)
    elif not isinstance(data, (np.ndarray, np.generic)) and array.dtype == np.float64:
        array = array.astype(np.float32)
    dtypes.of(array)
    return leaf(array[()] if array.ndim == 0 else array, "tensor", requires_grad)
