"""`as_strided`: a view that goes through memory by steps of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided as strided

from gradviz.core.apply import apply
from gradviz.core.dual import added_at
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, first_tensor
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError


def _stepped(x: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Any:
    """The elements of an array in order, from number `offset` on, by steps."""
    flat = np.asarray(x).reshape(-1)
    return strided(flat[offset:], size, [step * flat.itemsize for step in stride])


def _back(g: Any, shape: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Any:
    places = np.full(size, offset, np.int64)
    for axis, (length, step) in enumerate(zip(size, stride, strict=True)):
        places += (np.arange(length) * step).reshape(-1, *(1,) * (len(size) - axis - 1))
    return added_at(g.reshape(-1), (math.prod(shape),), places.reshape(-1)).reshape(tuple(shape))


AS_STRIDED: Row = op(
    "as_strided(x, *, size, stride, storage_offset=0)",
    _stepped,
    key="as_strided.given",
    view=True,
    x=lambda g, shape, size, stride, storage_offset: _back(g, shape, size, stride, storage_offset),
    samples=lambda: [
        sample(grid(12), (3, 4), (4, 1)),
        sample(grid(12), (2, 3), (1, 2), 3),
        sample(grid(12), (3, 3), (1, 1)),
        sample(grid(12), (2,), (0,), storage_offset=5),
    ],
)


@both
def as_strided(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """The elements in memory from number `storage_offset` on, as `size`, one `stride` apart along each dimension.

    The input is to lie in memory in order and from its beginning. Raises RuntimeError for elements beyond its end.
    """
    array = first_tensor("as_strided", input)._array()
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(length < 0 for length in size):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(size)}: {list(size)}")
    if any(step < 0 for step in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    offset = 0 if storage_offset is None else storage_offset
    if not array.flags.c_contiguous or (storage_offset is not None and input.storage_offset()):
        raise NotWrittenError(
            "`as_strided` is written for tensors only that lie in memory in order and from its beginning",
            help="call `.contiguous()` first, or leave out `storage_offset`",
        )
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) and last >= array.size:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{array.itemsize} requiring a storage size of {(last + 1) * array.itemsize} are out of bounds for storage "
            f"of size {array.nbytes}"
        )
    return apply(AS_STRIDED, (input,), (size, stride, offset))
