"""Tensors put together and taken apart: `cat`, `stack`, `split`, `chunk`, `unbind`, iteration, `meshgrid`.

What takes a tensor apart gives several views at once; PyTorch forbids tracked in-place writes to those.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.composites import called, composite, renamed
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.shaping import expand, reshape, unsqueeze
from gradviz.core.ops.table import op, sample
from gradviz.core.public import FUNCTIONS, both, first_tensor, function
from gradviz.core.tensor import Tensor

# ---- rows


def _concatenated(*arguments: Any) -> Any:
    arrays = arguments[:-1]
    return np.concatenate([array for array in arrays if array.shape != (0,)] or arrays, arguments[-1])


def _side_by_side(*arguments: Any) -> Any:
    """numpy's `stack` looks at more."""
    *arrays, dim = arguments
    if not dim and arrays[0].ndim:
        return np.concatenate(arrays).reshape((len(arrays), *arrays[0].shape))
    before = (*(slice(None),) * dim, None)
    return np.concatenate([array[before] for array in arrays], dim)


def _part_of_cat(g: Any, index: int, shapes: list[tuple[int, ...]], dim: int) -> Any:
    if shapes[index] == (0,):
        return np.zeros_like(g[(*(slice(None),) * dim, slice(0, 0))].reshape(-1)[:0])
    start = sum(shape[dim] for shape in shapes[:index] if shape != (0,))
    return g[(*(slice(None),) * dim, slice(start, start + shapes[index][dim]))]


def _cut_up(x: Any, sizes: Sequence[int], dim: int) -> tuple[Any, ...]:
    before = (slice(None),) * dim
    ends = itertools.accumulate(sizes)
    return tuple([x[(*before, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True)])


def _split_evenly(x: Any, split_size: int, dim: int) -> tuple[Any, ...]:
    return _cut_up(x, _even_sizes(x.shape[dim], split_size), dim)


def _even_sizes(length: int, size: int) -> list[int]:
    if not length:
        return [0]
    return [min(size, length - start) for start in range(0, length, size)]


def _joined(g: tuple[Any, ...], outputs: Any, dim: int) -> Any:
    """Cotangent of what was split: the outputs' cotangents side by side, zeros where nothing came back."""
    return np.concatenate(_filled(g, outputs), dim)


def _stacked(g: tuple[Any, ...], outputs: Any, dim: int) -> Any:
    return np.stack(_filled(g, outputs), dim)


def _filled(g: Any, outputs: Any) -> list[Any]:
    parts = g if isinstance(g, tuple) else (g,)
    return [
        np.zeros(shape, array_type) if part is None else part
        for part, (shape, array_type) in zip(parts, outputs, strict=True)
    ]


CAT = op(
    "cat(*tensors, dim=0)",
    _concatenated,
    promotes=True,
    tensors=_part_of_cat,
    samples=lambda: [
        sample([grid(2, 3), grid(1, 3)]),
        sample([grid(2, 3), grid(2, 1), grid(2, 2)], dim=-1),
        sample([grid(2, 3)]),
        sample([grid(0), grid(2, 3)]),
    ],
)
STACK = op(
    "stack(*tensors, dim=0)",
    _side_by_side,
    promotes=True,
    tensors=lambda g, index, dim: g[(*(slice(None),) * dim, index)],
    samples=lambda: [
        sample([grid(2, 3), grid(2, 3)]),
        sample([grid(2), grid(2), grid(2)], dim=-1),
        sample([grid(), grid()]),
    ],
)
SPLIT = op(
    "split(x, *, split_size, dim=0)",
    _split_evenly,
    view=True,
    several=True,
    x=_joined,
    samples=lambda: [sample(grid(4, 3), 2), sample(grid(5, 2), 2), sample(grid(2, 3), 1, dim=-1)],
)
SPLIT_WITH_SIZES = op(
    "split(x, *, split_sizes, dim=0)",
    _cut_up,
    node="SplitWithSizesBackward0",
    key="split_with_sizes",
    view=True,
    several=True,
    x=_joined,
    samples=lambda: [sample(grid(4, 3), [1, 3]), sample(grid(2, 3), [2, 0, 1], dim=1)],
)


def _apart(x: Any, dim: int) -> Any:
    """Every slice of `x` along `dim`, as a view."""
    if not dim and x.ndim > 1:
        return tuple(x)  # of a vector that would give numbers
    return tuple([x[(*(slice(None),) * dim, number, ...)] for number in range(x.shape[dim])])


UNBIND = op(
    "unbind(x, *, dim=0)",
    _apart,
    view=True,
    several=True,
    x=_stacked,
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), -1), sample(grid(3))],
)

