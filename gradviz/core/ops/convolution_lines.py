"""Convolutions of images line by line: a line of windows is copied once for all lines of results that look at it.

Shapes: x (N, C, height, width), padded; weight (O, C / groups, kernel...), g and result (N, O, ...).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.ops.windows import FEW, SUMS, Sizes, blocks, windows

NARROW = 48
"""Up to so many numbers in one line of a window, of all channels, windows are not copied whole but line by line."""


def goes_by_lines(channels: int, kernel: Sizes, stride: Sizes, dilation: Sizes) -> bool:
    """Whether `by_lines` is the quicker way."""
    simple = len(kernel) == 2 and stride == (1, 1) and dilation[0] == 1
    return simple and kernel[0] > 1 and channels * kernel[1] <= NARROW


def by_lines(x: Any, weight: Any, dilation: Sizes, size: Sizes) -> Any:
    """The convolution of a padded `x` with few channels, of which only the lines of windows are copied.

    They are laid out line below line, so that the windows of one line of results are one matrix already: windows of
    neighbouring lines share their memory. Short lines of all samples are put behind each other.
    """
    (count, channels, height, _), (filters, _, _, width) = x.shape, weight.shape
    sample, channel, line, step = x.strides
    rows = np.ascontiguousarray(weight.transpose(0, 2, 1, 3)).reshape(filters, -1)
    if size[1] >= FEW:
        shape: Any = (count, height, channels, width, size[1])
        parts = np.ndarray(shape, x.dtype, x, 0, (sample, line, channel, step * dilation[1], step)).copy()
        strides: Any = (parts.strides[0], parts.strides[1], step * size[1], step)
        out = np.empty((count, filters, *size), x.dtype)
        matrices = np.ndarray((count, size[0], rows.shape[1], size[1]), x.dtype, parts, 0, strides)
        np.matmul(rows, matrices, out=out.swapaxes(1, 2))
        return out
    found = rows @ _beside(x, weight.shape[2:], dilation, size)
    return np.ascontiguousarray(found.reshape(size[0], filters, count, size[1]).transpose(2, 1, 0, 3))


def _beside(x: Any, kernel: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """For each line of results the windows of all samples, one beside the other: (lines, window, N * width)."""
    (count, channels, height, _), (sample, channel, line, step) = x.shape, x.strides
    shape = (height, channels, kernel[1], count, size[1])
    parts = np.ndarray(shape, x.dtype, x, 0, (line, channel, step * dilation[1], sample, step)).copy()
    length = count * size[1]
    strides = (parts.strides[0], step * length, step)
    return np.ndarray((size[0], kernel[0] * channels * kernel[1], length), x.dtype, parts, 0, strides)


def weight_grad_by_lines(g: Any, x: Any, kernel: Sizes, dilation: Sizes, groups: int) -> Any:
    """What the filters get, from the lines of windows alone: those of one line of all windows lie in one piece."""
    count, filters, high, wide = g.shape
    inner, width = x.shape[1] // groups, kernel[1]
    views = windows(x, (1, width), (1, 1), (1, dilation[1]), (x.shape[2], wide))
    total = np.zeros((kernel[0], groups, inner * width, filters // groups), g.dtype)
    for block in blocks(count, views[:1].size * x.itemsize):
        lines = views[block].reshape(-1, groups, inner * width, x.shape[2] * wide)
        part = g[block].reshape(-1, groups, filters // groups, high * wide).swapaxes(2, 3)
        for at in range(kernel[0]):
            start = at * dilation[0] * wide
            total[at] += np.add.reduce(lines[..., start : start + high * wide] @ part)
    rows = total.swapaxes(2, 3).reshape(kernel[0], filters, inner, width)
    return np.ascontiguousarray(np.moveaxis(rows, 0, 2))


def weighs_beside(channels: int, kernel: Sizes, stride: Sizes, dilation: Sizes, wide: int) -> bool:
    """Whether `weight_grad_beside` is quicker."""
    return goes_by_lines(channels, kernel, stride, dilation) and channels * kernel[1] < NARROW and wide <= FEW


def weight_grad_beside(g: Any, x: Any, kernel: Sizes, dilation: Sizes) -> Any:
    """What the filters get where channels are few and lines short: one product for each line of all samples."""
    count, filters, high, wide = g.shape
    total = np.zeros((kernel[0] * x.shape[1] * kernel[1], filters), g.dtype)
    for block in blocks(count, x[:1].nbytes * kernel[1] + g[:1].nbytes, SUMS):
        part = g[block].transpose(2, 1, 0, 3).reshape(high, filters, -1)
        total += np.add.reduce(_beside(x[block], kernel, dilation, (high, wide)) @ part.swapaxes(1, 2))
    rows = total.T.reshape(filters, kernel[0], -1, kernel[1])
    return np.ascontiguousarray(rows.swapaxes(1, 2))


def puts_by_lines(
    g: Any, inner: int, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes
) -> bool:
    """Whether `input_grad_by_lines` knows the way, and it is the quicker one."""
    filters, short = g.shape[1], 2 * g.shape[-1] <= FEW
    many = filters >= 2 * inner or (short and filters >= inner)
    return many and kernel[0] > 1 and _is_whole(g, kernel, stride, padding, dilation, size)


def puts_beside(
    g: Any, inner: int, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes
) -> bool:
    """Whether `input_grad_beside` knows the way, and it is the quicker one."""
    many = 2 * g.shape[1] >= inner and inner <= 2 * NARROW and kernel[-1] > 1
    return many and _is_whole(g, kernel, stride, padding, dilation, size) and _apart(kernel, dilation) <= g.shape[3]


def _apart(kernel: Sizes, dilation: Sizes) -> int:
    """From so many results in a line on, the zeros that keep samples apart do not count."""
    return 3 * dilation[1] * (kernel[1] - 1)


def _is_whole(g: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, size: Sizes) -> bool:
    """Whether lines are seen one by one, and each position of an image's filters gave a result."""
    if len(kernel) != 2 or stride != (1, 1) or dilation[0] != 1:
        return False
    high, wide = (
        length + gap * (width - 1) - 2 * pad
        for length, width, pad, gap in zip(g.shape[2:], kernel, padding, dilation, strict=True)
    )
    return (high, wide) == size and padding[0] < kernel[0]


