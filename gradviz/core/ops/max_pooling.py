"""The largest element of each window: `max_pool2d`, `adaptive_max_pool2d`, and their relatives; `max_unpool2d`.

Shapes: x (N, C, ...), result (N, C, ...). With it comes, where that is asked for, the flat position of each window's
largest element in the input's last dimensions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.dual import array_of, run_row
from gradviz.core.ops.pooling import edges_of, whole_of
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.ops.windows import Sizes, padded, windows
from gradviz.core.tensor import Tensor


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
    whole = padded(whole_of(x, count), padding, _lowest(x))
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
    whole = padded(whole_of(x, count), padding, _lowest(x))
    g, values = whole_of(g, count), whole_of(values, count)
    found = np.zeros(whole.shape, g.dtype)
    left = np.ones(values.shape, np.bool_)
    apart = all(step > gap * (width - 1) for step, gap, width in zip(stride, dilation, kernel, strict=True))
    last = tuple(width - 1 for width in kernel)
    for offset in np.ndindex(kernel):
        where = _in_windows(offset, stride, dilation, size)
        if offset == last:
            here = left  # what was found nowhere before
        else:
            here = whole[where] == values
            here &= left
            left ^= here
        if apart:
            found[where] = g * here
        else:
            found[where] += g * here
    inside: Any = (..., *(slice(pad, pad + length) for pad, length in zip(padding, x.shape[-count:], strict=True)))
    return np.ascontiguousarray(found[inside]).reshape(x.shape)


def _largest(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    count = len(kernel)
    views = windows(padded(whole_of(x, count), padding, _lowest(x)), kernel, stride, dilation, size)[0]
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
    flat, where = (
        one.reshape(*one.shape[: one.ndim - count], math.prod(one.shape[one.ndim - count :])) for one in (x, indices)
    )
    return np.take_along_axis(flat, where, -1).reshape(indices.shape)


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


# ---- windows of any width, as many as the result has elements


def _adaptive_largest(x: Any, size: Sizes) -> Any:
    count = len(size)
    lengths = x.shape[x.ndim - count :]
    flat = whole_of(x, count)[0]
    values = np.empty((len(flat), *size), x.dtype)
    position = np.empty(values.shape, np.int64)
    edges = [edges_of(length, places) for length, places in zip(lengths, size, strict=True)]
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
    ),
    3: _max_row(
        3,
        "adaptive_max_pool3d",
        "AdaptiveMaxPool3DBackward0",
        "adaptive_max_pool3d",
        _adaptive_largest,
        "size",
        lambda: [sample(grid(1, 2, 3, 4, 3), 2), sample(grid(2, 3, 4, 3), (1, 2, 2), return_indices=True)],
    ),
}

# ---- back again


def _unpooled(x: Any, indices: Any, size: Sizes) -> Any:
    lead = x.shape[: x.ndim - len(size)]
    flat = np.zeros((*lead, math.prod(size)), x.dtype)
    shape = (*lead, math.prod(x.shape[len(lead) :]))
    np.put_along_axis(flat, indices.reshape(shape), x.reshape(shape), -1)
    return flat.reshape(*lead, *size)


def _unpool_row(count: int, samples: Any) -> Row:
    return op(
        f"max_unpool{count}d(x, indices, *, size)",
        _unpooled,
        node=f"MaxUnpool{count}DBackward0",
        call=f"nn.functional.max_unpool{count}d",
        x=lambda g, indices: run_row(PICK, (g, indices), (count,)),
        samples=samples,
    )


_INDICES = np.array([[[[5, 7], [13, 15]], [[0, 2], [9, 14]]]])
MAX_UNPOOL = {
    2: _unpool_row(
        2,
        lambda: [
            sample(grid(1, 2, 2, 2), _INDICES, 2),
            sample(grid(2, 2, 2), _INDICES[0], 2, output_size=(5, 4)),
        ],
    ),
    3: _unpool_row(3, lambda: [sample(grid(1, 1, 1, 2, 2), _INDICES[:, :1, None], (1, 2, 2))]),
}
