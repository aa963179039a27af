"""Running sums and products along one dimension, and the product of all elements, which needs them for its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.dual import size_of
from gradviz.core.ops.folding import WHOLE, folded, kept, numpy_names
from gradviz.core.ops.samples import flags, grid, integers
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Sample, op, sample
from gradviz.core.public import both, first_tensor
from gradviz.core.tensor import Tensor

_ZEROS = np.array([[2.0, 0.0, 3.0], [0.0, 5.0, 0.0], [1.5, -2.0, 0.5]])


def _running(ufunc: Any, x: Any, dim: int, dtype: dtypes.dtype | None) -> Any:
    axis = wrap(dim, x.ndim)
    if dtype is not None:
        x = x.astype(dtype.array_type)
    elif x.dtype.kind != "f":
        x = x.astype(np.int64)
    return ufunc.accumulate(x, axis, x.dtype) if x.ndim else x.copy()


def _running_back(g: Any, dim: int) -> Any:
    """Sums of `g` from each element to the end of its line."""
    if not g.ndim:
        return g
    axis = wrap(dim, g.ndim)
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


def _others_product(x: Any, axis: int) -> Any:
    """For each element the product of the others in its line."""
    whole = (slice(None),) * axis
    ones = np.ones_like(x[(*whole, slice(0, 1))])
    before = np.cumprod(np.concatenate([ones, x[(*whole, slice(0, -1))]], axis), axis)
    after = np.cumprod(np.concatenate([ones, np.flip(x[(*whole, slice(1, None))], axis)], axis), axis)
    return before * np.flip(after, axis)


def _product_slope(g: Any, x: Any, out: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    if not size_of(x):
        return np.zeros_like(x)
    if not x.ndim:
        return g
    if np.all(x != 0):
        return kept(g * out, x.shape, dim, keepdim) / x
    others = (
        _others_product(x.reshape(-1), 0).reshape(x.shape) if dim is None else _others_product(x, wrap(dim, x.ndim))
    )
    return kept(g, x.shape, dim, keepdim) * others


def _running_product_slope(g: Any, x: Any, out: Any, dim: int) -> Any:
    if not x.ndim:
        return g
    if np.all(x != 0):
        return _running_back(g * out, dim) / x
    # A zero hides what comes after it from the quotient above: differentiate each step on its own.
    axis = wrap(dim, x.ndim)
    x, g = np.moveaxis(x, axis, 0), np.moveaxis(g, axis, 0)
    slopes = []
    for position in range(len(x)):
        without = np.concatenate([x[:position], np.ones_like(x[:1]), x[position + 1 :]])
        slopes.append(np.add.reduce((g * np.cumprod(without, 0))[position:], 0))
    return np.moveaxis(np.stack(slopes), 0, axis) if slopes else np.zeros_like(g)


def _samples() -> list[Sample]:
    some = [sample(grid(2, 3), 1), sample(grid(2, 3, 2), dim=-2), sample(integers(2, 3), 0), sample(flags(3), 0)]
    return [*some, sample(grid(3), 0, dtype=dtypes.float32, smooth=False), sample(_ZEROS, 1), sample(_ZEROS, 0)]


CUMSUM = op(
    "cumsum(x, *, dim, dtype=None)",
    lambda x, dim, dtype: _running(np.add, x, dim, dtype),
    x=lambda g, dim: _running_back(g, dim),
    samples=_samples,
)
CUMPROD = op(
    "cumprod(x, *, dim, dtype=None)",
    lambda x, dim, dtype: _running(np.multiply, x, dim, dtype),
    x=_running_product_slope,
    samples=_samples,
)


def _running_log(x: Any, dim: int) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    axis = wrap(dim, x.ndim)
    return np.logaddexp.accumulate(x, axis) if x.ndim else x.copy()


def _running_log_slope(g: Any, x: Any, out: Any, dim: int) -> Any:
    """Each element's part of all sums behind it, which grow: so no factor on the way is above 1."""
    if not x.ndim:
        return g
    axis = wrap(dim, x.ndim)
    g, x, out = (np.moveaxis(one, axis, 0) for one in (g, x, out))
    out = np.where(out == -np.inf, 0.0, out)
    slopes: list[Any] = []
    behind: Any = 0.0
    for at in reversed(range(len(x))):
        behind = g[at] + (behind * np.exp(out[at] - out[at + 1]) if slopes else 0.0)
        slopes.append(behind * np.exp(x[at] - out[at]))
    return np.moveaxis(np.stack(slopes[::-1]), 0, axis) if slopes else g * 0


LOGCUMSUMEXP = op(
    "logcumsumexp(x, *, dim)",
    _running_log,
    x=_running_log_slope,
    samples=lambda: [sample(grid(2, 3), 1), sample(grid(2, 3, 2) * 3, dim=-2), sample(grid(4), 0)],
)
PROD = op(
    "prod(x, *, dtype=None)",
    lambda x, dtype: folded(np.multiply, x, None, False, dtype),
    x=lambda g, x, out: _product_slope(g, x, out),
    samples=lambda: [sample(grid(2, 3)), sample(integers(3)), sample(_ZEROS[0]), sample(_ZEROS)],
)
PROD_DIM = op(
    "prod(x, *, dim, keepdim=False, dtype=None)",
    lambda x, dim, keepdim, dtype: folded(np.multiply, x, dim, keepdim, dtype),
    key="prod.dim",
    node="ProdBackward1",
    x=_product_slope,
    samples=lambda: [
        sample(grid(2, 3), 1),
        sample(grid(2, 3), dim=0, keepdim=True),
        sample(_ZEROS, 1),
        sample(flags(3), 0),
    ],
)


@both
@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """Running sums along `dim`; of ints and bools in int64."""
    return apply(CUMSUM, (first_tensor("cumsum", input),), (dim, dtype))


@both
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """The logarithms of running sums of exponentials along `dim`, without overflow on the way."""
    return apply(LOGCUMSUMEXP, (first_tensor("logcumsumexp", input),), (dim,))


@both
@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """Running products along `dim`; of ints and bools in int64."""
    return apply(CUMPROD, (first_tensor("cumprod", input),), (dim, dtype))


@both
@numpy_names
def prod(input: Tensor, dim: Any = WHOLE, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """The product over `dim` (an int, or all); of ints and bools in int64."""
    input = first_tensor("prod", input)
    return apply(PROD, (input,), (dtype,)) if dim is WHOLE else apply(PROD_DIM, (input,), (dim, keepdim, dtype))
