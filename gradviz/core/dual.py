"""What derivatives are written with, so that they are derivatives of Tensors too.

A VJP is run on arrays by an ordinary backward pass and on Tensors by one with `create_graph=True`, which then knows how
the gradient came about. Python's operators and numpy's functions take both. For what numpy lacks, or does in place, a
VJP calls a row of the op table by `run_row`, or one of the functions here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.ops.table import TABLE, Row, op
from gradviz.core.tame import is_tame
from gradviz.core.tensor import Tensor


def run_row(row: Row, inputs: Sequence[Any], static: tuple[Any, ...] = ()) -> Any:
    """`row.forward` of arrays, or the row applied where an input is a Tensor, so that the op is recorded."""
    for one in inputs:
        if isinstance(one, Tensor):
            return apply(row, inputs, static)
    return row.forward(*inputs, *static)


def array_of(x: Any) -> Any:
    """The array of what no derivative is asked for."""
    return x._data if isinstance(x, Tensor) else x


def array_type(x: Any) -> Any:
    """numpy's dtype of an array or a Tensor."""
    return x._data.dtype if isinstance(x, Tensor) else x.dtype


def cast(x: Any, kind: Any) -> Any:
    """An array or a Tensor in another dtype, which is numpy's; the thing itself where it is so already."""
    if array_type(x) == kind:
        return x
    if isinstance(x, Tensor):
        return apply(TABLE["to"], (x,), (dtypes.FROM_NUMPY[np.dtype(kind)],))
    return x.astype(kind)


_BITS = {2: np.int16, 4: np.int32, 8: np.int64}
"""By the bytes of a float the whole number of that size."""


LONG = 2048
"""From so many elements on, a choice for each of them is written without a branch."""


def chosen(choice: Any, x: Any, y: Any) -> Any:
    """`np.where(choice, x, y)`; of two long arrays of floats, or one and a number, without its branch on each element.

    Where the choice changes often, as it does with activations, the branch takes ten times as long as all the rest.
    """
    short = type(choice) is not np.ndarray or choice.size < LONG or isinstance(x, Tensor) or isinstance(y, Tensor)
    kind = None if short else np.result_type(x, y)
    if kind is None or kind.kind != "f" or kind.itemsize not in _BITS:
        return np.where(choice, x, y)
    bits = _BITS[kind.itemsize]
    one, other = (np.asarray(each, kind).view(bits) for each in (x, y))
    if not one.ndim and not one:
        choice, one, other = ~choice, other, one
    if not other.ndim and not other:  # it is zero, and not -0.0
        return (-choice.astype(bits) & one).view(kind)
    found = -choice.astype(bits) & (one ^ other)
    found ^= other
    return found.view(kind)


def raised(x: Any, exponent: Any) -> Any:
    """`x ** exponent`, for which numpy takes a hundred times as long as for a product, where it is not the square."""
    if type(x) is np.ndarray and x.dtype.kind == "f":
        if exponent == 3:
            return x * x * x
        if exponent == -2:
            return 1 / (x * x)
        if exponent == -0.5:
            return 1 / np.sqrt(x)
    return x**exponent


raised.types = ("ff->f",)  # type: ignore[attr-defined]


def sign_of(x: Any) -> Any:
    """`np.sign(x)`, but that of a NaN is zero, as it is for PyTorch."""
    signs: Any = np.sign(x)
    if isinstance(x, Tensor) or x.dtype.kind != "f" or is_tame(signs):
        return signs
    return np.where(np.isnan(signs), x.dtype.type(0), signs)


SHORT = 4096
"""So long a row may be summed number by number: it costs float32 no digit."""


def sums(x: Any, axes: tuple[int, ...]) -> Any:
    """Sums over some dimensions, kept as 1. Of short rows by a product with ones: numpy's sum begins anew with each."""
    if isinstance(x, np.ndarray) and x.dtype.char in "fd":
        if axes == (x.ndim - 1,) and x.shape[-1] <= SHORT:
            return x @ _ones(x.shape[-1], x.dtype)
        if x.ndim > 2 and axes == (0, *range(2, x.ndim)):
            lines = x.reshape((*x.shape[:2], math.prod(x.shape[2:])))
            return np.add.reduce(sums(lines, (2,)), axis=0).reshape((1, x.shape[1], *(1,) * (x.ndim - 2)))
    return np.add.reduce(x, axis=axes, keepdims=True)