def input_grad_beside(g: Any, weight: Any, size: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """What `input_grad_by_lines` gives, with the lines of samples beside each other and zeros between them.

    What each place in a line of the window says is then added up in one long piece.
    """
    (filters, inner, height, width), (_, gap) = weight.shape, dilation
    rows = weight[:, :, ::-1].transpose(3, 1, 2, 0).reshape(width * inner, height * filters)
    whole = np.empty((len(g), inner, *size), g.dtype)
    above, high, wide, step = height - 1 - padding[0], g.shape[2], g.shape[3] + gap * (width - 1), g.itemsize
    for block in blocks(len(g), (filters + width * inner) * (size[0] + height) * wide * step, SUMS):
        part = g[block]
        length = len(part) * wide
        lines = np.zeros((size[0] + height - 1, filters, len(part), wide), g.dtype)
        lines[above : above + high, ..., : g.shape[3]] = part.transpose(2, 1, 0, 3)
        shape, strides = (size[0], height * filters, length), (lines.strides[0], length * step, step)
        found = (rows @ np.ndarray(shape, g.dtype, lines, 0, strides)).reshape(size[0], width, inner * length)
        total = found[:, 0]
        for at in range(1, width):
            total[:, at * gap :] += found[:, at, : -at * gap]
        kept = total.reshape(size[0], inner, len(part), wide)[..., padding[1] : padding[1] + size[1]]
        whole[block] = kept.transpose(2, 1, 0, 3)
    return whole


def input_grad_by_lines(g: Any, weight: Any, size: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """What the input gets: for each of its lines one product with those lines of the cotangent that saw it.

    The cotangent is laid out line below line, so that the lines that saw one are one matrix already. What is left is to
    add up along a line. Short lines hold the elements of all samples, one beside the other.
    """
    (filters, inner, height, width), (_, gap) = weight.shape, dilation
    rows = weight[:, :, ::-1].transpose(1, 3, 2, 0).reshape(inner * width, height * filters)
    whole = np.empty((len(g), inner, *size), g.dtype)
    above, before, step = height - 1 - padding[0], padding[1], g.itemsize
    for block in blocks(len(g), rows.shape[1] * (size[0] + height) * g.shape[3] * step, SUMS):
        part = g[block]
        apart, beside = (len(part), 1) if g.shape[3] >= FEW else (1, len(part))
        lines = np.zeros((apart, size[0] + height - 1, filters, g.shape[3], beside), g.dtype)
        shape: Any = (apart, beside, *g.shape[1:])
        lines[:, above : above + g.shape[2]] = part.reshape(shape).transpose(0, 3, 2, 4, 1)
        length = g.shape[3] * beside
        strides: Any = (*lines.strides[:2], step * length, step)
        found = rows @ np.ndarray((apart, size[0], rows.shape[1], length), g.dtype, lines, 0, strides)
        each = found.reshape(apart, size[0], inner, width, length)
        total = np.zeros((apart, size[0], inner, (size[1] + 2 * before) * beside), g.dtype)
        for at in range(width):
            start = at * gap * beside
            total[..., start : start + length] += each[..., at, :]
        kept = total.reshape(apart, size[0], inner, -1, beside)[..., before : before + size[1], :]
        whole[block].reshape(apart, beside, inner, *size)[...] = kept.transpose(0, 4, 2, 1, 3)
    return whole
