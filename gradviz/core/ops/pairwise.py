"""Distances of every vector from every other: `cdist`, `pdist`.

Shapes: x (..., P, M), y (..., R, M), result (..., P, R); `pdist` gives one number for each pair of rows of (N, M).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import added_at, taken_at
from gradviz.core.ops.samples import grid, unit
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, first_tensor, function, functional
from gradviz.core.tensor import Tensor

MANY = 25
"""With more vectors than this PyTorch goes by a product of matrices."""


def _length(off: Any, p: float) -> Any:
    """The p-norm along the last dimension."""
    size = np.abs(off)
    if p == 2:
        return np.sqrt(np.add.reduce(size * size, axis=-1))
    if math.isinf(p):
        return np.maximum.reduce(size, axis=-1, initial=0)
    if p == 0:
        return np.add.reduce(size != 0, axis=-1).astype(off.dtype)
    return np.add.reduce(size**p, axis=-1) ** (1 / p)


def _slopes(off: Any, out: Any, p: float) -> Any:
    """The derivative of each distance for each coordinate; zero where two vectors are one."""
    if p == 0:
        return off * 0
    if p == 1:
        return np.sign(off)
    far = out[..., None]
    there = far != 0
    if math.isinf(p):
        return np.sign(off) * (abs(off) == far) * there
    safe = np.where(there, far, 1.0)
    return np.where(there, off / safe if p == 2 else np.sign(off) * (abs(off) / safe) ** (p - 1), 0.0)


def _offsets(x: Any, y: Any) -> Any:
    return x[..., :, None, :] - y[..., None, :, :]


CDIST: Row = op(
    "cdist(x, y, *, p=2.0)",
    lambda x, y, p: _length(_offsets(x, y), p).astype(x.dtype),
    x=lambda g, x, y, out, p: np.add.reduce(g[..., None] * _slopes(_offsets(x, y), out, p), axis=-2),
    y=lambda g, x, y, out, p: -np.add.reduce(g[..., None] * _slopes(_offsets(x, y), out, p), axis=-3),
    samples=lambda: [
        *(sample(grid(3, 2), unit(4, 2), p) for p in (2.0, 1.0, 3.0, math.inf)),
        sample(grid(2, 3, 2), unit(4, 2)),
    ],
)


def _by_product(x: Any, y: Any) -> Any:
    squares = np.add.reduce(x * x, axis=-1)[..., :, None] + np.add.reduce(y * y, axis=-1)[..., None, :]
    return np.sqrt(np.maximum(squares - 2 * (x @ np.swapaxes(y, -1, -2)), 0))


def _ratio(g: Any, out: Any) -> Any:
    return np.where(out == 0, 0.0, g / np.where(out == 0, 1.0, out))


def _of_first(g: Any, x: Any, y: Any, out: Any) -> Any:
    ratio = _ratio(g, out)
    return x * np.add.reduce(ratio, axis=-1)[..., None] - ratio @ y


def _of_second(g: Any, x: Any, y: Any, out: Any) -> Any:
    ratio = _ratio(g, out)
    return y * np.add.reduce(ratio, axis=-2)[..., None] - np.swapaxes(ratio, -1, -2) @ x


EUCLIDEAN: Row = op(
    "_euclidean_dist(x, y)",
    _by_product,
    key="cdist.product",
    node="EuclideanDistBackward0",
    call="cdist",
    x=_of_first,
    y=_of_second,
)


@function
@composite
def cdist(
    x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """The p-norm distance of every row of `x1` from every row of `x2`."""
    for name, one in (("X1", x1), ("X2", x2)):
        if not one.is_floating_point():
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {one.dtype.type_name}")
        if one.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {one.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if x1.dtype is not x2.dtype:
        names = [one.dtype.type_name.removesuffix("Tensor") for one in (x1, x2)]
        raise RuntimeError(f"expected scalar type {names[0]} but found {names[1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    large = x1.shape[-2] > MANY or x2.shape[-2] > MANY
    if p == 2 and ((large and "if_necessary" in compute_mode) or compute_mode == "use_mm_for_euclid_dist"):
        product: Any = apply(EUCLIDEAN, (x1, x2))
        result: Tensor = product.view(product.shape)
        return result
    return apply(CDIST, (x1, x2), (p,))


# ---- within one set


def _rows(count: int) -> Any:
    return np.triu_indices(count, 1)


def _within(x: Any, p: float) -> Any:
    first, second = _rows(len(x))
    return _length(x[first] - x[second], p).astype(x.dtype)


def _within_back(g: Any, x: Any, out: Any, p: float) -> Any:
    first, second = _rows(len(x))
    felt = g[..., None] * _slopes(taken_at(x, first) - taken_at(x, second), out, p)
    return added_at(felt, x.shape, first) - added_at(felt, x.shape, second)


PDIST: Row = op(
    "pdist(x, *, p=2.0)",
    _within,
    x=_within_back,
    call="nn.functional.pdist",
)


@functional
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of every two rows: (N * (N - 1) / 2,), those of the first row first."""
    if first_tensor("pdist", input).ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    return apply(PDIST, (input,), (p,))


FUNCTIONS["pdist"] = pdist
