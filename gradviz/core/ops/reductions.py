"""Ops that fold dimensions into one number each: `sum`, `mean`, `prod`, `var`, `norm`, `logsumexp`, `any`, ...

A sum over everything and a sum over named dimensions are two rows, for PyTorch gives them two nodes. The cotangent of a
reduced result is brought back to a shape that broadcasts to the input's; the engine spreads it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply, apply_general
from gradviz.core.dual import array_type, cast, sign_of
from gradviz.core.ops.folding import WHOLE, dims_of, folded, kept, numpy_names, reduced
from gradviz.core.ops.samples import flags, grid, integers
from gradviz.core.ops.table import Sample, op, sample
from gradviz.core.public import LINALG, METHODS, both, compiled_method, first_tensor
from gradviz.core.tensor import Tensor


def _dim_samples() -> list[Sample]:
    x = grid(2, 3, 2)
    return [sample(x, 1), sample(x, (0, -1)), sample(x, dim=-2, keepdim=True), sample(x, (), True), sample(x, None)]


# ---- sum and mean

_WIDE = (np.dtype(np.float32), np.dtype(np.float64))


def _total(x: Any, dtype: dtypes.dtype | None) -> Any:
    if dtype is None and x.dtype in _WIDE:
        return np.add.reduce(x, axis=None)
    return folded(np.add, x, None, False, dtype)


SUM = op(
    "sum(x, *, dtype=None)",
    _total,
    x=lambda g: g,
    samples=lambda: [
        sample(grid(2, 3)),
        sample(integers(2, 3)),
        sample(flags(4)),
        sample(grid(3), dtype=dtypes.float64),
    ],
)
SUM_DIM = op(
    "sum(x, *, dim, keepdim=False, dtype=None)",
    lambda x, dim, keepdim, dtype: folded(np.add, x, dim, keepdim, dtype),
    key="sum.dim",
    node="SumBackward1",
    x=lambda g, shape, dim, keepdim: kept(g, shape, dim, keepdim),
    samples=lambda: [
        *_dim_samples(),
        sample(integers(2, 3), 0),
        sample(grid(2, 3), 0, dtype=dtypes.float32, smooth=False),
    ],
)


@both
@numpy_names
def sum(input: Tensor, dim: Any = WHOLE, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """The sum over `dim` (an int, several, or all); ints and bools add up to int64."""
    input = first_tensor("sum", input)
    return apply(SUM, (input,), (dtype,)) if dim is WHOLE else apply(SUM_DIM, (input,), (dim, keepdim, dtype))


METHODS["sum"] = compiled_method("sum", SUM, 1, (None,), apply_general, lambda x: np.add.reduce(x, axis=None), sum)


def _averaged(x: Any, dim: Any, keepdim: bool, dtype: dtypes.dtype | None) -> Any:
    if (x.dtype if dtype is None else dtype.array_type).kind != "f":
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {kind}"
        )
    x = x if dtype is None else x.astype(dtype.array_type)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    return np.true_divide(reduced(np.add, wide, dim, keepdim), count_of(x.shape, dim)).astype(x.dtype)


def count_of(shape: tuple[int, ...], dim: Any) -> int:
    """How many elements are folded into one."""
    return math.prod(shape[axis] for axis in dims_of(dim, len(shape)))


def _mean(x: Any, dtype: dtypes.dtype | None = None) -> Any:
    if dtype is None and x.dtype in _WIDE and x.size:
        return np.add.reduce(x, axis=None) / x.size
    return _averaged(x, None, False, dtype)


MEAN = op(
    "mean(x, *, dtype=None)",
    _mean,
    x=lambda g, shape: g / math.prod(shape),
    samples=lambda: [sample(grid(2, 3)), sample(grid(3), dtype=dtypes.float64)],
)
MEAN_DIM = op(
    "mean(x, *, dim, keepdim=False, dtype=None)",
    _averaged,
    key="mean.dim",
    node="MeanBackward1",
    x=lambda g, shape, dim, keepdim: kept(g, shape, dim, keepdim) / count_of(shape, dim),
    samples=_dim_samples,
)


@both
@numpy_names
def mean(input: Tensor, dim: Any = WHOLE, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """The mean over `dim` (an int, several, or all). Raises RuntimeError for ints and bools."""
    input = first_tensor("mean", input)
    return apply(MEAN, (input,), (dtype,)) if dim is WHOLE else apply(MEAN_DIM, (input,), (dim, keepdim, dtype))


METHODS["mean"] = compiled_method("mean", MEAN, 1, (None,), apply_general, _mean, mean)


# ---- spread


def _variance(x: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    if x.dtype.kind != "f":
        raise RuntimeError("std and var only support floating point and complex dtypes")
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    off = wide - _center(wide, dim)
    total = reduced(np.add, off * off, dim, keepdim)
    return np.true_divide(total, max(count_of(x.shape, dim) - correction, 0)).astype(x.dtype)


def _center(x: Any, dim: Any) -> Any:
    return cast(np.true_divide(reduced(np.add, x, dim, True), count_of(x.shape, dim)), array_type(x))


def _variance_slope(g: Any, x: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    return kept(g, x.shape, dim, keepdim) * 2 * (x - _center(x, dim)) / (count_of(x.shape, dim) - correction)


def _spread_samples() -> list[Sample]:
    x = grid(2, 3, 2)
    some = [sample(x), sample(x, 1), sample(x, (0, 2), correction=0), sample(x, dim=0, unbiased=False, keepdim=True)]
    return [*some, sample(x, False), sample(x, -1, True, True)]


VAR = op(
    "var(x, *, dim=None, correction=1, keepdim=False)",
    _variance,
    x=_variance_slope,
    samples=_spread_samples,
)
STD = op(
    "std(x, *, dim=None, correction=1, keepdim=False)",
    lambda x, dim, correction, keepdim: np.sqrt(_variance(x, dim, correction, keepdim)),
    x=lambda g, x, out, dim, correction, keepdim: _variance_slope(
        np.where(out == 0, 0, g / (2 * out)), x, dim, correction, keepdim
    ),
    samples=_spread_samples,
)


def _spread_arguments(dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None) -> tuple[Any, ...]:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 0 if unbiased is False else 1
    return dim, correction, keepdim


@both
@numpy_names
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over `dim` (an int, several, or None for all).

    correction: taken off the number of elements before dividing; 1, or 0 for `unbiased=False`.
    """
    return apply(VAR, (first_tensor("var", input),), _spread_arguments(dim, unbiased, keepdim, correction))