# ---- together


@function
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their other lengths must agree."""
    parts = _tensors("cat", tensors)
    if not parts:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    shape = parts[0]._data.shape
    if not shape or [part for part in parts if part._data.shape != shape]:
        shape = _common_shape(parts, dim)
    return apply(CAT, parts, (wrap(dim, len(shape)),))


def _common_shape(parts: list[Tensor], dim: int) -> Any:
    """The shape of the parts, but for `dim` and empty vectors. Raises RuntimeError where they do not agree."""
    for position, part in enumerate(parts):
        if not part._data.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {position}) cannot be concatenated")
    every = [part._data.shape for part in parts]
    shapes = [shape for shape in every if shape != (0,)] or every[:1]
    dim = wrap(dim, len(shapes[0]))
    for position, shape in enumerate(every):
        if shape in (shapes[0], (0,)):
            continue
        if len(shape) != len(shapes[0]):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(shapes[0])} and {len(shape)}"
            )
        for axis, (want, have) in enumerate(zip(shapes[0], shape, strict=True)):
            if axis != dim and want != have:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {want} but got size {have} "
                    f"for tensor number {position} in the list."
                )
    return shapes[0]


for _name in ("concat", "concatenate"):
    FUNCTIONS[_name] = called(_name)(cat)


@function
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new dimension `dim`."""
    parts = _tensors("stack", tensors)
    if not parts:
        raise RuntimeError("stack expects a non-empty TensorList")
    for position, part in enumerate(parts):
        if part._data.shape != parts[0]._data.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(parts[0].shape)} at entry 0 and "
                f"{list(part.shape)} at entry {position}"
            )
    return apply(STACK, parts, (wrap(dim, parts[0]._data.ndim + 1),))


@function
@composite
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along the second dimension, or the only one."""
    parts = [_at_least_1d(part) for part in _tensors("hstack", tensors)]
    return cat(parts, 0 if parts and parts[0].ndim == 1 else 1)


@function
@composite
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other; a vector is a row."""
    return cat([_at_least_2d(part) for part in _tensors("vstack", tensors)], 0)


def _tensors(name: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not hasattr(tensors, "__iter__"):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    parts = list(tensors)
    for position, part in enumerate(parts):
        if not isinstance(part, Tensor):
            raise TypeError(f"expected Tensor as element {position} in argument 0, but got {type(part).__name__}")
    return parts


def _at_least_1d(tensor: Tensor) -> Tensor:
    return tensor if tensor.ndim else reshape(tensor, 1)


def _at_least_2d(tensor: Tensor) -> Tensor:
    if not tensor.ndim:
        return reshape(tensor, 1, 1)
    return unsqueeze(tensor, 0) if tensor.ndim == 1 else tensor


@function
@composite
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """For each vector a tensor over the grid of all of them. indexing: "ij", or "xy" to swap the first two."""
    parts = _tensors("meshgrid", tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors)
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(parts) > 1
    if swap:
        parts[:2] = parts[1::-1]
    shape = [part.numel() for part in parts]
    grids = [
        expand(part.view(*(-1 if axis == number else 1 for axis in range(len(parts)))), shape)
        for number, part in enumerate(parts)
    ]
    if swap:
        grids = [grid.swapdims(0, 1) for grid in grids]
        grids[:2] = grids[1::-1]
    return tuple(grids)


# ---- apart


@both
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts along `dim`: each of a size but the last, which may be shorter, or of the sizes given."""
    shape = first_tensor("split", tensor)._data.shape
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = wrap(dim, len(shape))
    length = shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0:
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        if not size and length:
            raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {length}")
        return apply_several(SPLIT, (tensor,), (size, dim))
    sizes = tuple(split_size_or_sections)
    if any(size < 0 for size in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={list(sizes)}"
        )
    if sum(sizes) != length:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension "
            f"{dim}), but got split_sizes={list(sizes)}"
        )
    return apply_several(SPLIT_WITH_SIZES, (tensor,), (sizes, dim))


@both
@renamed
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal parts along `dim`; the last may be shorter."""
    if not first_tensor("chunk", input).ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = wrap(dim, input.ndim)
    size = -(-input.shape[dim] // chunks)
    if not size:
        return split(input, [0] * chunks, dim)
    return split(input, size, dim)


@both
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """A view for each index of `dim`, which they no longer have."""
    if not first_tensor("unbind", input).ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return apply_several(UNBIND, (input,), (wrap(dim, input._data.ndim),))
