"""Elements picked and placed by index tensors or masks: `gather`, `scatter`, `index_select`, `take`, `masked_select`"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import added_at, at_least_1d, cleared_at, key_along, placed_at, taken_at
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import flags, grid, integers
from gradviz.core.ops.shapes import broadcast, wrap
from gradviz.core.ops.table import op, sample
from gradviz.core.public import both, first_tensor, method, operand
from gradviz.core.tensor import Tensor

# ---- rows


def _gathered(x: Any, index: Any, dim: int) -> Any:
    return np.atleast_1d(x)[key_along(index, dim)].reshape(np.shape(index))


def _gathered_back(g: Any, shape: tuple[int, ...], index: Any, dim: int) -> Any:
    return added_at(at_least_1d(g), shape or (1,), key_along(index, dim)).reshape(shape)


def _corner(x: Any, index: Any) -> Any:
    """The part of `x` that an index of a smaller shape reads."""
    return np.atleast_1d(x)[tuple(slice(length) for length in np.shape(index) or (1,))]


def _scattered(x: Any, index: Any, values: Any, dim: int) -> Any:
    out = np.array(np.atleast_1d(x))
    out[key_along(index, dim)] = values
    return out.reshape(np.shape(x))


def _cleared(g: Any, index: Any, dim: int) -> Any:
    """Cotangent of what was scattered into: zero where it was written over."""
    return cleared_at(at_least_1d(g), key_along(index, dim)).reshape(g.shape)


def _cornered(g: Any, shape: tuple[int, ...], index: Any, dim: int) -> Any:
    """Cotangent of what was scattered: zero for the elements that the index did not read."""
    read = taken_at(at_least_1d(g), key_along(index, dim))
    return placed_at(read, shape or (1,), tuple(slice(length) for length in read.shape)).reshape(shape)


def _scatter_added(x: Any, index: Any, src: Any, dim: int) -> Any:
    out = np.array(np.atleast_1d(x))
    np.add.at(out, key_along(index, dim), _corner(src, index))
    return out.reshape(np.shape(x))


def _line(index: Any, dim: int) -> tuple[Any, ...]:
    return (*(slice(None),) * dim, np.atleast_1d(index))


def _kept_0d(out: Any, x: Any) -> Any:
    return out if np.ndim(x) or out.size != 1 else out.reshape(())


def _index_added(x: Any, index: Any, source: Any, dim: int, alpha: Any) -> Any:
    out = np.array(np.atleast_1d(x))
    np.add.at(out, _line(index, dim), source if alpha == 1 else alpha * source)
    return out.reshape(np.shape(x))


def _spread_over(g: Any, shape: tuple[int, ...], mask: Any) -> Any:
    """Cotangent of `x` for the elements that a mask kept; larger than `x` where the mask made it so."""
    whole = np.broadcast_shapes(shape, np.shape(mask))
    return placed_at(g, whole, np.broadcast_to(mask, whole))


GATHER = op(
    "gather(x, index, *, dim)",
    _gathered,
    x=_gathered_back,
    samples=lambda: [
        sample(grid(3, 2), 0, integers(4, 2, high=3)),
        sample(grid(3, 4), -1, integers(2, 3, high=4)),
        sample(grid(3), 0, integers(0)),
        sample(grid(), 0, np.int64(0)),
    ],
)
SCATTER = op(
    "scatter(x, index, src, *, dim)",
    lambda x, index, src, dim: _scattered(x, index, _corner(src, index), dim),
    x=_cleared,
    src=_cornered,
    samples=lambda: [
        sample(grid(3, 2), 0, np.array([[2, 0]]), grid(1, 2)),
        sample(grid(2, 4), -1, np.array([[3, 1]]), grid(2, 3)),
    ],
)
SCATTER_NUMBER = op(
    "scatter(x, index, *, value, dim)",
    lambda x, index, value, dim: _scattered(x, index, value, dim),
    key="scatter.number",
    node="ScatterBackward1",
    x=_cleared,
    samples=lambda: [sample(grid(3, 2), 0, np.array([[2, 0]]), 1.5), sample(grid(3, 2), 1, np.array([[1]]), 2)],
)
SCATTER_ADD = op(
    "scatter_add(x, index, src, *, dim)",
    _scatter_added,
    x=lambda g: g,
    src=_cornered,
    samples=lambda: [
        sample(grid(3, 2), 0, integers(4, 2, high=3), grid(4, 2)),
        sample(grid(2, 4), -1, np.array([[3, 1]]), grid(2, 3)),
    ],
)
INDEX_SELECT = op(
    "index_select(x, index, *, dim)",
    lambda x, index, dim: _kept_0d(np.atleast_1d(x)[_line(index, dim)], x),
    x=lambda g, shape, index, dim: added_at(at_least_1d(g), shape or (1,), _line(index, dim)),
    samples=lambda: [
        sample(grid(3, 2), 0, np.array([0, 2, 0])),
        sample(grid(3, 2), -1, np.array([1])),
        sample(grid(3, 2), 0, integers(0)),
    ],
)
INDEX_ADD = op(
    "index_add(x, index, source, *, dim, alpha=1)",
    _index_added,
    x=lambda g: g,
    source=lambda g, index, dim, alpha: taken_at(at_least_1d(g), _line(index, dim)) * alpha,
    samples=lambda: [
        sample(grid(3, 2), 0, np.array([0, 2, 0]), grid(3, 2)),
        sample(grid(2, 3), -1, np.array([1]), grid(2, 1), alpha=2),
    ],
)
TAKE = op(
    "take(x, index)",
    lambda x, index: np.reshape(x, -1)[index],
    x=lambda g, shape, index: added_at(g, (math.prod(shape),), index).reshape(shape),
    samples=lambda: [sample(grid(2, 3), np.array([[0, 5], [-1, 0]])), sample(grid(2, 3), integers(0))],
)
MASKED_SELECT = op(
    "masked_select(x, mask)",
    lambda x, mask: np.broadcast_to(x, np.broadcast_shapes(np.shape(x), np.shape(mask)))[
        np.broadcast_to(mask, np.broadcast_shapes(np.shape(x), np.shape(mask)))
    ],
    x=_spread_over,
    samples=lambda: [sample(grid(2, 3), flags(2, 3)), sample(grid(2, 3), flags(3)), sample(grid(3), flags(2, 3))],
)
NONZERO = op(
    "nonzero(x)",
    lambda x: np.stack(np.nonzero(np.atleast_1d(x)), 1)[:, : np.ndim(x)],
    samples=lambda: [sample(grid(2, 3)), sample(integers(2, 3)), sample(grid(0, 2)), sample(grid())],
)

# ---- by index


@both
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on; shaped like `index`."""
    dim = indexable("gather", input, dim, index)
    for axis, (have, want) in enumerate(zip(input.shape, index.shape, strict=False)):
        if axis != dim and want > have and index.numel():
            raise RuntimeError(
                f"Size does not match at dimension {axis} expected index {list(index.shape)} to be no larger than self "
                f"{list(input.shape)} apart from dimension {dim}"
            )
    _in_range(index, dim, input)
    return apply(GATHER, (input, index), (dim,))


