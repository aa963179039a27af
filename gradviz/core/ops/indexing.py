"""`x[...]` and `x[...] = value`: the chain of views and the one gather or scatter that PyTorch makes of an index.

Integers, slices, `...`, `None` and booleans each make a view of what came before. Tensors, arrays and lists are kept,
one for each dimension that they index, and applied together at the end.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply, runner
from gradviz.core.composites import called
from gradviz.core.dual import added_at, cleared_at, placed_at, taken_at
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.shaping import unsqueeze
from gradviz.core.ops.table import op, sample
from gradviz.core.public import METHODS, both, first_tensor, operand
from gradviz.core.tensor import Tensor

# ---- rows


def _along(dim: int, entry: Any) -> tuple[Any, ...]:
    return (*(slice(None),) * dim, entry, ...)


def _placed(g: Any, shape: tuple[int, ...], key: Any) -> Any:
    """Zeros, with `g` at `key`."""
    return placed_at(g, shape, key)


def key_of(indices: Sequence[Any]) -> tuple[Any, ...]:
    """numpy's index for PyTorch's: None leaves a dimension whole, uint8 is a mask, an empty list has no position."""
    return tuple(
        slice(None)
        if index is None
        else np.asarray(index, None if index else np.int64)
        if isinstance(index, list)
        else index.astype(np.bool_)
        if index.dtype == np.uint8
        else index
        for index in indices
    )


def _gathered(x: Any, *indices: Any) -> Any:
    return x[key_of(indices)]


def _added_up(g: Any, shape: tuple[int, ...], indices: Sequence[Any]) -> Any:
    """Cotangent of `x` for `x[indices]`: an element that was taken twice gets both cotangents."""
    return added_at(g, shape, key_of(indices))


def _put(x: Any, value: Any, *rest: Any) -> Any:
    out = np.array(x)
    write(out, value, *rest)
    return out


def write(memory: Any, value: Any, *rest: Any) -> None:
    *indices, accumulate = rest
    if accumulate:
        np.add.at(memory, key_of(indices), value)
    else:
        memory[key_of(indices)] = value


def _cleared(g: Any, indices: Sequence[Any], accumulate: bool) -> Any:
    return g if accumulate else cleared_at(g, key_of(indices))


ALIAS = op(
    "alias(x)",
    lambda x: x[...],
    view=True,
    call="operator.getitem",
    x=lambda g: g,
    samples=lambda: [sample(grid(2, 3), ...), sample(grid(2, 3), ()), sample(grid(2, 3), (slice(None), slice(None)))],
)
SELECT = op(
    "select(x, *, dim, index)",
    lambda x, dim, index: x[_along(dim, index)] if dim else x[index, ...],
    view=True,
    x=lambda g, shape, dim, index: _placed(g, shape, _along(dim, index)),
    parts={"x": lambda dim, index: _along(dim, index)},
    samples=lambda: [sample(grid(2, 3), 0, 1), sample(grid(2, 3), -1, -2), sample(grid(3), 0, 2)],
)
SLICE = op(
    "slice(x, *, dim, start, end, step)",
    lambda x, dim, start, end, step: x[_along(dim, slice(start, end, step)) if dim else slice(start, end, step)],
    view=True,
    call="operator.getitem",
    x=lambda g, shape, dim, start, end, step: _placed(g, shape, _along(dim, slice(start, end, step))),
    parts={"x": lambda dim, start, end, step: _along(dim, slice(start, end, step))},
    samples=lambda: [
        sample(grid(4, 3), slice(1, 3)),
        sample(grid(4, 3), slice(None)),
        sample(grid(4, 3), (slice(None), slice(None, None, 2))),
        sample(grid(4, 3), (..., slice(-2, 9))),
        sample(grid(4), slice(3, 1)),
    ],
)
INDEX = op(
    "index(x, *indices)",
    _gathered,
    call="operator.getitem",
    x=_added_up,
    samples=lambda: [
        sample(grid(4, 3), integers(2, 3, high=4)),
        sample(grid(4, 3), [0, 0, -1]),
        sample(grid(4, 3), (slice(None), [2, 0])),
        sample(grid(4, 3, 2), ([0, 1], slice(None), [1, 0])),
        sample(grid(4, 3), ([[0], [3]], [1, 2])),
        sample(grid(2, 3), np.array([[True, False, True], [False, True, False]])),
        sample(grid(2, 3), (slice(None), [True, False, True])),
        sample(grid(2, 3), []),
    ],
)
INDEX_PUT = op(
    "index_put(x, value, *indices, accumulate=False)",
    _put,
    x=_cleared,
    value=lambda g, indices: taken_at(g, key_of(indices)),
    samples=lambda: [
        sample(grid(4, 3), (integers(2, high=4),), grid(2, 3)),
        sample(grid(4, 3), (np.array([0, 0]),), grid(3), accumulate=True),
        sample(grid(4, 3), (np.array([3, 0]), np.array([0, 1])), grid()),
    ],
)

# ---- reading


def getitem(self: Tensor, index: Any) -> Tensor:
    """`self[index]`: views for integers, slices, `...` and None; a copy where tensors, arrays or lists are in it."""
    if type(index) is int:
        lengths = self._data.shape
        if lengths and -lengths[0] <= index < lengths[0]:
            run = SELECT.runs.get(1) or runner(SELECT, 1)
            return run(self, 0, index % lengths[0])  # type: ignore[no-any-return]
        return selected(self, 0, index)
    if type(index) is slice:
        check_sliceable(self)
        return _slice(self, 0, index)
    if type(index) is tuple:
        dim, entry, place = _lone(index, self._data.ndim)
        if type(entry) is int:
            return selected(self, dim, entry, place)
        if type(entry) is slice and not _is_whole(entry, self._data.shape[dim]):
            return _slice(self, dim, entry)
    return _read(self, entries_of(index))


def _lone(entries: tuple[Any, ...], ndim: int) -> tuple[int, Any, int]:
    """Of an index whose other entries are `:` and at most one `...` the integer or slice: its dimension, it, its place.

    It takes one op, as most do that are written with a comma. (0, None, 0) for any other index.
    """
    dim, of, found, at, left = 0, 0, None, 0, ndim + 1 - len(entries)
    for place, entry in enumerate(entries):
        kind = type(entry)
        if entry is Ellipsis and left > -1:
            dim += left
            left = -1
        elif kind is slice and entry.start is entry.stop is entry.step is None:
            dim += 1
        elif (kind is int or kind is slice) and found is None:
            of, found, at = dim, entry, place
            dim += 1
        else:
            return 0, None, 0
    return (of, found, at) if dim <= ndim else (0, None, 0)


@called("")
def _read(self: Tensor, entries: tuple[Any, ...]) -> Tensor:
    part, indices = sliced(self, entries)
    if indices:
        return _indexed(part, indices)
    return apply(ALIAS, (self,)) if part is self else part


METHODS["__getitem__"] = getitem


def entries_of(index: Any) -> tuple[Any, ...]:
    """The index as a tuple, one entry for each thing between the commas."""
    if isinstance(index, tuple):
        return index
    if isinstance(index, list) and any(
        entry is None or entry is Ellipsis or isinstance(entry, (slice, list, tuple, Tensor, np.ndarray))
        for entry in index
    ):
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch "
            "2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index, "
            "x[torch.tensor(seq)], which will result either in an error or a different result",
            UserWarning,
            stacklevel=3,
        )
        return tuple(index)
    return (index,)


def sliced(tensor: Tensor, entries: tuple[Any, ...]) -> tuple[Tensor, list[Any]]:
    """The view that the plain entries make, and for its dimensions the tensors that are to index them, or None."""
    specified = sum(map(_dimensions, entries))
    ndim = tensor.ndim
    if specified > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    indices: list[Any] = []
    dim = 0

    def keep(index: Any) -> None:
        indices.extend([None] * (dim - len(indices)))
        indices.append(index)

    for place, entry in enumerate(entries):
        entry = _plain(entry)
        if entry is Ellipsis:
            dim += ndim - specified
        elif entry is None:
            tensor = unsqueeze(tensor, dim)
            dim += 1
        elif isinstance(entry, bool):
            tensor = unsqueeze(tensor, dim)
            keep([0] if entry else [])
            dim += 1
        elif isinstance(entry, int):
            tensor = selected(tensor, dim, entry, place)
        elif isinstance(entry, slice):
            if not _is_whole(entry, tensor._data.shape[dim]):
                tensor = _slice(tensor, dim, entry)
            dim += 1
        else:
            keep(entry)
            dim += 1
    return tensor, indices


def _dimensions(entry: Any) -> int:
    """How many dimensions an entry indexes: a mask as many as it has."""
    if isinstance(entry, (Tensor, np.ndarray)):
        data = entry._data if isinstance(entry, Tensor) else entry
        return int(data.ndim) if data.dtype.kind == "b" or data.dtype == np.uint8 else 1
    return 0 if entry is None or entry is Ellipsis or isinstance(entry, bool) else 1


def _plain(entry: Any) -> Any:
    """An entry as a Python number, a tensor of one dimension or more, or nested lists of numbers."""
    if entry is None or entry is Ellipsis or isinstance(entry, (bool, int, slice)):
        return entry
    entry = index_of(entry)
    if isinstance(entry, Tensor) and not entry._data.ndim:
        return bool(entry._data) if entry._data.dtype in MASK_TYPES else int(entry._data)
    return entry


def index_of(entry: Any) -> Any:
    """What may index a dimension by its elements: a tensor, or nested lists of numbers, which a trace may hold."""
    if isinstance(entry, np.ndarray):
        entry = operand(entry)
    if isinstance(entry, Tensor):
        if entry._data.dtype not in _INDEX_TYPES:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return entry
    if isinstance(entry, (list, tuple, range)):
        array = np.asarray(entry)
        if array.size and array.dtype.kind not in "iub":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return array.tolist()
    if entry is None or hasattr(entry, "__index__"):
        return None if entry is None else operator.index(entry)
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
        f"{type(entry).__name__})"
    )


MASK_TYPES = tuple(map(np.dtype, (np.bool_, np.uint8)))
_INDEX_TYPES = (*MASK_TYPES, *map(np.dtype, (np.int32, np.int64)))


_ZERO_DIM = (
    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim "
    "tensor to a number"
)


def selected(tensor: Tensor, dim: int, index: int, place: int = 0) -> Tensor:
    """One index of a dimension. place: which entry of the user's index it is; errors call the dimension so."""
    if not tensor._data.ndim:
        raise IndexError(_ZERO_DIM)
    length = tensor._data.shape[dim]
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of bounds for dimension {place} with size {length}")
    return (SELECT.runs.get(1) or runner(SELECT, 1))(tensor, dim, index % length)  # type: ignore[no-any-return]


