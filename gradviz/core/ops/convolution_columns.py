"""Convolutions of small images: channels come last, so that windows are copied in long pieces, for all samples at once.

Shapes: x (N, C, ...), weight (O, C, kernel...), g and result (N, O, ...); a window is (kernel..., C).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.ops.windows import FEW, SUMS, Sizes, blocks, inside

LONG = 24
"""From so many numbers in one line of a window on, of all channels, it pays to let them lie side by side."""
SMALL = 256
"""Up to so many positions of the filters in a sample, windows are quicker to copy so than lines of the image."""


def goes_by_columns(count: int, channels: int, kernel: Sizes, size: Sizes) -> bool:
    """Whether `by_columns` is quicker than a product for each sample."""
    return count > 1 and channels * kernel[-1] > 2 * LONG and FEW <= math.prod(size) <= SMALL


def weighs_by_columns(channels: int, kernel: Sizes, size: Sizes) -> bool:
    """Whether `weight_grad_by_columns` is quicker."""
    return math.prod(kernel) > 1 and channels * kernel[-1] >= LONG and math.prod(size) <= SMALL


def by_columns(x: Any, weight: Any, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """The convolution of `x`, which is not padded yet."""
    rows = _channels_last(weight)
    out = np.empty((len(x), len(weight), math.prod(size)), x.dtype)
    for block in blocks(len(x), rows.shape[1] * out.shape[2] * x.itemsize):
        columns = _columns(x[block], weight.shape[2:], stride, padding, dilation, size)
        np.matmul(rows, columns.reshape(-1, out.shape[2], rows.shape[1]).swapaxes(1, 2), out=out[block])
    return out.reshape(*out.shape[:2], *size)


def _channels_last(weight: Any) -> Any:
    """The filters, one a row, as windows are laid out."""
    return np.ascontiguousarray(np.moveaxis(weight, 1, -1)).reshape(len(weight), -1)


def _columns(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """The windows, one a row: (N * positions, kernel * C)."""
    longer = (length + 2 * pad for length, pad in zip(x.shape[2:], padding, strict=True))
    whole = np.zeros((len(x), *longer, x.shape[1]), x.dtype)
    whole[(*inside(x.shape[2:], padding), slice(None))] = np.moveaxis(x, 1, -1)
    sample, *steps, channel = whole.strides
    strides = (
        sample,
        *(step * jump for step, jump in zip(steps, stride, strict=True)),
        *(step * gap for step, gap in zip(steps, dilation, strict=True)),
        channel,
    )
    views = np.ndarray((len(x), *size, *kernel, x.shape[1]), x.dtype, whole, 0, strides)
    return views.reshape(len(x) * math.prod(size), -1)


def weight_grad_by_columns(
    g: Any, x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Any:
    """What the filters get: the cotangents of all positions, times the windows there."""
    (filters, *size), channels = g.shape[1:], x.shape[1]
    total = np.zeros((filters, math.prod(kernel) * channels), g.dtype)
    for block in blocks(len(g), total.shape[1] * math.prod(size) * g.itemsize, SUMS):
        columns = _columns(x[block], kernel, stride, padding, dilation, tuple(size))
        total += g[block].swapaxes(0, 1).reshape(filters, -1) @ columns
    return np.ascontiguousarray(np.moveaxis(total.reshape(filters, *kernel, channels), -1, 1))


def puts_by_columns(g: Any) -> bool:
    """Whether there are more filters than positions, so that the filters are the most to move."""
    return bool(g.size < 2 * g.shape[1] ** 2)


def input_grad_by_columns(
    g: Any, weight: Any, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Any:
    """What the input gets: the cotangent of all windows, added up where they lie."""
    (filters, channels, *kernel), places = weight.shape, g.shape[2:]
    longer = (length + 2 * pad for length, pad in zip(size, padding, strict=True))
    columns = g.swapaxes(0, 1).reshape(filters, -1).T @ _channels_last(weight)
    each = columns.reshape(len(g), *places, *kernel, channels)
    whole = np.zeros((len(g), *longer, channels), g.dtype)
    positions = (slice(None),) * (1 + len(places))
    for offset in np.ndindex(*kernel):
        where = (
            slice(at * gap, at * gap + step * (length - 1) + 1, step)
            for at, gap, step, length in zip(offset, dilation, stride, places, strict=True)
        )
        whole[(slice(None), *where)] += each[(*positions, *offset)]
    found = whole[(slice(None), *inside(size, padding)[1:])]
    return np.ascontiguousarray(np.moveaxis(found, -1, 1))
