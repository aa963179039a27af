"""The largest, the smallest and the middle element, and where they are: `max`, `amin`, `argmax`, `median`, ...

Where several elements tie, `max()` and `amax` split the gradient evenly among them; `max(dim)` gives all of it to the
one whose index it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.composites import called
from gradviz.core.dual import key_along, placed_at
from gradviz.core.ops.folding import WHOLE, dims_of, kept, numpy_names, reduced
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.selection import MAXIMUM, MINIMUM
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.public import both, first_tensor
from gradviz.core.tensor import Tensor

_TIES = np.array([[1.0, 2.0, 2.0], [3.0, 3.0, -1.0]])
_NAN = np.array([[1.0, np.nan], [0.5, 2.0]])


def _need_elements(name: str, x: Any, dim: Any) -> None:
    """Raise PyTorch's errors where there is nothing to choose from."""
    if x.size:
        return
    if dim is None or dim == ():
        error = IndexError if name.startswith("arg") else RuntimeError
        hint = "" if name.startswith("arg") else " Specify the reduction dim with the 'dim' argument."
        raise error(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.{hint}")
    for axis in dims_of(dim, x.ndim):
        if not x.shape[axis]:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


def _extreme(name: str, ufunc: Any) -> Callable[..., Any]:
    def forward(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        _need_elements(name, x, dim)
        return reduced(ufunc, x, dim, keepdim)

    return forward


def _evenly(g: Any, x: Any, out: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The cotangent of a reduced `out`, shared by the elements that equal it."""
    out = kept(out, x.shape, dim, keepdim)
    chosen = (x == out) | (np.isnan(x) & np.isnan(out))
    return kept(g, x.shape, dim, keepdim) * chosen / reduced(np.add, chosen, dim, True)


def _at(name: str, choose: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that gives, over one dimension, the chosen elements and their indices."""

    def forward(x: Any, dim: int, keepdim: bool) -> Any:
        axis = wrap(dim, x.ndim)
        _need_elements(name, x, dim)
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        index = choose(x, axis)
        values = _taken(x, index, axis)
        return (values, index) if keepdim else (values.squeeze(axis), index.squeeze(axis))

    return forward


def _taken(x: Any, index: Any, axis: int) -> Any:
    """What `index` points at along `axis`, where it has length 1."""
    if axis < x.ndim - 1 or not x.flags.c_contiguous:
        return np.take_along_axis(x, index, axis)
    # Along rows that follow each other numpy's way takes three times as long.
    length = x.shape[axis]
    return x.take(index + np.arange(0, index.size * length, length).reshape(index.shape))


def _to_index(g: Any, indices: Any, shape: tuple[int, ...], dim: int, keepdim: bool) -> Any:
    """The first output's cotangent, put where its elements came from."""
    if not shape:
        return g[0]
    axis = wrap(dim, len(shape))
    if not keepdim:
        return placed_at(np.expand_dims(g[0], axis), shape, key_along(np.expand_dims(indices, axis), axis))
    return placed_at(g[0], shape, key_along(indices, axis))


def _whole_samples() -> list[Sample]:
    return [sample(grid(2, 3)), sample(integers(4)), sample(_TIES, smooth=False), sample(_NAN, smooth=False)]


def _dim_samples() -> list[Sample]:
    some = [sample(grid(2, 3), 1), sample(grid(2, 3, 2), dim=-2, keepdim=True), sample(integers(2, 3), 0)]
    return [*some, sample(_TIES, 1, smooth=False), sample(_NAN, 1, smooth=False)]


def _several_dims_samples() -> list[Sample]:
    some = [sample(grid(2, 3)), sample(grid(2, 3), 1), sample(grid(2, 3, 2), dim=(0, -1), keepdim=True)]
    return [*some, sample(_TIES, smooth=False), sample(_TIES, 1, smooth=False)]


MAX = op(
    "max(x)",
    _extreme("max", np.maximum),
    node="MaxBackward1",
    x=lambda g, x, out: _evenly(g, x, out),
    samples=_whole_samples,
)
MIN = op(
    "min(x)",
    _extreme("min", np.minimum),
    node="MinBackward1",
    x=lambda g, x, out: _evenly(g, x, out),
    samples=_whole_samples,
)
MAX_DIM = op(
    "max(x, *, dim, keepdim=False)",
    _at("max", lambda x, axis: x.argmax(axis, keepdims=True)),
    key="max.dim",
    node="MaxBackward0",
    x=lambda g, out1, shape, dim, keepdim: _to_index(g, out1, shape, dim, keepdim),
    nondifferentiable_outputs=(1,),
    samples=_dim_samples,
)
MIN_DIM = op(
    "min(x, *, dim, keepdim=False)",
    _at("min", lambda x, axis: x.argmin(axis, keepdims=True)),
    key="min.dim",
    node="MinBackward0",
    x=lambda g, out1, shape, dim, keepdim: _to_index(g, out1, shape, dim, keepdim),
    nondifferentiable_outputs=(1,),
    samples=_dim_samples,
)
AMAX = op("amax(x, *, dim=(), keepdim=False)", _extreme("amax", np.maximum), x=_evenly, samples=_several_dims_samples)
AMIN = op("amin(x, *, dim=(), keepdim=False)", _extreme("amin", np.minimum), x=_evenly, samples=_several_dims_samples)


def _index(name: str, choose: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: Any, dim: int | None, keepdim: bool) -> Any:
        if x.dtype.kind == "b":
            raise RuntimeError(f"{name}(): does not support bool input")
        _need_elements(name, x, dim)
        axis = None if dim is None or not dims_of(dim, x.ndim) else wrap(dim, x.ndim)
        return choose(x, axis, keepdims=keepdim)

    return forward


def _argument_samples() -> list[Sample]:
    some = [sample(grid(2, 3)), sample(grid(2, 3), 1), sample(grid(2, 3), dim=-2, keepdim=True)]
    return [*some, sample(_TIES, 1), sample(_NAN), sample(integers(2, 3), None, True)]


ARGMAX = op("argmax(x, *, dim=None, keepdim=False)", _index("argmax", np.argmax), samples=_argument_samples)
ARGMIN = op("argmin(x, *, dim=None, keepdim=False)", _index("argmin", np.argmin), samples=_argument_samples)

_MaxResult = return_type("max", "values", "indices")
_MinResult = return_type("min", "values", "indices")
_MedianResult = return_type("median", "values", "indices")


@both
@numpy_names
def max(input: Tensor, dim: Any = WHOLE, keepdim: bool = False) -> Any:
    """The largest element; over `dim`, the largest ones and their indices; beside another tensor, `maximum`."""
    return _choose("max", MAX, MAX_DIM, MAXIMUM, _MaxResult, input, dim, keepdim)


@both
@numpy_names
def min(input: Tensor, dim: Any = WHOLE, keepdim: bool = False) -> Any:
    """The smallest element; over `dim`, the smallest ones and their indices; beside another tensor, `minimum`."""
    return _choose("min", MIN, MIN_DIM, MINIMUM, _MinResult, input, dim, keepdim)


def _choose(
    name: str, whole: Row, along: Row, pairwise: Row | None, results: Any, input: Any, dim: Any, keepdim: bool
) -> Any:
    input = first_tensor(name, input)
    if dim is WHOLE:
        return apply(whole, (input,))
    if isinstance(dim, Tensor) and pairwise is not None:
        return called(name)(apply)(pairwise, (input, dim))
    return results(apply_several(along, (input,), (dim, keepdim)))


@both
@numpy_names
def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest element over `dim` (an int, several, or all)."""
    return apply(AMAX, (first_tensor("amax", input),), (dim, keepdim))


@both
@numpy_names
def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest element over `dim` (an int, several, or all)."""
    return apply(AMIN, (first_tensor("amin", input),), (dim, keepdim))


@both
@numpy_names
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element, over `dim` or in the flattened tensor; the first one of several."""
    return apply(ARGMAX, (first_tensor("argmax", input),), (dim, keepdim))


@both
@numpy_names
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element, over `dim` or in the flattened tensor; the first one of several."""
    return apply(ARGMIN, (first_tensor("argmin", input),), (dim, keepdim))


# ---- the middle


def _middle(x: Any, axis: int) -> Any:
    """Index of the lower median along an axis; of the first NaN, where there is one."""
    order = np.argsort(x, axis, kind="stable")
    index = np.take(order, [(x.shape[axis] - 1) // 2], axis)
    if x.dtype.kind == "f":
        strange = np.isnan(x)
        index = np.where(strange.any(axis, keepdims=True), np.argmax(strange, axis, keepdims=True), index)
    return index


def _middle_of_all(x: Any) -> Any:
    if not x.size:
        if x.dtype.kind != "f":
            return np.full((), np.iinfo(x.dtype).min, x.dtype)
        return np.full((), np.nan, x.dtype)
    flat = x.reshape(-1)
    return flat[_middle(flat, 0)[0]]


MEDIAN = op("median(x)", _middle_of_all, x=lambda g, x, out: _evenly(g, x, out), samples=_whole_samples)
MEDIAN_DIM = op(
    "median(x, *, dim, keepdim=False)",
    _at("median", _middle),
    key="median.dim",
    node="MedianBackward1",
    x=lambda g, out1, shape, dim, keepdim: _to_index(g, out1, shape, dim, keepdim),
    nondifferentiable_outputs=(1,),
    samples=lambda: [sample(grid(2, 3), 1), sample(grid(2, 4, 2), dim=-2, keepdim=True), sample(_NAN, 1, smooth=False)],
)


@both
@numpy_names
def median(input: Tensor, dim: Any = WHOLE, keepdim: bool = False) -> Any:
    """The lower median of all elements; over `dim`, the medians and their indices."""
    return _choose("median", MEDIAN, MEDIAN_DIM, None, _MedianResult, input, dim, keepdim)
