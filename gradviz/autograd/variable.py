"""`Variable`: a tensor by its older name."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor


class _Kind(type):
    def __call__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        return data.detach().requires_grad_(requires_grad)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor)


class Variable(metaclass=_Kind):
    """A leaf on the memory of `data`; all tensors are instances."""