@both
def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """A copy in which out[index[i][j]][j] = src[i][j] for dim 0, and so on. `src` may be a number."""
    return _scatter(input, dim, index, src, value, False)


@method
def scatter_(self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """In-place `scatter`."""
    return _scatter(self, dim, index, src, value, True)


def _scatter(input: Tensor, dim: int, index: Tensor, src: Any, value: Any, inplace: bool) -> Tensor:
    source = operand(value if src is None else src)
    dim = indexable("scatter", input, dim, index)
    if not isinstance(source, Tensor):
        _in_range(index, dim, input)
        if inplace:
            return apply_inplace(SCATTER_NUMBER, input, (index,), (source, dim))
        return apply(SCATTER_NUMBER, (input, index), (source, dim))
    check_scatter("scatter", input, dim, index, source)
    if inplace:
        return apply_inplace(SCATTER, input, (index, source), (dim,))
    return apply(SCATTER, (input, index, source), (dim,))


@both
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy in which out[index[i][j]][j] += src[i][j] for dim 0, and so on."""
    dim = indexable("scatter_add", input, dim, index)
    check_scatter("scatter_add", input, dim, index, src)
    return apply(SCATTER_ADD, (input, index, src), (dim,))


@method
def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """In-place `scatter_add`."""
    dim = indexable("scatter_add", self, dim, index)
    check_scatter("scatter_add", self, dim, index, src)
    return apply_inplace(SCATTER_ADD, self, (index, src), (dim,))


def indexable(name: str, input: Tensor, dim: int, index: Tensor) -> int:
    """`dim` counted from the front. Raises RuntimeError for an index that is no index of `input`."""
    dim = wrap(dim, first_tensor(name, input).ndim)
    if index._data.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if max(index.ndim, 1) != max(input.ndim, 1) and index.numel():
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    return dim


def check_scatter(name: str, input: Tensor, dim: int, index: Tensor, src: Tensor) -> None:
    """Raise RuntimeError where `src` does not fit `index`, or `index` leads out of `input`."""
    if src.dtype is not input.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if not index.numel():
        return
    if max(src.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    lengths = zip(index.shape, input.shape, src.shape, strict=False)
    for axis, (length, have, given) in enumerate(lengths):
        if (axis != dim and length > have) or length > given:
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from "
                f"dimension {dim} and to be no larger size than src {list(src.shape)}"
            )
    _in_range(index, dim, input)


def _in_range(index: Tensor, dim: int, input: Tensor) -> None:
    length = input.shape[dim] if input.ndim else 1
    bad = (index._data < 0) | (index._data >= length)
    if bad.any():
        position = np.atleast_1d(index._data)[np.atleast_1d(bad)][0]
        raise RuntimeError(f"index {position} is out of bounds for dimension {dim} with size {length}")


@both
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The indices `index` (a vector) of `dim`, copied."""
    dim = wrap(dim, first_tensor("index_select", input).ndim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index._data.dtype not in (np.int64, np.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if not input.ndim and index.numel() != 1:
        raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index.numel()} value(s)")
    length = input.shape[dim] if input.ndim else 1
    if index.numel() and ((index._data < 0) | (index._data >= length)).any():
        raise IndexError("index out of range in self")
    return apply(INDEX_SELECT, (input, index), (dim,))


@both
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy in which alpha * source[i] is added at `index[i]` of `dim`."""
    dim = _check_index_add(input, dim, index, source)
    return apply(INDEX_ADD, (input, index, source), (dim, alpha))


@method
def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """In-place `index_add`."""
    dim = _check_index_add(self, dim, index, source)
    return apply_inplace(INDEX_ADD, self, (index, source), (dim, alpha))


def check_lines(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    """Raise PyTorch's error of the op `name` where `source` is not as many lines of `input`'s as `index` names."""
    if input.dtype is not source.dtype:
        kinds = [tensor.dtype.type_name.removesuffix("Tensor") for tensor in (input, source)]
        raise RuntimeError(f"{name}(): self ({kinds[0]}) and source ({kinds[1]}) must have the same scalar type")
    count = source.shape[dim] if source.ndim else 1
    if count != index.numel():
        raise RuntimeError(
            f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim): ({count}), "
            f"for dim: {dim}"
        )
    if input.ndim and (source.shape[:dim], source.shape[dim + 1 :]) != (input.shape[:dim], input.shape[dim + 1 :]):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(input.shape)} source.shape = {list(source.shape)}"
        )


def _check_index_add(input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    dim = wrap(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError("index_add_(): Index is supposed to be a vector")
    if index._data.dtype not in (np.int64, np.int32):
        raise RuntimeError("index_add_(): Expected dtype int32/int64 for index")
    check_lines("index_add_", input, dim, index, source)
    _in_range(index, dim, input)
    return dim


@both
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at `index`, as if the tensor were flattened; shaped like `index`."""
    if index._data.dtype != np.int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {index.dtype.type_name.removesuffix('Tensor')}"
        )
    count = input.numel()
    if not count and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    bad = (index._data < -count) | (index._data >= count)
    if bad.any():
        position = np.atleast_1d(index._data)[np.atleast_1d(bad)][0]
        raise IndexError(f"out of range: tried to access index {position} on a tensor of {count} elements.")
    return apply(TAKE, (input, index))


# ---- by mask


@both
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask`, broadcast with them, is True; 1-D."""
    if mask._data.dtype != np.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    broadcast(input.shape, mask.shape)
    return apply(MASKED_SELECT, (input, mask))


@both
@composite
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero: (count, dimensions), or a vector for each dimension."""
    found = apply(NONZERO, (input if input.ndim or not as_tuple else input.unsqueeze(0),))
    return found.unbind(1) if as_tuple else found
