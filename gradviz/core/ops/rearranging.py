"""Other shapes and orders of the same elements: `rot90`, `atleast_2d`, `broadcast_tensors`, `hsplit`, `dstack`, ..."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.composites import composite
from gradviz.core.ops.shapes import wrap
from gradviz.core.public import FUNCTIONS, both, function, method
from gradviz.core.size import Size
from gradviz.core.tensor import Tensor


@both
@composite
def fliplr(input: Any) -> Tensor:
    """The columns in reverse."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    result: Tensor = input.flip((1,))
    return result


@both
@composite
def flipud(input: Any) -> Tensor:
    """The rows in reverse."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    result: Tensor = input.flip((0,))
    return result


@both
@composite
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned `k` times by a quarter, from the first of `dims` towards the second."""
    first, second = (wrap(dim, input.ndim) for dim in dims)
    turns = k % 4
    if turns == 1:
        result: Tensor = input.flip((second,)).transpose(first, second)
    elif turns == 2:
        result = input.flip((first, second))
    elif turns == 3:
        result = input.flip((first,)).transpose(first, second)
    else:
        result = input.clone()
    return result


@both
@composite
def adjoint(input: Any) -> Tensor:
    """The last two dimensions swapped."""
    result: Tensor = input.transpose(-2, -1)
    return result


# ---- dimensions


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


# ---- parts and joints


@both
@composite
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of nearly equal length, or between the given indices, along `dim`."""
    axis = wrap(dim, input.ndim)
    length = input.shape[axis]
    if isinstance(indices_or_sections, int):
        parts = indices_or_sections
        if parts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {parts}")
        each, more = divmod(length, parts)
        sizes = [each + (at < more) for at in range(parts)]
        starts = [sum(sizes[:at]) for at in range(parts)]
        return tuple(input.narrow(axis, start, size) for start, size in zip(starts, sizes, strict=True))
    edges = [0, *indices_or_sections, length]
    marks = [slice(start, stop).indices(length) for start, stop in itertools.pairwise(edges)]
    return tuple(input.narrow(axis, start, max(stop - start, 0)) for start, stop, _ in marks)


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
