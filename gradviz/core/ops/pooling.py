"""The mean of each window: `avg_pool2d`, `adaptive_avg_pool2d`, and their relatives.

Shapes: x (N, C, ...), result (N, C, ...).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gradviz.core.dual import run_row
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.ops.windows import Sizes, put_windows, windows


def whole_of(x: Any, count: int) -> Any:
    """With a batch and channels in one dimension each: (1, everything before, size...)."""
    return x.reshape(1, math.prod(x.shape[: x.ndim - count]), *x.shape[x.ndim - count :])


# ---- the mean


@functools.cache
def _shares(
    lengths: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    size: Sizes,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """What each window's sum is divided by: an int, or one for each window."""
    if divisor_override is not None:
        return divisor_override
    total: Any = np.ones((), np.int64)
    for length, width, step, pad, places in zip(lengths, kernel, stride, padding, size, strict=True):
        start = np.arange(places) * step - pad
        stop = np.minimum(start + width, length + pad)
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, length)
        total = total[..., None] * (stop - start)
    return total


def _mean(
    x: Any,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    size: Sizes,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    count = len(kernel)
    lengths = x.shape[x.ndim - count :]
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    longer = _longer(lengths, kernel, stride, padding, size)
    whole = np.zeros((1, math.prod(x.shape[: x.ndim - count]), *longer), wide.dtype)
    inside: Any = (..., *(slice(pad, pad + length) for pad, length in zip(padding, lengths, strict=True)))
    whole[inside] = whole_of(wide, count)
    views = windows(whole, kernel, stride, (1,) * count, size)[0]
    sums = np.add.reduce(views, axis=tuple(range(1, count + 1)), dtype=wide.dtype)
    shares = _shares(lengths, kernel, stride, padding, size, count_include_pad, divisor_override)
    means = sums / shares if x.dtype.kind == "f" else (sums / shares).astype(np.int64)
    return means.reshape(*x.shape[: x.ndim - count], *size).astype(x.dtype, copy=False)


def _longer(lengths: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, size: Sizes) -> Sizes:
    """Lengths with padding, and with what a last window beyond them reaches."""
    return tuple(
        max(length + 2 * pad, (places - 1) * step + width)
        for length, width, step, pad, places in zip(lengths, kernel, stride, padding, size, strict=True)
    )


def _spread(
    g: Any,
    lengths: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """Each cotangent shared by the elements of its window."""
    count = len(kernel)
    size = g.shape[g.ndim - count :]
    shares = _shares(lengths, kernel, stride, padding, size, count_include_pad, divisor_override)
    parts = whole_of(g / shares, count)[0]
    columns = np.broadcast_to(
        parts.reshape(len(parts), *(1,) * (count + 1), *size), (len(parts), *kernel, 1, *size)
    )
    longer = _longer(lengths, kernel, stride, padding, size)
    whole = put_windows(columns, longer, stride, (1,) * count)
    inside = whole[(..., *(slice(pad, pad + length) for pad, length in zip(padding, lengths, strict=True)))]
    return np.ascontiguousarray(inside).reshape(*g.shape[: g.ndim - count], *lengths).astype(g.dtype, copy=False)


SPREAD: Row = op(
    "avg_pool_backward(g, *, lengths, kernel, stride, padding, count_include_pad, divisor_override)",
    _spread,
    key="avg_pool.backward",
    node="AvgPool2DBackwardBackward0",
    g=lambda g, shape, kernel, stride, padding, count_include_pad, divisor_override: run_row(
        AVG_POOL[2],
        (g,),
        (kernel, stride, padding, tuple(shape[len(shape) - len(kernel) :]), count_include_pad, divisor_override),
    ),
)


def _avg_row(count: int, samples: Any) -> Row:
    return op(
        f"avg_pool{count}d(x, *, kernel, stride, padding, size, count_include_pad, divisor_override)",
        _mean,
        node=f"AvgPool{count}DBackward0",
        call=f"nn.functional.avg_pool{count}d",
        x=lambda g, shape, kernel, stride, padding, count_include_pad, divisor_override: run_row(
            SPREAD,
            (g,),
            (tuple(shape[len(shape) - count :]), kernel, stride, padding, count_include_pad, divisor_override),
        ),
        samples=samples,
    )


AVG_POOL: dict[int, Row] = {
    2: _avg_row(
        2,
        lambda: [
            sample(grid(2, 3, 4, 4), 2),
            sample(grid(1, 2, 5, 4), (3, 2), stride=2, padding=1, ceil_mode=True),
            sample(grid(2, 5, 5), 3, 2, 1, count_include_pad=False),
            sample(grid(2, 5, 5), 2, divisor_override=3),
        ],
    ),
    3: _avg_row(3, lambda: [sample(grid(1, 2, 3, 3, 2), 2, 1), sample(grid(2, 2, 3, 3), (2, 2, 3), padding=1)]),
}


# ---- windows of any width, as many as the result has elements


@functools.cache
def edges_of(length: int, places: int) -> tuple[tuple[int, int], ...]:
    """Where each window starts and stops."""
    return tuple((at * length // places, -((at + 1) * length // -places)) for at in range(places))


@functools.cache
def _averaging(length: int, places: int, kind: Any) -> Any:
    """(places, length): the matrix whose rows take the mean of each window."""
    matrix = np.zeros((places, length), kind)
    for row, (start, stop) in zip(matrix, edges_of(length, places), strict=True):
        row[start:stop] = 1 / (stop - start)
    return matrix


def _adaptive_mean(x: Any, size: Sizes) -> Any:
    out = x.astype(np.float32) if x.dtype == np.float16 else x
    for axis, places in enumerate(size, x.ndim - len(size)):
        matrix = _averaging(x.shape[axis], places, out.dtype)
        out = np.moveaxis(np.moveaxis(out, axis, -1) @ matrix.T, -1, axis)
    return np.ascontiguousarray(out, x.dtype)


def _adaptive_spread(g: Any, lengths: Sizes) -> Any:
    out = g
    for axis, length in enumerate(lengths, g.ndim - len(lengths)):
        matrix = _averaging(length, g.shape[axis], g.dtype)
        out = np.moveaxis(np.moveaxis(out, axis, -1) @ matrix, -1, axis)
    return np.ascontiguousarray(out)


ADAPTIVE_SPREAD: Row = op(
    "adaptive_avg_pool_backward(g, *, lengths)",
    _adaptive_spread,
    key="adaptive_avg_pool.backward",
    node="AdaptiveAvgPool2DBackwardBackward0",
    g=lambda g, shape, lengths: run_row(ADAPTIVE_AVG_POOL[2], (g,), (tuple(shape[len(shape) - len(lengths) :]),)),
)


def _adaptive_row(count: int, samples: Any) -> Row:
    return op(
        f"adaptive_avg_pool{count}d(x, *, size)",
        _adaptive_mean,
        node=f"AdaptiveAvgPool{count}DBackward0",
        call=f"nn.functional.adaptive_avg_pool{count}d",
        x=lambda g, shape: run_row(ADAPTIVE_SPREAD, (g,), (tuple(shape[len(shape) - count :]),)),
        samples=samples,
    )


ADAPTIVE_AVG_POOL: dict[int, Row] = {
    2: _adaptive_row(2, lambda: [sample(grid(2, 3, 4, 5), 3), sample(grid(2, 4, 5), (None, 2))]),
    3: _adaptive_row(3, lambda: [sample(grid(1, 2, 4, 3, 2), 2)]),
}
