"""Shares of a whole: `softmax`, `log_softmax`, `softmin`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import called, composite
from gradviz.core.dual import dots, sums
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.public import both, first_tensor, functional
from gradviz.core.tensor import Tensor


def _axes(x: Any, dim: int) -> tuple[int, ...]:
    axis = wrap(dim, x.ndim)
    return (axis,) if x.ndim else ()


def _shares(x: Any, dim: int) -> Any:
    axes = _axes(x, dim)
    powers = np.exp(x - np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf))
    return powers / sums(powers, axes)


def _log_shares(x: Any, dim: int) -> Any:
    axes = _axes(x, dim)
    shifted = x - np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    return shifted - np.log(sums(np.exp(shifted), axes))


def _total(x: Any, dim: int) -> Any:
    return sums(x, _axes(x, dim))


def _softmax_samples() -> list[Sample]:
    return [sample(grid(2, 3), 1), sample(grid(2, 3, 2) * 300, dim=-2)]


SOFTMAX = op(
    "softmax(x, *, dim)",
    _shares,
    x=lambda g, out, dim: out * (g - dots(g, out, _axes(g, dim))),
    samples=_softmax_samples,
)
LOG_SOFTMAX = op(
    "log_softmax(x, *, dim)",
    _log_shares,
    x=lambda g, out, dim: g - np.exp(out) * _total(g, dim),
    samples=_softmax_samples,
)


@functional
@both
def softmax(input: Tensor, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
    """Exponentials of `input` divided by their sum over `dim`. dtype: what to cast `input` to before."""
    input = first_tensor("softmax", input)
    return apply(SOFTMAX, (input,), (dim,)) if dtype is None else _cast_before(SOFTMAX, input, dim, dtype)


@functional
@both
def log_softmax(input: Tensor, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
    """The logarithm of `softmax`, exact where that is close to zero. dtype: what to cast `input` to before."""
    input = first_tensor("log_softmax", input)
    return apply(LOG_SOFTMAX, (input,), (dim,)) if dtype is None else _cast_before(LOG_SOFTMAX, input, dim, dtype)


@called("")
def _cast_before(row: Row, input: Tensor, dim: int, dtype: dtypes.dtype) -> Tensor:
    return apply(row, (input.to(dtype),), (dim,))


@functional
@composite
def softmin(input: Any, dim: int, dtype: Any = None) -> Tensor:
    """`softmax(-input)`."""
    return softmax(-input, dim, dtype)
