"""Functions that are others put together, and met less often: `trapezoid`, `cov`, `block_diag`, `combinations`, ..."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.composites import called, composite
from gradviz.core.ops.shapes import wrap
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, METHODS, both, function, method
from gradviz.core.size import Size
from gradviz.core.tensor import Tensor

# ---- shapes


def _each(call: Any, tensors: tuple[Any, ...]) -> Any:
    """`call` of one tensor, or of each of several, given one after the other or as a list."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tuple(call(one) for one in tensors[0])
    return call(tensors[0]) if len(tensors) == 1 else tuple(call(one) for one in tensors)


@function
@composite
def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one dimension."""
    return _each(lambda x: x if x.ndim else x.reshape(1), tensors)


@function
@composite
def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dimensions; a vector is one row."""
    return _each(lambda x: x if x.ndim > 1 else x.unsqueeze(0) if x.ndim else x.reshape(1, 1), tensors)


@function
@composite
def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dimensions; a matrix gets one of length 1 behind."""

    def make(x: Any) -> Any:
        if x.ndim == 2:
            return x.unsqueeze(-1)
        return x if x.ndim > 2 else x.unsqueeze(0).unsqueeze(-1) if x.ndim else x.reshape(1, 1, 1)

    return _each(make, tensors)


@function
@composite
def broadcast_tensors(*tensors: Any) -> Any:
    """All tensors as views of the shape that they broadcast to."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = FUNCTIONS["broadcast_shapes"](*(one.shape for one in given))
    return tuple(one if one.shape == shape else one.expand(shape) for one in given)


@function
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of these shapes broadcast to. Raises RuntimeError where there is none."""
    try:
        found = np.broadcast_shapes(*(tuple(shape) if isinstance(shape, Sequence) else (shape,) for shape in shapes))
    except ValueError:
        raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape") from None
    return Size(found)


@function
@composite
def column_stack(tensors: Sequence[Any]) -> Tensor:
    """Columns beside each other; a vector is one column."""
    columns = [one if one.ndim > 1 else one.reshape(one.numel(), 1) for one in tensors]
    result: Tensor = FUNCTIONS["hstack"](columns)
    return result


@function
@composite
def dstack(tensors: Sequence[Any]) -> Tensor:
    """Behind each other along a third dimension."""
    result: Tensor = FUNCTIONS["cat"](list(atleast_3d(*tensors)) if len(tensors) > 1 else [atleast_3d(*tensors)], 2)
    return result


def _splitter(name: str, axis: int, least: int) -> None:
    def split(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' * (least > 1)}, but got a tensor "
                f"with {input.ndim} dimensions!"
            )
        along = 0 if axis == 1 and input.ndim == 1 else axis
        if isinstance(indices_or_sections, int) and input.shape[along] % indices_or_sections:
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {along}, but the size of the dimension "
                f"{input.shape[along]} is not divisible by the split_size {indices_or_sections}!"
            )
        parts: tuple[Tensor, ...] = FUNCTIONS["tensor_split"](input, indices_or_sections, along)
        return parts

    split.__name__ = split.__qualname__ = name
    split.__doc__ = f"Parts of equal length, or between the given indices, along dimension {axis}."
    both(composite(split))


_splitter("hsplit", 1, 1)
_splitter("vsplit", 0, 2)
_splitter("dsplit", 2, 3)


@both
@composite
def diagflat(input: Any, offset: int = 0) -> Tensor:
    """A matrix with the elements on a diagonal."""
    result: Tensor = FUNCTIONS["diag_embed"](input.reshape(-1), offset)
    return result


@function
@composite
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


@both
@composite
def msort(input: Any) -> Tensor:
    """The elements in order along the first dimension."""
    result: Tensor = input.sort(0).values
    return result


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


@method
@composite
def sum_to_size(self: Any, *size: Any) -> Tensor:
    """Summed to a shape that broadcasts to its own."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    extra = self.ndim - len(shape)
    axes = [axis for axis in range(self.ndim) if axis < extra or (shape[axis - extra] == 1 != self.shape[axis])]
    total = self.sum(axes, keepdim=True) if axes else self
    result: Tensor = total.reshape(shape) if extra else total
    return result


# ---- sums and statistics


