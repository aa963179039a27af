"""Dimensions that are folded: which of them an argument names, and what folds them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.shapes import wrap_all

F = TypeVar("F", bound=Callable[..., Any])

WHOLE: Any = object()
"""Stands for a `dim` that was not given, which is not the same as None where PyTorch's node differs."""


def dims_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `dim` (an int, several, or None for all) names, counted from the front; none in a 0-d tensor."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    dims = wrap_all(dim if isinstance(dim, (tuple, list)) else (dim,), ndim)
    return dims if ndim else ()


def kept(result: Any, shape: tuple[int, ...], dim: Any, keepdim: bool = False) -> Any:
    """A reduced result with its dimensions back as 1, so that it broadcasts to `shape`."""
    if keepdim:
        return result
    if type(dim) is int and shape:
        axis = dim % len(shape)
        return result.reshape((*shape[:axis], 1, *shape[axis + 1 :]))
    dims = dims_of(dim, len(shape))
    return result.reshape(tuple(1 if axis in dims else length for axis, length in enumerate(shape)))


def numpy_names(call: F) -> F:
    """Let numpy's `axis` and `keepdims` stand for `dim` and `keepdim`, as PyTorch does."""

    @functools.wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return call(*args)
        for theirs, ours in (("axis", "dim"), ("keepdims", "keepdim")):
            if theirs in kwargs:
                kwargs[ours] = kwargs.pop(theirs)
        return call(*args, **kwargs)

    return run  # type: ignore[return-value]


def reduced(ufunc: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    """`ufunc` over the dimensions that `dim` names."""
    return ufunc.reduce(x, axis=dims_of(dim, x.ndim), keepdims=keepdim)


def folded(ufunc: Any, x: Any, dim: Any, keepdim: bool, dtype: dtypes.dtype | None) -> Any:
    """Reduce by a ufunc: ints and bools in int64, float16 in float32 on the way."""
    if dtype is not None:
        x = x.astype(dtype.array_type)
    elif x.dtype.kind != "f":
        x = x.astype(np.int64)
    own = x.dtype
    if own.char == "e":
        return reduced(ufunc, x.astype(np.float32), dim, keepdim).astype(np.float16)
    axis = dim if type(dim) is int and -x.ndim <= dim < x.ndim else dims_of(dim, x.ndim)
    return ufunc.reduce(x, axis, own, None, keepdim)
