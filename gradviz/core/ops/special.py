"""Elementwise functions that are met less often: `addcmul`, `logaddexp`, `hypot`, `erfc`, `sinc`, `nan_to_num`, ..."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.error_function import erfc, erfinv
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import grid, positive, unit
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, first_tensor, method, publish
from gradviz.core.tensor import Tensor


def _float(x: Any) -> Any:
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _one(
    signature: str, forward: Callable[..., Any], vjp: Callable[..., Any], *arrays: Any, node: str = ""
) -> None:
    """A row of one input that whole numbers make a float32 of."""

    def run(x: Any, *static: Any) -> Any:
        out = forward(_float(x), *static)
        return out.astype(_float(x).dtype, copy=False)

    row = op(signature, run, x=vjp, node=node, samples=lambda: [sample(array) for array in arrays])
    publish(row, inplace=True)


_one(
    "erfc(x)",
    erfc,
    lambda g, x: g * (-2 / math.sqrt(math.pi)) * np.exp(-x * x),
    grid(2, 3),
)
_one(
    "erfinv(x)",
    erfinv,
    lambda g, out: g * (math.sqrt(math.pi) / 2) * np.exp(out * out),
    unit(2, 3),
)
_one(
    "deg2rad(x)",
    lambda x: x * (math.pi / 180),
    lambda g: g * (math.pi / 180),
    grid(2, 3),
    node="Deg2RadBackward0",
)
_one(
    "rad2deg(x)",
    lambda x: x * (180 / math.pi),
    lambda g: g * (180 / math.pi),
    grid(2, 3),
    node="Rad2DegBackward0",
)
_one(
    "logit(x)",
    lambda x: np.log(x / (1 - x)),
    lambda g, x: np.where((x < 0) | (x > 1), np.nan, g / (x * (1 - x))),
    grid(2, 3, low=0.1, high=0.9),
)


def _sinc_slope(g: Any, x: Any) -> Any:
    angle = x * math.pi
    safe = np.where(angle == 0, 1.0, angle)
    return np.where(angle == 0, 0.0, g * math.pi * (safe * np.cos(safe) - np.sin(safe)) / (safe * safe))


_one("sinc(x)", np.sinc, _sinc_slope, grid(2, 3))


# ---- of two


def _pair(signature: str, forward: Callable[..., Any], *arrays: Any, inplace: bool = False, **vjps: Any) -> Row:
    row = op(signature, forward, promotes=True, samples=lambda: [sample(*arrays)], **vjps)
    publish(row, inplace=inplace, numbers=False)
    return row


def _floats(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind != "f":
            raise NotImplementedError(f"\"{name}\" not implemented for '{x.dtype.name.capitalize()}'")
        return call(x, y)

    return forward


_pair(
    "logaddexp(x, y)",
    _floats("logaddexp_cpu", np.logaddexp),
    grid(2, 3),
    unit(3, 2).T,
    x=lambda g, x, y: g / (1 + np.exp(y - x)),
    y=lambda g, x, y: g / (1 + np.exp(x - y)),
)
_pair(
    "hypot(x, y)",
    _floats("hypot_cpu", np.hypot),
    grid(2, 3),
    positive(2, 3),
    inplace=True,
    x=lambda g, x, out: g * (x / out),
    y=lambda g, y, out: g * (y / out),
)

# ---- of three


def _weighted(x: Any, first: Any, second: Any, value: float, quotient: bool) -> Any:
    if quotient and x.dtype.kind != "f":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a "
            "true division of tensor1 and tensor2."
        )
    part = first / second if quotient else first * second
    return x + (part * value).astype(x.dtype, copy=False)


ADDCMUL: Row = op(
    "addcmul(x, tensor1, tensor2, *, value=1)",
    lambda x, tensor1, tensor2, value: _weighted(x, tensor1, tensor2, value, False),
    promotes=True,
    x=lambda g: g,
    tensor1=lambda g, tensor2, value: g * (tensor2 * value),
    tensor2=lambda g, tensor1, value: g * (tensor1 * value),
    samples=lambda: [sample(grid(2, 3), unit(2, 3), positive(2, 3), value=2)],
)
ADDCDIV: Row = op(
    "addcdiv(x, tensor1, tensor2, *, value=1)",
    lambda x, tensor1, tensor2, value: _weighted(x, tensor1, tensor2, value, True),
    promotes=True,
    x=lambda g: g,
    tensor1=lambda g, tensor2, value: g * (value / tensor2),
    tensor2=lambda g, tensor1, tensor2, value: -g * (value * tensor1 / (tensor2 * tensor2)),
    samples=lambda: [sample(grid(2, 3), unit(2, 3), positive(2, 3), value=2)],
)


@both
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """`input + value * tensor1 * tensor2`."""
    return apply(ADDCMUL, (first_tensor("addcmul", input), tensor1, tensor2), (value,))


@both
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """`input + value * tensor1 / tensor2`. Raises RuntimeError for a `tensor2` of whole numbers below a gradient."""
    if tensor1.requires_grad and not tensor2.is_floating_point():
        kind = tensor2.dtype.type_name.removesuffix("Tensor")
        raise RuntimeError(f"result type Float can't be cast to the desired output type {kind}")
    return apply(ADDCDIV, (first_tensor("addcdiv", input), tensor1, tensor2), (value,))


@method
def addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """In-place `addcmul`."""
    return apply_inplace(ADDCMUL, self, (tensor1, tensor2), (value,))


@method
def addcdiv_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """In-place `addcdiv`."""
    return apply_inplace(ADDCDIV, self, (tensor1, tensor2), (value,))


# ---- NaN and infinity replaced


def _finite(x: Any, nan: float | None, posinf: float | None, neginf: float | None) -> Any:
    if x.dtype.kind != "f":
        return x.copy()
    return np.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


NAN_TO_NUM: Row = op(
    "nan_to_num(x, *, nan=None, posinf=None, neginf=None)",
    _finite,
    x=lambda g, x: np.where(np.isnan(x) | np.isinf(x), 0.0, g),
    samples=lambda: [
        sample(grid(2, 3)),
        sample(np.array([np.nan, np.inf, -np.inf, 1.0]), smooth=False),
        sample(np.array([np.nan, np.inf, -np.inf, 1.0]), 2.0, 3.0, -3.0, smooth=False),
    ],
)
nan_to_num = publish(NAN_TO_NUM, inplace=True)