@both
@numpy_names
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of `var`."""
    return apply(STD, (first_tensor("std", input),), _spread_arguments(dim, unbiased, keepdim, correction))


# ---- size


def _length(x: Any, p: float, dim: Any, keepdim: bool) -> Any:
    if x.dtype.kind != "f":
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {kind}")
    if math.isinf(p) and not count_of(x.shape, dim):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {p} norm on an empty tensor because the operation does not have an "
            "identity"
        )
    size = np.abs(x.astype(np.float32) if x.dtype == np.float16 else x)
    if p == 2:
        length = np.sqrt(reduced(np.add, size * size, dim, keepdim))
    elif math.isinf(p):
        length = reduced(np.maximum if p > 0 else np.minimum, size, dim, keepdim)
    elif p == 0:
        length = reduced(np.add, size != 0, dim, keepdim)
    else:
        length = reduced(np.add, size**p, dim, keepdim) ** (1 / p)
    return length.astype(x.dtype)


def _length_slope(g: Any, x: Any, out: Any, p: float, dim: Any, keepdim: bool) -> Any:
    g, length = kept(g, x.shape, dim, keepdim), kept(out, x.shape, dim, keepdim)
    if p == 0:
        return None
    if p == 1:
        return g * sign_of(x)
    if p == 2:
        return x * np.where(length == 0, 0, g / np.where(length == 0, 1, length))
    if math.isinf(p):
        at = np.abs(x) == length
        return g * sign_of(x) * at / reduced(np.add, at, dim, True)
    return np.where(length == 0, 0, g * sign_of(x) * (np.abs(x) / length) ** (p - 1))


NORM = op(
    "norm(x, *, p=2, dim=None, keepdim=False)",
    _length,
    node="LinalgVectorNormBackward0",
    x=_length_slope,
    samples=lambda: [
        sample(grid(2, 3)),
        sample(grid(2, 3), 1),
        sample(grid(2, 3), 3, 1),
        sample(grid(2, 3), math.inf, dim=0),
        sample(grid(2, 3), -math.inf, 1, True),
        sample(grid(2, 3), 0),
        sample(grid(2, 3), dim=(0, 1), keepdim=True),
        sample(np.zeros(3), smooth=False),
        sample(np.array([1.0, -1.0, 0.5]), math.inf, smooth=False),
    ],
)


@both
@numpy_names
def norm(input: Tensor, p: float | str = "fro", dim: Any = None, keepdim: bool = False) -> Tensor:
    """The `p`-norm of the elements over `dim` (an int, several, or None for all). "nuc": that of matrices."""
    if isinstance(p, str) and p != "fro":
        every = (-2, -1) if input.ndim < 3 else tuple(range(input.ndim))
        nuclear: Tensor = LINALG["matrix_norm"](input, p, every if dim is None else dim, keepdim)
        return nuclear
    power = 2 if p in ("fro", None) else p
    return apply(NORM, (first_tensor("norm", input),), (power, dim, keepdim))


def _log_of_sum(x: Any, dim: Any, keepdim: bool) -> Any:
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    dims = dims_of(dim, x.ndim)
    top = np.maximum.reduce(x, axis=dims, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    result = np.log(np.add.reduce(np.exp(x - top), axis=dims, keepdims=True)) + top
    return result if keepdim else result.reshape(np.add.reduce(x, axis=dims).shape)


LOGSUMEXP = op(
    "logsumexp(x, *, dim, keepdim=False)",
    _log_of_sum,
    x=lambda g, x, out, dim, keepdim: kept(g, x.shape, dim, keepdim) * np.exp(x - kept(out, x.shape, dim, keepdim)),
    samples=lambda: [sample(grid(2, 3), 1), sample(grid(2, 3) * 500, (0, 1)), sample(grid(2, 3), dim=0, keepdim=True)],
)


@both
@numpy_names
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials over `dim`, without overflow on the way."""
    return apply(LOGSUMEXP, (first_tensor("logsumexp", input),), (dim, keepdim))


