"""Tensors by their older names: `LongTensor([1, 2])`, and functions whose task others have taken over."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.creation import born
from gradviz.core.public import FUNCTIONS, METHODS, both, function
from gradviz.core.size import Size
from gradviz.core.tensor import Tensor


class Kind(type):
    """The class of `FloatTensor` and its like: calling one makes a tensor, and tensors of its dtype are instances."""

    _dtype: dtypes.dtype

    def __call__(cls, *given: Any, dtype: Any = None, device: Any = None) -> Any:
        """`FloatTensor(2, 3)` makes one of a shape, `FloatTensor([1, 2])` one of values."""
        return made_by_type(cls._dtype, given)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype is cls._dtype


def made_by_type(kind: dtypes.dtype, given: tuple[Any, ...]) -> Tensor:
    """A tensor of a shape, which is one or several numbers, or of values. Raises TypeError for anything else."""
    if len(given) == 1 and isinstance(given[0], Tensor):
        if given[0].dtype is not kind:
            raise TypeError(f"expected a tensor of {kind} (got {given[0].dtype})")
        return given[0].detach()  # type: ignore[no-any-return]
    if len(given) == 1 and not isinstance(given[0], (int, Size)):
        if not isinstance(given[0], (list, tuple, np.ndarray)):
            raise TypeError(f"new(): data must be a sequence (got {type(given[0]).__name__})")
        return FUNCTIONS["tensor"](given[0], dtype=kind)  # type: ignore[no-any-return]
    shape = given[0] if len(given) == 1 and isinstance(given[0], Size) else given or (0,)
    return born("empty", np.zeros(shape, kind.array_type), False)


def _named(kind: dtypes.dtype) -> None:
    made = Kind(kind.type_name, (), {"_dtype": kind, "__doc__": f"Tensors of {kind.name}, by their older name."})
    FUNCTIONS[kind.type_name] = made


for _dtype in dtypes.ALL:
    _named(_dtype)


@function
def range(start: float, end: float | None = None, step: float = 1, **kwargs: Any) -> Tensor:
    """`arange` that has its end, too. Warns that it is deprecated."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    low, high = (0, start) if end is None else (start, end)
    kind = kwargs.pop("dtype", None) or dtypes.get_default_dtype()
    count = int(np.floor((high - low) / step)) + 1
    return FUNCTIONS["arange"](low, low + (count - 0.5) * step, step, dtype=kind, **kwargs)  # type: ignore[no-any-return]


@both
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> Any:
    """`split` into parts of the lengths given."""
    return METHODS["split"](input, list(split_sizes), dim)


@function
def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`as_tensor`, or with `copy` a copy."""
    made: Tensor = FUNCTIONS["as_tensor"](obj, dtype=dtype, device=device)
    made = made.clone() if copy else made
    return made.detach().requires_grad_() if requires_grad else made


@function
def typename(obj: Any) -> str:
    """The name of a tensor's type, `torch.FloatTensor`, or of any other thing's."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = type(obj)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
