"""Fractional max pooling: windows that overlap by a step that is drawn, so that the result may have any size.

Source: B. Graham, "Fractional max-pooling", arXiv:1412.6071.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply_several
from gradviz.core.composites import composite
from gradviz.core.dual import run_row
from gradviz.core.ops.max_pooling import PUT
from gradviz.core.ops.table import Row, op
from gradviz.core.public import FUNCTIONS, first_tensor, functional
from gradviz.core.tensor import Tensor

Pair = tuple[int, int]


def _starts(drawn: Any, length: int, count: int, width: int) -> Any:
    """Where `count` windows begin along a dimension: (..., count) for `drawn` in [0, 1), whose dtype is computed in."""
    last = np.full((*drawn.shape, 1), length - width)
    if count == 1:
        return last
    step = drawn.dtype.type(length - width) / drawn.dtype.type(count - 1)
    places = (np.arange(count - 1, dtype=drawn.dtype) + drawn[..., None]) * step
    return np.concatenate([places.astype(np.int64) - (drawn * step).astype(np.int64)[..., None], last], -1)


def _largest(x: Any, kernel: Pair, size: Pair, drawn: Any) -> Any:
    height, width = x.shape[-2:]
    images = x.reshape(-1, height * width)
    draws = drawn.reshape(-1, 2)
    rows = _starts(draws[:, 1], height, size[0], kernel[0])[:, :, None] + np.arange(kernel[0])
    columns = _starts(draws[:, 0], width, size[1], kernel[1])[:, :, None] + np.arange(kernel[1])
    places = rows[:, :, None, :, None] * width + columns[:, None, :, None, :]
    places = places.reshape(len(images), size[0] * size[1], kernel[0] * kernel[1])
    found = np.take_along_axis(images[:, None], places, 2)
    chosen = found.argmax(2)[..., None]
    shape = (*x.shape[:-2], *size)
    return tuple(np.take_along_axis(one, chosen, 2).reshape(shape) for one in (found, places))


FRACTIONAL_MAX_POOL: Row = op(
    "fractional_max_pool2d(x, *, kernel, size, drawn)",
    _largest,
    node="FractionalMaxPool2DBackward0",
    call="nn.functional.fractional_max_pool2d",
    x=lambda g, out1, shape: run_row(PUT, (g[0], out1), (tuple(shape), 2)),
    nondifferentiable_outputs=(1,),
)


@functional
@composite
def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The greatest of each window. Input (n, channels, height, width) or one image; with their places if asked for.

    output_size or output_ratio: how many windows there are, or that as a part of the input's height and width.
    _random_samples: (n, channels, 2), in [0, 1), in place of what is drawn.
    Raises ValueError where neither is given, RuntimeError where the windows do not fit.
    """
    images = first_tensor("fractional_max_pool2d", input)
    if output_size is None and output_ratio is None:
        raise ValueError("fractional_max_pool2d requires specifying either an output_size or an output_ratio")
    lengths, kernel = images.shape[-2:], _pair(kernel_size)
    if output_size is None:
        size = tuple(int(length * part) for length, part in zip(lengths, _pair(output_ratio), strict=True))
    else:
        size = _pair(output_size)
    for name, length, width, count in zip(("height", "width"), lengths, kernel, size, strict=True):
        if count + width - 1 > length:
            raise RuntimeError(
                f"fractional_max_pool2d(): pool {name} {width} too large relative to input {name} {length}"
            )
    drawn = _random_samples
    if drawn is None:
        batch = 1 if images.dim() == 3 else images.shape[0]
        drawn = FUNCTIONS["rand"](batch, images.shape[-3], 2, dtype=images.dtype)
    array = drawn._data if isinstance(drawn, Tensor) else np.asarray(drawn)
    results = apply_several(FRACTIONAL_MAX_POOL, (images,), (kernel, size, array))
    return results if return_indices else results[0]


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)
