"""Tensors with a pattern: `zeros`, `ones`, `full`, `empty`, `arange`, `linspace`, `logspace`, `eye` and relatives.

`zeros_like(t)` and `t.new_zeros(...)` take a shape or a dtype from `t` and none of its values, so they are leaves too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.creation import (
    DType,
    array_type,
    born,
    check_device,
    check_fits,
    number,
    shape_of,
    source,
    tensor_argument,
    tuple_of,
    whole,
)
from gradviz.core.public import FUNCTIONS, METHODS, function, method
from gradviz.core.tensor import Tensor

source("zeros", "ones", "empty", "full", "arange", "linspace", "logspace", "eye")
source("zeros_like", "ones_like", "empty_like", "full_like")
source("new_zeros", "new_ones", "new_empty", "new_full")


def _filled(name: str, make: Callable[[Any, Any], Any], what: str) -> Callable[..., Tensor]:
    """`zeros`, `zeros_like` and `Tensor.new_zeros` from the numpy function that makes the array; the first of them."""

    def fill(
        *sizes: int | Sequence[int],
        size: Sequence[int] | None = None,
        dtype: DType = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        check_device(device)
        return born(name, make(shape_of(name, sizes, size), array_type(name, dtype)), requires_grad)

    def fill_like(
        input: Tensor,
        *,
        dtype: DType = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        check_device(device)
        data = tensor_argument(like, input)._data
        return born(like, make(data.shape, array_type(like, dtype, data.dtype)), requires_grad)

    def new(
        self: Tensor,
        *sizes: int | Sequence[int],
        size: Sequence[int] | None = None,
        dtype: DType = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        check_device(device)
        shape = shape_of(own, sizes, size)
        return born(own, make(shape, array_type(own, dtype, self._data.dtype)), requires_grad)

    like, own = f"{name}_like", f"new_{name}"
    for call, key, doc in (
        (fill, name, f"A leaf of the given shape, {what}: `{name}(2, 3)` or `{name}((2, 3))`. float32 by default."),
        (fill_like, like, f"A leaf with the shape and dtype of `input`, {what}."),
        (new, own, f"A leaf of the given shape and this tensor's dtype, {what}."),
    ):
        call.__name__ = call.__qualname__ = key
        call.__doc__ = doc
    FUNCTIONS[name], FUNCTIONS[like], METHODS[own] = fill, fill_like, new
    return fill


zeros = _filled("zeros", np.zeros, "all zeros")
ones = _filled("ones", np.ones, "all ones")
# What PyTorch leaves uninitialised is zero here, so that two runs are alike.
empty = _filled("empty", np.zeros, "whose values do not matter")


@function
def full(
    size: Sequence[int], fill_value: Any, *, dtype: DType = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A leaf of the given shape, all `fill_value`; bool, int64 or float32 by default, as the value is."""
    check_device(device)
    shape = tuple_of("full", size, 1)
    value = number("full", "fill_value", 2, fill_value)
    return _full("full", shape, value, array_type("full", dtype, dtypes.promote([value])), requires_grad)


@function
def full_like(
    input: Tensor, fill_value: Any, *, dtype: DType = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A leaf with the shape and dtype of `input`, all `fill_value`."""
    check_device(device)
    data = tensor_argument("full_like", input)._data
    value = number("full_like", "fill_value", 2, fill_value)
    return _full("full_like", data.shape, value, array_type("full_like", dtype, data.dtype), requires_grad)


@method
def new_full(
    self: Tensor,
    size: Sequence[int],
    fill_value: Any,
    *,
    dtype: DType = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A leaf of the given shape and this tensor's dtype, all `fill_value`."""
    check_device(device)
    shape = tuple_of("new_full", size, 1)
    value = number("new_full", "fill_value", 2, fill_value)
    return _full("new_full", shape, value, array_type("new_full", dtype, self._data.dtype), requires_grad)


def _full(name: str, shape: tuple[int, ...], value: Any, kind: Any, requires_grad: bool) -> Tensor:
    check_fits(value, kind)
    return born(name, np.full(shape, np.array(value).astype(kind)), requires_grad)


@function
def arange(*args: Any, dtype: DType = None, device: Any = None, requires_grad: bool = False, **named: Any) -> Tensor:
    """`arange(end)`, `arange(start, end)`, `arange(start, end, step)`: start, start + step, ... below end.

    int64 where all are ints, else float32. Raises RuntimeError for a step of zero or of the wrong sign.
    """
    check_device(device)
    start, end, step = _range_arguments(args, named)
    kind = array_type("arange", dtype, dtypes.promote([start, end, step, 0]))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if kind.kind != "f":
        start, end, step = int(start), int(end), int(step)
    count = math.ceil((end - start) / step)
    return born("arange", (start + np.arange(count) * step).astype(kind), requires_grad)


def _range_arguments(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any, Any]:
    names = ("end",) if len(args) == 1 and "end" not in named else ("start", "end", "step")
    given = dict(zip(names, args, strict=False), **named)
    if len(args) > 3 or "end" not in given or not set(given) <= {"start", "end", "step"}:
        kinds = ", ".join([type(value).__name__ for value in args] + [f"{key}=..." for key in named])
        raise TypeError(f"arange() received an invalid combination of arguments - got ({kinds})")
    place = {name: position for position, name in enumerate(names, 1)}
    start, end, step = (
        number("arange", name, place.get(name, 1), given.get(name, default))
        for name, default in (("start", 0), ("end", 0), ("step", 1))
    )
    return start, end, step


@function
def linspace(
    start: Any, end: Any, steps: int, *, dtype: DType = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` evenly spaced values from `start` to `end`, both of them included."""
    check_device(device)
    kind = array_type("linspace", dtype)
    return born("linspace", _spaced("linspace", start, end, steps, kind).astype(kind), requires_grad)


@function
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DType = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`base` to the power of `steps` evenly spaced exponents from `start` to `end`, both of them included."""
    check_device(device)
    kind = array_type("logspace", dtype)
    exponents = _spaced("logspace", start, end, steps, kind)
    return born("logspace", np.power(float(base), exponents).astype(kind), requires_grad)


def _spaced(name: str, start: Any, end: Any, steps: int, kind: Any) -> Any:
    """Evenly spaced values counted from the nearer end, so that both ends are met exactly. (steps,), float64."""
    first, last = float(number(name, "start", 1, start)), float(number(name, "end", 2, end))
    steps = whole(name, "steps", steps)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if steps == 1:
        return np.array([first])
    # PyTorch rounds the step to the type of the result.
    step = (last - first) / max(steps - 1, 1)
    step = float(kind.type(step)) if kind.kind == "f" else float(np.float32(step))
    index = np.arange(steps)
    return np.where(index < steps // 2, first + step * index, last - step * (steps - 1 - index))


@function
def eye(
    n: int, m: int | None = None, *, dtype: DType = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A matrix of n rows and m columns (n by default) with ones on its diagonal and zeros elsewhere."""
    check_device(device)
    rows = whole("eye", "n", n)
    columns = rows if m is None else whole("eye", "m", m)
    for name, length in (("n", rows), ("m", columns)):
        if length < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {length}")
    return born("eye", np.eye(rows, columns, dtype=array_type("eye", dtype)), requires_grad)
