"""In-place writes that are not some op's result: `copy_`, `fill_`, `zero_`, `fill_diagonal_`.

What was there before is gone: its cotangent is zero, as in PyTorch, not None.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.shapes import broadcast
from gradviz.core.ops.table import op
from gradviz.core.public import method, operand
from gradviz.core.tensor import Tensor

COPY = op(
    "copy(x, source)",
    lambda x, source: np.broadcast_to(source, x.shape).astype(x.dtype),
    node="torch::autograd::CopyBackwards",
    x=lambda g: np.zeros_like(g),
    source=lambda g: g,
)
FILL_NUMBER = op(
    "fill(x, *, value)",
    lambda x, value: np.full_like(x, value),
    key="fill.number",
    node="FillBackward2",
    x=lambda g: np.zeros_like(g),
)
FILL_TENSOR = op(
    "fill(x, value)",
    lambda x, value: np.full_like(x, value),
    key="fill.tensor",
    node="FillBackward3",
    x=lambda g: np.zeros_like(g),
    value=lambda g: g,
)
ZERO = op("zero(x)", lambda x: np.zeros_like(x), x=lambda g: np.zeros_like(g))


def _copy_into(memory: Any, source: Any) -> None:
    memory[...] = source


@method
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Overwrite with the elements of `src`, broadcast and cast; their gradient goes to `src`."""
    source = operand(src)
    if not isinstance(source, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    shape = broadcast(self.shape, source.shape)
    if shape != self.shape:
        raise RuntimeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(shape)}"
        )
    return apply_inplace(COPY, self, (source,), (), _copy_into, overlaps=source is self)


@method
def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrite every element with a number or with a 0-d tensor, to which the gradient goes."""
    value = operand(value)
    if not isinstance(value, Tensor):
        return apply_inplace(FILL_NUMBER, self, (), (value,), _copy_into, overlaps=True)
    if value.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )
    return apply_inplace(FILL_TENSOR, self, (value,), (), _copy_into)


@method
def zero_(self: Tensor) -> Tensor:
    """Overwrite every element with 0."""
    return apply_inplace(ZERO, self, (), (), lambda memory: _copy_into(memory, 0), overlaps=True)
