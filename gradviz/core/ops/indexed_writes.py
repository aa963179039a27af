"""`x[...] = value`: the view that is written, or the one scatter into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.grad_mode import is_grad_enabled, is_inference_mode_enabled
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.indexing import (
    INDEX_PUT,
    MASK_TYPES,
    check_indices,
    check_sliceable,
    entries_of,
    index_of,
    key_of,
    selected,
    sliced,
    write,
)
from gradviz.core.ops.shaping import expand, view
from gradviz.core.ops.writing import COPY, FILL_TENSOR
from gradviz.core.public import METHODS, both, method, operand
from gradviz.core.tensor import Tensor
from gradviz.core.trace import PART, Trace, origin_of


@composite
def setitem(self: Tensor, index: Any, value: Any) -> None:
    """`self[index] = value`, in place; the gradient of what was overwritten goes to `value`."""
    if index is False:
        return
    if not isinstance(value, (Tensor, bool, int, float)):
        value = operand(value) if isinstance(value, (np.ndarray, np.generic)) else value
        if not isinstance(value, (Tensor, bool, int, float)):
            raise TypeError(f"can't assign a {type(value).__name__} to a torch.{self.dtype.type_name}")
    if index is True:
        index = None
    if type(index) is slice:
        check_sliceable(self)
    plain = type(index) is int
    part, indices = (selected(self, 0, index), []) if plain else sliced(self, entries_of(index))
    _mark_part(self, part, value)
    if not indices:
        _overwrite(part, value)
    else:
        if isinstance(value, Tensor) and value.shape[:1] == (1,):
            value = _without_leading_ones(value)
        _put_in(part, indices, value, False)


METHODS["__setitem__"] = setitem


def _mark_part(whole: Tensor, part: Tensor, value: Any) -> None:
    """Let the write be told of as one op on the whole, where that gets a new history by it."""
    tracks = is_grad_enabled() and not is_inference_mode_enabled()
    gains = tracks and (part.requires_grad or (isinstance(value, Tensor) and value.requires_grad))
    if whole._view is not None or (whole._origin.tracked and not gains):
        return
    origin: Trace | None = part._origin
    while origin is not None and origin is not whole._origin:
        origin.flags |= PART
        origin, _ = origin_of(origin.links[0])


def _overwrite(part: Tensor, value: Any) -> None:
    if (value.shape if isinstance(value, Tensor) else ()) == part.shape:
        apply_inplace(COPY, part, (value,), (), _copy_into)
    elif not isinstance(value, Tensor) or not value.ndim:
        apply_inplace(FILL_TENSOR, part, (value,), (), _copy_into)
    else:
        value = _without_leading_ones(value)
        if value.shape != part.shape:
            value = expand(value, part.shape)
        apply_inplace(COPY, part, (value,), (), _copy_into)


def _copy_into(memory: Any, value: Any) -> None:
    memory[...] = value


def _without_leading_ones(value: Tensor) -> Tensor:
    shape = value.shape
    ones = 0
    while ones < len(shape) and shape[ones] == 1:
        ones += 1
    return view(value, shape[ones:])


@method
def index_put_(
    self: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False
) -> Tensor:
    """Write `values`, broadcast, where `indices` (a tensor or None for each dimension) point; or add them."""
    return _put_in(self, _tensors_of(indices), values, accumulate)


@both
def index_put(input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy in which `values`, broadcast, are written, or added, where `indices` point."""
    tensors = _tensors_of(indices)
    _check_put(input, tensors, values)
    return apply(INDEX_PUT, (input, values, *tensors), (accumulate,))


def _tensors_of(indices: Sequence[Any]) -> list[Any]:
    for position, index in enumerate(indices):
        if index is not None and not isinstance(index, Tensor):
            raise TypeError(f"expected Tensor as element {position} in argument 1, but got {type(index).__name__}")
    return [index_of(index) for index in indices]


def _put_in(part: Tensor, indices: list[Any], value: Any, accumulate: bool) -> Tensor:
    _check_put(part, indices, value)
    return apply_inplace(INDEX_PUT, part, (value, *indices), (accumulate,), write, overlaps=True)


def _check_put(part: Tensor, indices: list[Any], value: Any) -> None:
    check_indices(part, indices)
    if not isinstance(value, Tensor):
        return
    if value.dtype is not part.dtype and not (value.numel() == 1 and _is_one_mask(indices)):
        names = [tensor.dtype.type_name.removesuffix("Tensor") for tensor in (part, value)]
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {names[0]} for the destination and "
            f"{names[1]} for the source."
        )
    shape = _shape_of(part, indices)
    try:
        fits = np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of "
            f"shape {list(shape)}"
        )


def _is_one_mask(indices: list[Any]) -> bool:
    return len(indices) == 1 and isinstance(indices[0], Tensor) and indices[0]._data.dtype in MASK_TYPES


def _shape_of(part: Tensor, indices: list[Any]) -> tuple[int, ...]:
    key = key_of([index._data if isinstance(index, Tensor) else index for index in indices])
    stand_in = np.broadcast_to(np.zeros((), np.bool_), part.shape)
    return tuple(stand_in[key].shape)
