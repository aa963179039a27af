"""Convolutions of images with windows three lines high, two lines of results at once: a third fewer products.

Of the four lines that a pair of results sees, four sums are made, each is multiplied by one sum of the filters' lines,
and the results are sums of these products. Source: S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin
and S. Gray, arXiv:1509.09308, whose F(2, 3) this is. All factors are 1 and 1/2, so that no digit is lost.

Lines lie below each other, each with all channels and all samples, so that sums of lines are sums of long pieces of
memory. Shapes: x (N, C, height, width), weight (O, C, 3, width), g and result (N, O, ...).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from gradviz.core.ops.windows import SUMS, Sizes, blocks
from gradviz.core.tame import is_tame

WIDE = 32
"""From so many channels and filters on products take the time, and not sums."""
MANY = 1024
"""From so many positions of the filters on, in all samples, sums of the filters do not count."""
NEAR = 1 << 21
"""Most bytes of products that are made at once, before they are added up."""


def goes_by_pairs(
    x: Any, y: Any, channels: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes, positions: int
) -> bool:
    """Whether a convolution or cotangent that multiplies `x` and `y` is quicker by pairs and loses nothing by it."""
    wide = min(channels) >= WIDE and positions >= MANY and x.dtype == y.dtype == np.float32
    simple = wide and len(kernel) == 2 and kernel[0] == 3 and stride == (1, 1) and dilation[0] == 1
    return simple and is_tame(x) and is_tame(y)


def by_pairs(x: Any, weight: Any, padding: Sizes, dilation: Sizes, size: Sizes) -> Any:
    """The convolution of `x`, which is not padded yet."""
    filters, width = len(weight), weight.shape[3]
    taps = np.ascontiguousarray(weight.transpose(2, 3, 0, 1)).reshape(3, width * filters, -1)
    factors = np.stack([taps[0], *_halves(taps[0] + taps[2], taps[1]), taps[2]])[:, None]
    out = np.empty((len(x), filters, *size), x.dtype)
    for block in blocks(len(x), x[:1].nbytes, SUMS):
        _put_pairs(out[block], x[block], factors, padding, dilation[1])
    return out


def _halves(x: Any, y: Any) -> tuple[Any, Any]:
    x, y = x * x.dtype.type(0.5), y * y.dtype.type(0.5)
    return x + y, x - y


def _put_pairs(out: Any, x: Any, factors: Any, padding: Sizes, gap: int) -> None:
    (count, filters, high, wide), channels = out.shape, x.shape[1]
    pairs, width = -(-high // 2), factors.shape[2] // filters
    length = count * (x.shape[3] + 2 * padding[1])
    near = max(1, min(pairs, NEAR // (4 * width * filters * length * x.itemsize)))
    lines, sums, products, results = _pieces(
        x.dtype,
        (pairs + 1, 2, channels * length),
        (4, near, channels * length),
        (4, near, width, filters * length),
        (near, 2, filters * length),
    )
    _lay_out(x, padding, lines)
    for start in range(0, pairs, near):
        part = slice(min(near, pairs - start))
        _four_sums(lines[start : start + part.stop + 1], sums[:, part])
        parts = products[:, part]
        shape = (4, part.stop, width * filters, length)
        np.matmul(factors, sums[:, part].reshape(4, part.stop, channels, length), out=parts.reshape(shape))
        total = parts[:, :, 0]
        for at in range(1, width):
            total[..., : -at * gap] += parts[:, :, at, at * gap :]
        found = results[part]
        np.add(total[1], total[2], out=found[:, 0])
        found[:, 0] += total[0]
        np.subtract(total[1], total[2], out=found[:, 1])
        found[:, 1] -= total[3]
        place = out[:, :, 2 * start : 2 * (start + part.stop)]
        each = found.reshape(-1, filters, count, length // count)[: place.shape[2], ..., :wide]
        place[...] = each.transpose(2, 1, 0, 3)


def _pieces(kind: Any, *shapes: tuple[int, ...]) -> list[Any]:
    """Arrays cut from one piece of memory, which the system keeps at hand: many large ones it would fetch each time."""
    ends = list(itertools.accumulate(math.prod(shape) for shape in shapes))
    whole = np.empty(ends[-1], kind)
    return [whole[end - math.prod(shape) : end].reshape(shape) for shape, end in zip(shapes, ends, strict=True)]


def _lay_out(x: Any, padding: Sizes, lines: Any) -> None:
    """A padded `x` as lines, two by two: (pairs, 2, C * N * width)."""
    count, channels, height, wide = x.shape
    above, before = padding
    whole = lines.reshape(-1, channels, count, wide + 2 * before)
    whole.fill(0)
    whole[above : above + height, ..., before : before + wide] = x.transpose(2, 1, 0, 3)


def _four_sums(lines: Any, out: Any) -> None:
    """Of each two neighbouring pairs of lines the four sums that are multiplied."""
    first, second, third, fourth = lines[:-1, 0], lines[:-1, 1], lines[1:, 0], lines[1:, 1]
    np.subtract(first, third, out=out[0])
    np.add(second, third, out=out[1])
    np.subtract(third, second, out=out[2])
    np.subtract(second, fourth, out=out[3])


def weight_grad_by_pairs(g: Any, x: Any, width: int, padding: Sizes, dilation: Sizes) -> Any:
    """What the filters get: the same sums of lines, times sums of lines of the cotangent."""
    filters, high, wide = g.shape[1:]
    channels, longer, pairs = x.shape[1], x.shape[3] + 2 * padding[1], -(-high // 2)
    total = np.zeros((4, width, filters, channels), g.dtype)
    for block in blocks(len(x), x[:1].nbytes + g[:1].nbytes, SUMS):
        part = g[block]
        length = len(part) * longer
        lines, sums, both = _pieces(
            g.dtype,
            (pairs + 1, 2, channels * length),
            (4, channels, pairs, length),
            (4, filters, pairs, len(part), longer),
        )
        _lay_out(x[block], padding, lines)
        _four_sums(lines.reshape(-1, 2, channels, length), sums.swapaxes(1, 2))
        both.fill(0)
        both[0, ..., :wide] = part[:, :, ::2].transpose(1, 2, 0, 3)
        both[3, :, : high // 2, :, :wide] = part[:, :, 1::2].transpose(1, 2, 0, 3)
        np.add(both[0], both[3], out=both[1])
        np.subtract(both[0], both[3], out=both[2])
        ahead, behind = both.reshape(4, filters, -1), sums.reshape(4, channels, -1)
        for at in range(width):
            start = at * dilation[1]
            seen = behind[..., start:].swapaxes(1, 2)
            total[:, at] += ahead[..., : seen.shape[1]] @ seen
    plus, minus = _halves(total[1], total[2])
    rows = np.stack([total[0] + plus, minus, plus - total[3]])
    return np.ascontiguousarray(rows.transpose(2, 3, 0, 1))
