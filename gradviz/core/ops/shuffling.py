"""Elements moved from channels to places and back, or among channels: `pixel_shuffle`, `channel_shuffle`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.dual import run_row
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, first_tensor, functional
from gradviz.core.tensor import Tensor


def _spread(x: Any, factor: int) -> Any:
    *lead, channels, height, width = x.shape
    inner = channels // factor**2
    parts = np.moveaxis(x.reshape(*lead, inner, factor, factor, height, width), (-4, -3), (-3, -1))
    return np.ascontiguousarray(parts).reshape(*lead, inner, height * factor, width * factor)


def _gathered(x: Any, factor: int) -> Any:
    *lead, channels, height, width = x.shape
    parts = x.reshape(*lead, channels, height // factor, factor, width // factor, factor)
    parts = np.moveaxis(parts, (-3, -1), (-4, -3))
    return np.ascontiguousarray(parts).reshape(*lead, channels * factor**2, height // factor, width // factor)


PIXEL_SHUFFLE: Row = op(
    "pixel_shuffle(x, *, upscale_factor)",
    _spread,
    call="nn.functional.pixel_shuffle",
    x=lambda g, upscale_factor: run_row(PIXEL_UNSHUFFLE, (g,), (upscale_factor,)),
    samples=lambda: [sample(grid(2, 8, 2, 3), 2), sample(grid(9, 1, 2), 3)],
)
PIXEL_UNSHUFFLE: Row = op(
    "pixel_unshuffle(x, *, downscale_factor)",
    _gathered,
    call="nn.functional.pixel_unshuffle",
    x=lambda g, downscale_factor: run_row(PIXEL_SHUFFLE, (g,), (downscale_factor,)),
    samples=lambda: [sample(grid(2, 2, 4, 6), 2), sample(grid(1, 3, 6), 3)],
)


@functional
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C * r * r, H, W) as (..., C, H * r, W * r)."""
    r = upscale_factor
    if first_tensor("pixel_shuffle", input).ndim < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    if input.shape[-3] % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={input.shape[-3]} is not divisible by {r * r}"
        )
    return apply(PIXEL_SHUFFLE, (input,), (r,))


@functional
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H * r, W * r) as (..., C * r * r, H, W)."""
    r = downscale_factor
    if first_tensor("pixel_unshuffle", input).ndim < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)"
        )
    for name, length in (("height", input.shape[-2]), ("width", input.shape[-1])):
        if length % r:
            which = -2 if name == "height" else -1
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({which})={length} "
                f"is not divisible by {r}"
            )
    return apply(PIXEL_UNSHUFFLE, (input,), (r,))


def _mixed(x: Any, groups: int) -> Any:
    parts = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(x.shape)


CHANNEL_SHUFFLE: Row = op(
    "channel_shuffle(x, *, groups)",
    _mixed,
    call="nn.functional.channel_shuffle",
    x=lambda g, shape, groups: run_row(CHANNEL_SHUFFLE, (g,), (shape[1] // groups,)),
    samples=lambda: [sample(grid(2, 6, 2, 2), 3), sample(grid(1, 4, 3), 2)],
)


@functional
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """One channel of each of `groups` after the other, in place of one group after the other."""
    if first_tensor("channel_shuffle", input).ndim < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}"
        )
    if groups <= 0 or input.shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {input.shape[1]} channels and {groups} groups."
        )
    return apply(CHANNEL_SHUFFLE, (input,), (groups,))


for _call in (pixel_shuffle, pixel_unshuffle, channel_shuffle):
    FUNCTIONS[_call.__name__] = _call