def check_sliceable(tensor: Tensor) -> None:
    if not tensor._data.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")


def _is_whole(entry: slice, length: int) -> bool:
    if entry.start not in (None, 0) or entry.step not in (None, 1):
        return False
    return entry.stop is None or operator.index(entry.stop) >= length


def _slice(tensor: Tensor, dim: int, entry: slice) -> Tensor:
    start, end, step = entry.indices(tensor._data.shape[dim])
    if step <= 0:
        raise ValueError("step must be greater than zero")
    return (SLICE.runs.get(1) or runner(SLICE, 1))(tensor, dim, start, end, step)  # type: ignore[no-any-return]


def _indexed(tensor: Tensor, indices: list[Any]) -> Tensor:
    try:
        return apply(INDEX, (tensor, *indices))
    except IndexError:
        check_indices(tensor, indices)
        raise


def check_indices(tensor: Tensor, indices: Sequence[Any]) -> None:
    """Raise IndexError, in PyTorch's words, where the indices do not fit each other or the tensor."""
    if len(indices) > tensor.ndim:
        raise IndexError(f"too many indices for tensor of dimension {tensor.ndim} (got {len(indices)})")
    shapes: list[tuple[int, ...]] = []
    dim = place = 0  # errors count the dimensions that are indexed by tensors
    for index in key_of([index._data if isinstance(index, Tensor) else index for index in indices]):
        if isinstance(index, slice):
            dim += 1
        elif index.dtype.kind == "b":
            for axis, length in enumerate(index.shape):
                if dim + axis >= tensor.ndim or length != tensor.shape[dim + axis]:
                    raise IndexError(
                        f"The shape of the mask {list(index.shape)} at index {axis} does not match the shape of the "
                        f"indexed tensor {list(tensor.shape)} at index {dim + axis}"
                    )
            shapes.append((int(np.count_nonzero(index)),))
            dim += index.ndim
            place += index.ndim
        else:
            shapes.append(index.shape)
            length = tensor.shape[dim]
            for position in index.reshape(-1):
                if not -length <= position < length:
                    raise IndexError(f"index {position} is out of bounds for dimension {place} with size {length}")
            dim += 1
            place += 1
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes "
            + ", ".join(str(list(shape)) for shape in shapes)
        ) from None


@both
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The view at one index of `dim`, which it no longer has."""
    if not first_tensor("select", input).ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap(dim, input.ndim)
    length = input.shape[dim]
    if not -length <= index < length:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {dim}"
        )
    return apply(SELECT, (input,), (dim, index % length))


@both
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The view of `length` indices of `dim` from `start` on."""
    if not first_tensor("narrow", input).ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    dim = wrap(dim, input.ndim)
    size = input.shape[dim]
    start = operator.index(start)
    if not -size <= start <= size:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return apply(SLICE, (input,), (dim, start, start + length, 1))