# ---- truth and counting


def _truth(ufunc: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    result = reduced(ufunc, x, dim, keepdim)
    return result.astype(x.dtype if x.dtype == np.uint8 else np.bool_)


def _truth_samples() -> list[Sample]:
    return [sample(flags(2, 3)), sample(flags(2, 3), 1), sample(grid(2, 3), dim=(0, 1), keepdim=True)]


ANY = op(
    "any(x, *, dim=None, keepdim=False)",
    lambda x, dim, keepdim: _truth(np.logical_or, x, dim, keepdim),
    samples=_truth_samples,
)
ALL = op(
    "all(x, *, dim=None, keepdim=False)",
    lambda x, dim, keepdim: _truth(np.logical_and, x, dim, keepdim),
    samples=_truth_samples,
)
COUNT_NONZERO = op(
    "count_nonzero(x, *, dim=None)",
    lambda x, dim: np.add.reduce(x != 0, axis=dims_of(dim, x.ndim), dtype=np.int64),
    samples=lambda: [sample(integers(2, 3)), sample(integers(2, 3), 1), sample(flags(2, 3), (0, 1))],
)


@both
@numpy_names
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where some element over `dim` is not zero."""
    return apply(ANY, (first_tensor("any", input),), (dim, keepdim))


@both
@numpy_names
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where no element over `dim` is zero."""
    return apply(ALL, (first_tensor("all", input),), (dim, keepdim))


@both
@numpy_names
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements over `dim` are not zero, int64."""
    return apply(COUNT_NONZERO, (first_tensor("count_nonzero", input),), (dim,))
