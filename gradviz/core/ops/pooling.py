"""The largest element or the mean of each window: `max_pool2d`, `avg_pool2d`, adaptive ones, and their relatives.

Shapes: x (N, C, ...), result (N, C, ...). `max_pool` also gives, for each window, the flat position of its largest
element in the input's last dimensions.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gradviz.core.dual import array_of, run_row
from gradviz.core.ops.convolution import Sizes, padded, put_windows, windows
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.tensor import Tensor


def _whole(x: Any, count: int) -> Any:
    """With a batch and channels in one dimension each: (1, everything before, size...)."""
    return x.reshape(1, math.prod(x.shape[: x.ndim - count]), *x.shape[x.ndim - count :])


# ---- the largest


def _lowest(x: Any) -> Any:
    return -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min


def _in_windows(offset: Sizes, stride: Sizes, dilation: Sizes, size: Sizes) -> tuple[Any, ...]:
    """Where the elements lie that are at one place of each window."""
    return (
        ...,
        *(
            slice(at * gap, at * gap + step * (places - 1) + 1, step)
            for at, gap, step, places in zip(offset, dilation, stride, size, strict=True)
        ),
    )


def _largest_values(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """`_largest` without positions: one dimension after the other."""
    count = len(kernel)
    whole = padded(_whole(x, count), padding, _lowest(x))
    for axis, width in enumerate(kernel):
        behind = (slice(None),) * (count - axis - 1)
        step, gap, places = ((one[axis],) for one in (stride, dilation, size))
        parts = [whole[(*_in_windows((at,), step, gap, places), *behind)] for at in range(width)]
        whole = parts[0].copy() if width == 1 else np.maximum(parts[0], parts[1])
        for part in parts[2:]:
            np.maximum(whole, part, out=whole)
    return whole.reshape(*x.shape[: x.ndim - count], *size)


def _routed(
    g: Any, x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes, values: Any
) -> Any:
    """Each cotangent added where its window first has its largest value, which is not NaN."""
    count = len(kernel)
    whole = padded(_whole(x, count), padding, _lowest(x))
    g, values = _whole(g, count), _whole(values, count)
    found = np.zeros(whole.shape, g.dtype)
    left = np.ones(values.shape, np.bool_)
    for offset in np.ndindex(kernel):
        where = _in_windows(offset, stride, dilation, size)
        here = whole[where] == values
        here &= left
        left ^= here
        found[where] += g * here
    inside: Any = (..., *(slice(pad, pad + length) for pad, length in zip(padding, x.shape[-count:], strict=True)))
    return np.ascontiguousarray(found[inside]).reshape(x.shape)


def _largest(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    count = len(kernel)
    views = windows(padded(_whole(x, count), padding, _lowest(x)), kernel, stride, dilation, size)[0]
    inner = tuple(range(1, count + 1))
    flat = np.moveaxis(views, inner, range(-count, 0)).reshape(len(views), *size, math.prod(kernel))
    place = flat.argmax(-1)
    values = np.take_along_axis(flat, place[..., None], -1)[..., 0]
    if padding != (0,) * count:
        place = _first_inside(x.shape[x.ndim - count :], kernel, stride, padding, dilation, size, place, values)
    position = np.zeros((), np.int64)
    for axis, offset in enumerate(np.unravel_index(place, kernel)):
        start = np.arange(size[axis]) * stride[axis] - padding[axis]
        start = start.reshape(-1, *(1,) * (count - axis - 1))
        position = position * x.shape[x.ndim - count + axis] + start + offset * dilation[axis]
    shape = (*x.shape[: x.ndim - count], *size)
    return values.reshape(shape), position.reshape(shape)


def _first_inside(
    lengths: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    size: Sizes,
    place: Any,
    values: Any,
) -> Any:
    """The place where a window enters the input, for windows that hold nothing above the padding's value."""
    lost = np.isneginf(values) if values.dtype.kind == "f" else values == np.iinfo(values.dtype).min
    if not lost.any():
        return place
    first = np.zeros((), np.int64)
    for axis, width in enumerate(kernel):
        start = np.arange(size[axis]) * stride[axis] - padding[axis]
        skipped = np.where(start < 0, -(start // dilation[axis]), 0).reshape(-1, *(1,) * (len(kernel) - axis - 1))
        first = first * width + skipped
    return np.where(lost, first, place)


def _put(g: Any, indices: Any, shape: Sizes, count: int) -> Any:
    """Each cotangent added where its element came from."""
    size = math.prod(shape[len(shape) - count :])
    channels = math.prod(shape[: len(shape) - count])
    flat = np.zeros(channels * size, g.dtype)
    where = indices.reshape(channels, math.prod(indices.shape[indices.ndim - count :]))
    where = where + np.arange(channels)[:, None] * size
    np.add.at(flat, where.reshape(-1), g.reshape(-1))
    return flat.reshape(shape)


def _picked(x: Any, indices: Any, count: int) -> Any:
    flat = x.reshape(*x.shape[: x.ndim - count], -1)
    lead = indices.shape[: indices.ndim - count]
    return np.take_along_axis(flat, indices.reshape(*lead, -1), -1).reshape(indices.shape)


PUT: Row = op(
    "max_pool_backward(g, indices, *, size, count)",
    lambda g, indices, size, count: _put(g, indices, size, count),
    key="max_pool.backward",
    node="MaxPool2DWithIndicesBackwardBackward0",
    g=lambda g, indices, count: run_row(PICK, (g, indices), (count,)),
)
PICK: Row = op(
    "max_pool_picked(x, indices, *, count)",
    _picked,
    key="max_pool.picked",
    node="GatherBackward0",
    x=lambda g, indices, shape, count: run_row(PUT, (g, indices), (tuple(shape), count)),
)


def _max_row(count: int, key: str, node: str, call: str, forward: Any, static: str, samples: Any) -> Row:
    op(
        f"{call}(x, *, {static})",
        _largest_values if static == _WINDOWS else lambda *given: forward(*given)[0],
        key=f"{key}.values",
        node=node,
        call=f"nn.functional.{call}",
        x=_found_again(forward, static, count),
        samples=lambda: [one for one in samples() if not one.kwargs.get("return_indices")],
    )
    return op(
        f"{call}_with_indices(x, *, {static})",
        forward,
        key=key,
        node=node,
        call=f"nn.functional.{call}",
        x=lambda g, out1, shape: run_row(PUT, (g[0], out1), (tuple(shape), count)),
        nondifferentiable_outputs=(1,),
        samples=lambda: [one for one in samples() if one.kwargs.get("return_indices")],
    )


def _found_again(forward: Any, static: str, count: int) -> Any:
    """The VJP where nobody asked for the positions: they are looked for again."""

    def of_windows(g: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, size: Any) -> Any:
        if not isinstance(g, Tensor):
            array = array_of(x)
            values = _largest_values(array, kernel, stride, padding, dilation, size)
            if np.isfinite(values).all() and np.isfinite(g).all():
                return _routed(g, array, kernel, stride, padding, dilation, size, values)
        indices = forward(array_of(x), kernel, stride, padding, dilation, size)[1]
        return run_row(PUT, (g, indices), (tuple(x.shape), count))

    def adaptive(g: Any, x: Any, size: Any) -> Any:
        return run_row(PUT, (g, forward(array_of(x), size)[1]), (tuple(x.shape), count))

    return of_windows if static == _WINDOWS else adaptive


_WINDOWS = "kernel, stride, padding, dilation, size"
_TIES = np.array([[[1.0, 1.0, 0.0, 1.0], [1.0, np.nan, 0.0, 0.0]]])

MAX_POOL = {
    2: _max_row(
        2,
        "max_pool2d",
        "MaxPool2DWithIndicesBackward0",
        "max_pool2d",
        _largest,
        _WINDOWS,
        lambda: [
            sample(grid(2, 3, 4, 4), 2),
            sample(grid(1, 2, 5, 5), (3, 2), stride=2, padding=1, ceil_mode=True),
            sample(grid(2, 5, 5), 2, 1, 0, 2, return_indices=True),
            sample(_TIES, 2, smooth=False),
            sample(np.full((1, 3, 3), -np.inf), 2, padding=1, return_indices=True, smooth=False),
        ],
    ),
    3: _max_row(
        3,
        "max_pool3d",
        "MaxPool3DWithIndicesBackward0",
        "max_pool3d",
        _largest,
        _WINDOWS,
        lambda: [
            sample(grid(1, 2, 3, 3, 2), 2, 1),
            sample(grid(2, 2, 3, 3), (2, 2, 3), padding=1),
            sample(grid(1, 2, 3, 3, 2), 2, 1, return_indices=True),
        ],
    ),
}


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
    whole[inside] = _whole(wide, count)
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
    parts = _whole(g / shares, count)[0]
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
def _edges(length: int, places: int) -> tuple[tuple[int, int], ...]:
    """Where each window starts and stops."""
    return tuple((at * length // places, -((at + 1) * length // -places)) for at in range(places))


@functools.cache
def _averaging(length: int, places: int, kind: Any) -> Any:
    """(places, length): the matrix whose rows take the mean of each window."""
    matrix = np.zeros((places, length), kind)
    for row, (start, stop) in zip(matrix, _edges(length, places), strict=True):
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


def _adaptive_largest(x: Any, size: Sizes) -> Any:
    count = len(size)
    lengths = x.shape[x.ndim - count :]
    flat = _whole(x, count)[0]
    values = np.empty((len(flat), *size), x.dtype)
    position = np.empty(values.shape, np.int64)
    edges = [_edges(length, places) for length, places in zip(lengths, size, strict=True)]
    places = np.arange(math.prod(lengths)).reshape(lengths)
    for at in np.ndindex(size):
        window = tuple(slice(*edges[axis][place]) for axis, place in enumerate(at))
        part = flat[(slice(None), *window)]
        part = part.reshape(len(flat), math.prod(part.shape[1:]))
        chosen = part.argmax(1)
        values[(slice(None), *at)] = part[np.arange(len(flat)), chosen]
        position[(slice(None), *at)] = places[window].reshape(-1)[chosen]
    shape = (*x.shape[: x.ndim - count], *size)
    return values.reshape(shape), position.reshape(shape)


ADAPTIVE_MAX_POOL = {
    2: _max_row(
        2,
        "adaptive_max_pool2d",
        "AdaptiveMaxPool2DBackward0",
        "adaptive_max_pool2d",
        _adaptive_largest,
        "size",
        lambda: [sample(grid(2, 3, 4, 5), 3), sample(grid(2, 4, 5), (1, 2), return_indices=True)],
    )
}
