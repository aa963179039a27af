"""Windows as convolutions and pools lay them over their input: how many, a view of them, and their sum in place."""

from __future__ import annotations

from typing import Any

import numpy as np

Sizes = tuple[int, ...]

BLOCK = 1 << 20
"""Most bytes of windows that are copied at once, so that they are still in the cache when they are multiplied."""
SUMS = 1 << 22
"""Most bytes of cotangents of windows that are made at once, before they are added up."""
FEW = 32
"""Below so many positions of the filter, or in one line of them, those of all samples go into one product."""


def out_size(size: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """How many positions a kernel takes along each dimension."""
    return tuple(
        (length + 2 * pad - gap * (width - 1) - 1) // step + 1
        for length, width, step, pad, gap in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def padded(x: Any, padding: Sizes, value: float = 0) -> Any:
    """`x` in one piece of memory, with `padding` more on both sides of each dimension after the second."""
    if not any(padding):
        return np.ascontiguousarray(x)
    shape = (*x.shape[:2], *(length + 2 * pad for length, pad in zip(x.shape[2:], padding, strict=True)))
    whole = np.zeros(shape, x.dtype) if value == 0 else np.full(shape, value, x.dtype)
    whole[inside(x.shape[2:], padding)] = x
    return whole


def windows(x: Any, kernel: Sizes, stride: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """A view of a padded `x` in one piece: (N, C, kernel..., size...), each window at its position."""
    steps = x.strides[2:]
    strides = (
        *x.strides[:2],
        *(step * gap for step, gap in zip(steps, dilation, strict=True)),
        *(step * jump for step, jump in zip(steps, stride, strict=True)),
    )
    return np.ndarray((*x.shape[:2], *kernel, *size), x.dtype, x, 0, strides)


def put_windows(columns: Any, padded_size: Sizes, stride: Sizes, dilation: Sizes) -> Any:
    """Add windows up where they lie: columns (C, kernel..., N, size...) to (C, N, padded_size...)."""
    count = len(padded_size)
    kernel, size = columns.shape[1 : 1 + count], columns.shape[2 + count :]
    whole = np.zeros((columns.shape[0], columns.shape[1 + count], *padded_size), columns.dtype)
    for offset in np.ndindex(kernel):
        where = tuple(
            slice(at * gap, at * gap + step * (length - 1) + 1, step)
            for at, gap, step, length in zip(offset, dilation, stride, size, strict=True)
        )
        whole[(slice(None), slice(None), *where)] += columns[(slice(None), *offset)]
    return whole


def inside(size: Sizes, padding: Sizes) -> tuple[Any, ...]:
    return (..., *(slice(pad, pad + length) for length, pad in zip(size, padding, strict=True)))


def blocks(count: int, size: int, most: int = BLOCK) -> Any:
    """Slices of `count` samples of `size` bytes each."""
    step = max(1, min(count, most // max(size, 1)))
    return (slice(start, start + step) for start in range(0, count, step))