def _widths(x: Any, axis: int, ndim: int) -> Any:
    """Distances of neighbours, so that they broadcast along a dimension."""
    if x.ndim == 1 and ndim > 1:
        return x.diff().reshape(-1, *[1] * (ndim - axis - 1))
    return x.diff(dim=axis)


def _trapezoids(y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    axis = wrap(dim, y.ndim)
    length = y.shape[axis]
    both_ends = y.narrow(axis, 1, length - 1) + y.narrow(axis, 0, length - 1)
    return (both_ends * _widths(x, axis, y.ndim) if x is not None else both_ends * dx) / 2, axis


@function
@composite
def trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integral along `dim` by the trapezoidal rule, for points at `x`, or `dx` apart."""
    areas, axis = _trapezoids(y, x, dx, dim)
    result: Tensor = areas.sum(axis)
    return result


FUNCTIONS["trapz"] = called("trapz")(trapezoid)


@function
@composite
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """`trapezoid` from the first element to each of the others."""
    areas, axis = _trapezoids(y, x, dx, dim)
    result: Tensor = areas.cumsum(axis)
    return result


@both
@composite
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """How rows vary with each other: their covariances.

    correction: taken off the number of columns. fweights, aweights: how often a column counts, how much it weighs.
    """
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    rows = input if input.ndim == 2 else input.reshape(1, -1)
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    if weights is None:
        centred, count = rows - rows.mean(1, True), rows.shape[1] - correction
        result: Any = centred.mm(centred.t()) / max(count, 0)
    else:
        total = weights.sum()
        centred = rows - ((rows * weights).sum(1) / total).unsqueeze(1)
        less = (weights * aweights).sum() / total if aweights is not None and correction else 1
        result = centred.mm((centred * weights).t()) / (total - correction * less)
    found: Tensor = result if input.ndim == 2 else result.squeeze()
    return found


@both
@composite
def corrcoef(input: Any) -> Tensor:
    """How rows vary with each other: their correlations."""
    covariance: Any = cov(input)
    if not covariance.ndim:
        alone: Tensor = covariance / covariance
        return alone
    spread = covariance.diag().sqrt()
    result: Tensor = (covariance / spread.unsqueeze(1) / spread.unsqueeze(0)).clamp(-1, 1)
    return result


@function
@composite
def gradient(
    input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The slope along each dimension, from the neighbours on both sides, and at the ends from one.

    spacing: how far apart elements are: a number, or one for each dimension.
    """
    if edge_order != 1:
        raise RuntimeError("torch.gradient only supports edge_order=1")
    axes = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    steps = spacing if isinstance(spacing, (tuple, list)) else [spacing] * len(axes)
    found = []
    for given, step in zip(axes, steps, strict=True):
        axis = wrap(given, input.ndim)
        length = input.shape[axis]
        inside = (input.narrow(axis, 2, length - 2) - input.narrow(axis, 0, length - 2)) / (2 * step)
        first = (input.narrow(axis, 1, 1) - input.narrow(axis, 0, 1)) / step
        last = (input.narrow(axis, length - 1, 1) - input.narrow(axis, length - 2, 1)) / step
        found.append(FUNCTIONS["cat"]([first, inside, last], axis))
    return tuple(found)


# ---- products


@both
@composite
def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta * input + alpha * outer(vec1, vec2)`."""
    outer = FUNCTIONS["outer"](vec1, vec2)
    product = outer if alpha == 1 else outer * alpha
    result: Tensor = product if beta == 0 else (input if beta == 1 else input * beta) + product
    return result


@function
@composite
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element, from N - 1 down to 0, or from 0 up."""
    count = len(x) if N is None else N
    powers = FUNCTIONS["stack"]([x**power for power in range(count)], 1)
    result: Tensor = powers if increasing else powers.flip(1)
    return result


for _name in ("ger", "vdot"):
    FUNCTIONS[_name] = METHODS[_name] = called(_name)(FUNCTIONS["outer" if _name == "ger" else "dot"])


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


@both
@composite
def adjoint(input: Any) -> Tensor:
    """The last two dimensions swapped."""
    result: Tensor = input.transpose(-2, -1)
    return result


@function
@composite
def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """For flat positions in a tensor of this shape the position along each dimension."""
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    found = np.unravel_index(indices._data, lengths)
    return tuple(FUNCTIONS["from_numpy"](np.asarray(part, np.int64)) for part in found)

