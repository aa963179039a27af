"""Smooth functions of two tensors, element by element: `atan2`, `lerp`, `logaddexp2`, `ldexp`, `float_power`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import chosen
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import grid, integers, positive, unit
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, both, first_tensor, method, operand, publish
from gradviz.core.tensor import Tensor


def _angle(x: Any, y: Any) -> Any:
    return np.arctan2(x, y) if x.dtype.kind == "f" else np.arctan2(x.astype(np.float32), y.astype(np.float32))


def _inverse_square(x: Any, y: Any) -> Any:
    square = x * x + y * y
    return np.where(square == 0, 0, 1 / square)


ATAN2 = op(
    "atan2(x, y)",
    _angle,
    node="Atan2Backward0",
    promotes=True,
    x=lambda g, x, y: g * y * _inverse_square(x, y),
    y=lambda g, x, y: -g * x * _inverse_square(x, y),
    samples=lambda: [
        sample(grid(2, 3), grid(2, 3) + 0.1),
        sample(grid(2, 3), grid(3)),
        sample(np.zeros(1), np.zeros(1), smooth=False),
    ],
)
atan2 = publish(ATAN2, inplace=True, numbers=False)


def _between(x: Any, end: Any, weight: Any) -> Any:
    if x.dtype.kind != "f":
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"lerp_kernel_scalar\" not implemented for '{kind}'")
    for name, other in (("end", end), ("weight", weight)):
        if hasattr(other, "dtype") and other.dtype != x.dtype and (name == "end" or other.ndim):
            wanted, found = _scalar_name(x), _scalar_name(other)
            raise RuntimeError(f"expected dtype {wanted} for `{name}` but got dtype {found}")
    if np.ndim(weight):
        found = chosen(abs(weight) < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight))
    else:
        found = x + weight * (end - x) if abs(weight) < 0.5 else end - (end - x) * (1 - weight)
    return found.astype(x.dtype, copy=False)


def _scalar_name(array: Any) -> str:
    """The name by which PyTorch's C++ side calls an element type: `double`."""
    return dtypes.of(array).type_name.removesuffix("Tensor").lower()


LERP = op(
    "lerp(x, end, *, weight)",
    _between,
    x=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    samples=lambda: [sample(grid(2, 3), positive(3), 0.3), sample(grid(3), positive(2, 3), 0.75)],
)
LERP_TENSOR = op(
    "lerp(x, end, weight)",
    _between,
    key="lerp.tensor",
    node="LerpBackward1",
    x=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, x, end: g * (end - x),
    samples=lambda: [sample(grid(2, 3), positive(2, 3), positive(3))],
)


@both
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """`input + weight * (end - input)`; the weight is a number or a tensor."""
    input, weight = first_tensor("lerp", input), operand(weight)
    if isinstance(weight, Tensor):
        return apply(LERP_TENSOR, (input, end, weight))
    return apply(LERP, (input, end), (weight,))


@method
def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """In-place `lerp`."""
    weight = operand(weight)
    if isinstance(weight, Tensor):
        return apply_inplace(LERP_TENSOR, self, (end, weight))
    return apply_inplace(LERP, self, (end,), (weight,))


# ---- powers and logarithms


def _floats(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind != "f":
            kind = dtypes.of(x).type_name.removesuffix("Tensor")
            raise NotImplementedError(f"\"{name}\" not implemented for '{kind}'")
        return call(x, y)

    return forward


LOGADDEXP2: Row = op(
    "logaddexp2(x, y)",
    _floats("logaddexp2_cpu", np.logaddexp2),
    promotes=True,
    x=lambda g, x, y: g / (1 + 2 ** (y - x)),
    y=lambda g, x, y: g / (1 + 2 ** (x - y)),
    samples=lambda: [sample(grid(2, 3), unit(3, 2).T)],
)
publish(LOGADDEXP2, numbers=False)


def _scaled_by_power(x: Any, y: Any) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    return (x * 2.0 ** np.asarray(y, x.dtype)).astype(x.dtype)


LDEXP: Row = op(
    "ldexp(x, y)",
    _scaled_by_power,
    promotes=True,
    x=lambda g, y: g * 2.0**y,
    y=lambda g, x, y: g * x * 2.0**y * math.log(2),
    samples=lambda: [sample(grid(2, 3), integers(3)), sample(grid(2, 3), unit(2, 3))],
)
publish(LDEXP, numbers=False)


@both
@composite
def float_power(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent` in float64; either may be a number."""
    base, power = (one.double() if isinstance(one, Tensor) else one for one in (operand(input), operand(exponent)))
    result: Tensor = FUNCTIONS["pow"](base, power)
    return result
