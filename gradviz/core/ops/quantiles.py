"""Elements by their rank, and by how often they occur: `quantile`, `nanquantile`, `nanmedian`, `mode`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.composites import composite
from gradviz.core.dual import run_row
from gradviz.core.ops.folding import WHOLE
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.sorting import TO_INDEX
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, both, first_tensor
from gradviz.core.tensor import Tensor

_WAYS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name: str, input: Any, q: Any, interpolation: str) -> Any:
    """`q` as a tensor, once everything is as PyTorch wants it. Raises RuntimeError where it is not."""
    if first_tensor(name, input).dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = FUNCTIONS["tensor"](q, dtype=input.dtype)
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not np.all((q._data >= 0) & (q._data <= 1)):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    if interpolation not in _WAYS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    return q


def _ranked(
    name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, skips_nan: bool
) -> Tensor:
    q = _check_quantile(name, input, q, interpolation)
    axis = wrap(dim, input.ndim) if dim is not None else 0
    lines = input.flatten() if dim is None or not input.ndim else input.movedim(axis, -1)
    ordered = lines.sort(-1).values
    strange = np.isnan(ordered._data)
    if skips_nan:
        last = np.maximum(np.add.reduce(~strange, axis=-1, keepdims=True) - 1, 0)
        ranks = q.reshape(-1) * FUNCTIONS["from_numpy"](last.astype(input._data.dtype))
    else:
        end = ordered.shape[-1] - 1
        ranks = q.reshape(-1).expand(*ordered.shape[:-1], q.numel()) * end
        ranks = ranks.masked_fill(FUNCTIONS["from_numpy"](strange.any(-1, keepdims=True)), end)
    if interpolation in ("lower", "higher", "nearest"):
        ranks = {"lower": ranks.floor, "higher": ranks.ceil, "nearest": ranks.round}[interpolation]()
    below = ranks.detach().floor()
    result: Any = ordered.gather(-1, below.long())
    if interpolation in ("linear", "midpoint"):
        weights = FUNCTIONS["full_like"](ranks, 0.5) if interpolation == "midpoint" else ranks - below
        result = result.lerp(ordered.gather(-1, ranks.detach().ceil().long()), weights)
    if dim is None and keepdim:
        result = result.reshape(*[1] * input.ndim, q.numel())
    elif keepdim and input.ndim:
        result = result.unsqueeze(axis)
    answer: Tensor = result.squeeze(-1) if not q.ndim else result.movedim(-1, 0)
    return answer


@both
@composite
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The element that a part `q` of the elements lie below, over `dim` or of all; one after the other for several `q`.

    interpolation: what is taken between two elements: "linear", "lower", "higher", "midpoint" or "nearest".
    """
    return _ranked("quantile", input, q, dim, keepdim, interpolation, False)


@both
@composite
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are not NaN."""
    return _ranked("nanquantile", input, q, dim, keepdim, interpolation, True)


# ---- one of the elements, with its index


def _chosen(x: Any, index: Any, axis: int, keepdim: bool) -> Any:
    values = np.take_along_axis(x, index, axis)
    return (values, index) if keepdim else (values.squeeze(axis), index.squeeze(axis))


def _chosen_back(g: Any, out1: Any, shape: Any, dim: int, keepdim: bool) -> Any:
    axis = wrap(dim, len(shape))
    if keepdim or not shape:
        return run_row(TO_INDEX, (g[0], out1), (tuple(shape), axis))
    return run_row(TO_INDEX, (np.expand_dims(g[0], axis), np.expand_dims(out1, axis)), (tuple(shape), axis))


def _need_elements(name: str, x: Any, axis: int) -> None:
    if x.ndim and not x.shape[axis]:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


def _nan_middle(x: Any, dim: int, keepdim: bool) -> Any:
    axis = wrap(dim, x.ndim)
    _need_elements("median", x, axis)
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    there = x == x
    count = np.add.reduce(there, axis=axis, keepdims=True)
    order = np.argsort(x, axis, kind="stable")
    index = np.take_along_axis(order, np.maximum(count - 1, 0) // 2, axis)
    return _chosen(x, index, axis, keepdim)


def _nan_middle_of_all(x: Any) -> Any:
    kept = x[x == x]
    if not kept.size:
        return np.full((), np.nan, x.dtype) if x.dtype.kind == "f" else np.full((), np.iinfo(x.dtype).min, x.dtype)
    return np.sort(kept)[(kept.size - 1) // 2]


def _evenly(g: Any, x: Any, out: Any) -> Any:
    chosen = x == out
    return g * chosen / np.maximum(np.add.reduce(chosen, axis=None), 1)


_HOLES = np.array([[1.0, np.nan, 0.5], [np.nan, 2.0, 3.0]])

NANMEDIAN: Row = op(
    "nanmedian(x)",
    _nan_middle_of_all,
    x=_evenly,
    samples=lambda: [sample(grid(2, 3)), sample(_HOLES, smooth=False), sample(integers(5))],
)
NANMEDIAN_DIM: Row = op(
    "nanmedian(x, *, dim, keepdim=False)",
    _nan_middle,
    key="nanmedian.dim",
    node="NanmedianBackward1",
    x=_chosen_back,
    nondifferentiable_outputs=(1,),
    samples=lambda: [sample(grid(2, 3), 1), sample(_HOLES, 1, smooth=False), sample(grid(2, 4), dim=0, keepdim=True)],
)
_NanmedianResult = return_type("nanmedian", "values", "indices")


@both
def nanmedian(input: Tensor, dim: Any = WHOLE, keepdim: bool = False) -> Any:
    """The lower median of the elements that are not NaN; over `dim`, the medians and their indices."""
    if dim is WHOLE:
        return apply(NANMEDIAN, (first_tensor("nanmedian", input),))
    return _NanmedianResult(apply_several(NANMEDIAN_DIM, (first_tensor("nanmedian", input),), (dim, keepdim)))


def _most_frequent(x: Any, dim: int, keepdim: bool) -> Any:
    """The smallest of the most frequent elements of each line, and the last place where it is."""
    axis = wrap(dim, x.ndim)
    _need_elements("mode", x, axis)
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    lines = np.moveaxis(x, axis, -1)
    index = np.empty((*lines.shape[:-1], 1), np.int64)
    for place in np.ndindex(*lines.shape[:-1]):
        values, counts = np.unique(lines[place], return_counts=True)
        index[place] = np.flatnonzero(lines[place] == values[counts.argmax()])[-1]
    return _chosen(x, np.ascontiguousarray(np.moveaxis(index, -1, axis)), axis, keepdim)


MODE: Row = op(
    "mode(x, *, dim=-1, keepdim=False)",
    _most_frequent,
    x=_chosen_back,
    nondifferentiable_outputs=(1,),
    samples=lambda: [
        sample(grid(2, 3)),
        sample(integers(2, 7, high=3)),
        sample(np.array([[2.0, 1.0, 2.0], [0.5, 0.5, 1.0]]), 1, smooth=False),
        sample(np.array([[2.0, 1.0], [2.0, 0.5]]), 0, True, smooth=False),
    ],
)
_ModeResult = return_type("mode", "values", "indices")


@both
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent element along `dim`, the smallest of several, and an index where it is."""
    return _ModeResult(apply_several(MODE, (first_tensor("mode", input),), (dim, keepdim)))
