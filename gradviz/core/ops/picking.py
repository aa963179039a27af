"""Elements by their positions: `repeat_interleave`, `take_along_dim`, `combinations`, `tril_indices`, ..."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from gradviz.core.composites import composite, whole
from gradviz.core.ops.shapes import wrap
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, both, function, method
from gradviz.core.tensor import Tensor


@both
@whole
def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Tensor:
    """Each element `repeats` times in a row, along `dim` or in the flattened tensor."""
    if dim is None:
        input, dim = input.flatten(), 0
    axis = wrap(dim, input.ndim)
    counts = np.asarray(repeats._data if isinstance(repeats, Tensor) else repeats)
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    if counts.ndim and counts.size not in (1, input.shape[axis]):
        raise RuntimeError("repeats must have the same size as input along dim")
    index = np.repeat(np.arange(input.shape[axis]), counts)
    result: Tensor = input.index_select(axis, FUNCTIONS["from_numpy"](index))
    return result


@both
@composite
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """`gather` with an index that is broadcast."""
    if dim is None:
        result: Tensor = input.view(-1).gather(0, indices.view(-1))
        return result
    axis = wrap(dim, input.ndim)
    shape = np.broadcast_shapes(
        *(tuple(1 if at == axis else length for at, length in enumerate(one.shape)) for one in (input, indices))
    )
    wide = (*shape[:axis], indices.shape[axis], *shape[axis + 1 :])
    whole = (*shape[:axis], input.shape[axis], *shape[axis + 1 :])
    taken: Tensor = input.broadcast_to(whole).gather(axis, indices.broadcast_to(wide))
    return taken


@both
@composite
def msort(input: Any) -> Tensor:
    """The elements in order along the first dimension."""
    result: Tensor = input.sort(0).values
    return result


@function
@composite
def cartesian_prod(*tensors: Any) -> Tensor:
    """All ways to take one element of each vector, a row for each."""
    if len(tensors) == 1:
        result: Tensor = tensors[0]
        return result
    grids = FUNCTIONS["meshgrid"](*tensors, indexing="ij")
    rows: Tensor = FUNCTIONS["stack"]([one.reshape(-1) for one in grids], 1)
    return rows


@function
@composite
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to take `r` elements of a vector without regard to order, a row for each."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    ways = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    index = np.array(list(ways(range(len(input)), r)), np.int64).reshape(-1, r)
    result: Tensor = input[FUNCTIONS["from_numpy"](index)]
    return result


# ---- positions


@both
@composite
def argwhere(input: Any) -> Tensor:
    """The positions of the elements that are not zero."""
    result: Tensor = input.nonzero()
    return result


def _triangle(name: str, find: Any) -> None:
    def indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
        found = FUNCTIONS["from_numpy"](np.array(find(row, offset, col)))
        result: Tensor = found if dtype is None else found.to(dtype)
        return result

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = f"The rows and the columns of the elements of a matrix that `{name[:4]}` keeps: (2, count)."
    function(composite(indices))


_triangle("tril_indices", np.tril_indices)
_triangle("triu_indices", np.triu_indices)


@function
@composite
def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """For flat positions in a tensor of this shape the position along each dimension."""
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    found = np.unravel_index(indices._data, lengths)
    return tuple(FUNCTIONS["from_numpy"](np.asarray(part, np.int64)) for part in found)


# ---- along a diagonal


@both
@composite
def diagflat(input: Any, offset: int = 0) -> Tensor:
    """A matrix with the elements on a diagonal."""
    result: Tensor = FUNCTIONS["diag_embed"](input.reshape(-1), offset)
    return result


@function
@whole
def block_diag(*tensors: Any) -> Tensor:
    """A matrix with the given ones along its diagonal; a vector is one row."""
    blocks = [one if one.ndim == 2 else one.reshape(1, -1) for one in tensors]
    if any(one.ndim > 2 for one in tensors):
        raise RuntimeError("torch.block_diag: Input tensors must have 2 or fewer dimensions.")
    width = sum(one.shape[1] for one in blocks)
    rows, start = [], 0
    for one in blocks:
        rows.append(FUNCTIONAL["pad"](one, (start, width - start - one.shape[1])))
        start += one.shape[1]
    result: Tensor = FUNCTIONS["cat"](rows, 0)
    return result


@method
@composite
def fill_diagonal_(self: Any, fill_value: float, wrap: bool = False) -> Tensor:
    """Write a number over the diagonal, of all dimensions at once, in place."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    index = FUNCTIONS["arange"](min(self.shape))
    self[(index,) * self.ndim] = fill_value
    if wrap and self.ndim == 2 and self.shape[0] > self.shape[1] + 1:
        rows = np.arange(self.shape[1] + 1, self.shape[0])
        rows = rows[(rows % (self.shape[1] + 1)) < self.shape[1]]
        columns = FUNCTIONS["from_numpy"](rows % (self.shape[1] + 1))
        self[FUNCTIONS["from_numpy"](rows), columns] = fill_value
    result: Tensor = self
    return result