def dots(x: Any, y: Any, axes: tuple[int, ...]) -> Any:
    """`sums(x * y, axes)`."""
    if isinstance(x, np.ndarray) and axes == (x.ndim - 1,) and x.dtype.char in "fd" and x.shape == y.shape:
        return np.vecdot(x, y)[..., None]
    return sums(x * y, axes)


@functools.lru_cache(maxsize=64)
def _ones(count: int, kind: Any) -> Any:
    return np.ones((count, 1), kind)


def at_least_1d(x: Any) -> Any:
    """The same with one dimension where it has none."""
    return x if x.ndim else x.reshape(1)


def size_of(x: Any) -> int:
    """The number of elements."""
    return math.prod(x.shape)


# ---- reading and writing elements by numpy's keys


def _placed(x: Any, shape: tuple[int, ...], key: Any) -> Any:
    whole = np.zeros(shape, x.dtype)
    whole[key] = x
    return whole


def _added(x: Any, shape: tuple[int, ...], key: Any) -> Any:
    before, rows = (key[:-1], key[-1]) if isinstance(key, tuple) and key else ((), key)
    at = len(before)
    numbers = isinstance(rows, np.ndarray) and rows.dtype.kind == "i" and (not at or rows.ndim == 1)
    if len(shape) > 1 and numbers and all(type(part) is slice and part == slice(None) for part in before):
        # Whole lines, number by number: numpy has a quick way for these alone.
        whole = np.zeros((shape[at], *shape[:at], *shape[at + 1 :]), x.dtype)
        width = math.prod(whole.shape[1:])
        places = rows.reshape(-1, 1).astype(np.intp) * width + np.arange(width)
        np.add.at(whole.reshape(-1), places.reshape(-1), np.moveaxis(x, at, 0).reshape(-1))
        return np.ascontiguousarray(np.moveaxis(whole, 0, at))
    whole = np.zeros(shape, x.dtype)
    np.add.at(whole, key, x)
    return whole


TAKEN_AT: Row = op(
    "taken_at(x, *, key)",
    lambda x, key: np.array(x[key]),
    x=lambda g, shape, key: run_row(ADDED_AT, (g,), (shape, key)),
)
ADDED_AT: Row = op("added_at(x, *, shape, key)", _added, x=lambda g, key: run_row(TAKEN_AT, (g,), (key,)))
PLACED_AT = op("placed_at(x, *, shape, key)", _placed, x=lambda g, key: run_row(TAKEN_AT, (g,), (key,)))


def key_along(index: Any, dim: int) -> tuple[Any, ...]:
    """Where `index` points: its own positions, and along `dim` what it holds. A 0-d index points like a 1-D one."""
    index = np.atleast_1d(index)
    key = list(np.ogrid[tuple(slice(length) for length in index.shape)])
    key[dim] = index
    return tuple(key)


def taken_at(x: Any, key: Any) -> Any:
    """`x[key]`; the key is made of slices, numbers and arrays."""
    return run_row(TAKEN_AT, (x,), (key,)) if isinstance(x, Tensor) else x[key]


def placed_at(x: Any, shape: tuple[int, ...], key: Any) -> Any:
    """Zeros with `x` at `key`, which names no element twice."""
    return apply(PLACED_AT, (x,), (tuple(shape), key)) if isinstance(x, Tensor) else _placed(x, shape, key)


def added_at(x: Any, shape: tuple[int, ...], key: Any) -> Any:
    """Zeros to which `x` is added at `key`: an element that is named twice gets both."""
    return run_row(ADDED_AT, (x,), (tuple(shape), key))


def cleared_at(x: Any, key: Any) -> Any:
    """`x` with zeros at `key`."""
    if isinstance(x, Tensor):
        cleared = np.zeros(x.shape, np.bool_)
        cleared[key] = True
        return np.where(cleared, 0, x)
    rest = np.array(x)
    rest[key] = 0
    return rest
