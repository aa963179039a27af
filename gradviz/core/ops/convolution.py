"""Convolutions of one to three dimensions, and transposed ones: `conv2d`, `conv_transpose2d`, ...

Each is one product of matrices: the filters, one a row, times the windows of the input, one a column. The cotangents
are rows of the table too, so that they have derivatives of their own: a convolution is linear in its input and in its
filters, so all derivatives of the three rows are these three rows again.

Shapes: x (N, C, ...), weight (O, C / groups, kernel...), bias (O,), result (N, O, ...).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.at_hand import keep_at_hand
from gradviz.core.dual import run_row, sums
from gradviz.core.ops.convolution_columns import (
    by_columns,
    goes_by_columns,
    input_grad_by_columns,
    puts_by_columns,
    weighs_by_columns,
    weight_grad_by_columns,
)
from gradviz.core.ops.convolution_lines import (
    by_lines,
    goes_by_lines,
    input_grad_beside,
    input_grad_by_lines,
    puts_beside,
    puts_by_lines,
    weighs_beside,
    weight_grad_beside,
    weight_grad_by_lines,
)
from gradviz.core.ops.convolution_pairs import MANY, by_pairs, goes_by_pairs, weight_grad_by_pairs
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.ops.windows import FEW, SUMS, Sizes, blocks, inside, out_size, padded, put_windows, windows
from gradviz.core.tensor import Tensor


def _channels_first(x: Any, groups: int) -> Any:
    """(N, C, ...) as (groups, C / groups, N * ...)."""
    return x.swapaxes(0, 1).reshape(groups, x.shape[1] // groups, -1)


def _wide(x: Any) -> Any:
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _dense(g: Any) -> Any:
    """`g` in one piece: the cotangent of a sum is one number that is seen everywhere, which is slow to multiply."""
    return np.ascontiguousarray(_wide(g))


# ---- the three products


def _forward(x: Any, weight: Any, bias: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    keep_at_hand()
    kind = x.dtype
    x, weight = _wide(x), _wide(weight)
    count, filters, kernel = len(x), len(weight), weight.shape[2:]
    size = out_size(x.shape[2:], kernel, stride, padding, dilation)
    channels = (x.shape[1], filters)
    if groups == 1 and goes_by_pairs(x, weight, channels, kernel, stride, dilation, count * math.prod(size)):
        return _biased(by_pairs(x, weight, padding, dilation, size), bias).astype(kind, copy=False)
    if groups == 1 and goes_by_lines(x.shape[1], kernel, stride, dilation):
        out = by_lines(padded(x, padding), weight, dilation, size)
        return _biased(out, bias).astype(kind, copy=False)
    if groups == 1 and goes_by_columns(count, x.shape[1], kernel, size):
        return _biased(by_columns(x, weight, stride, padding, dilation, size), bias).astype(kind, copy=False)
    places = math.prod(size)
    rows = weight.reshape(groups, filters // groups, -1)
    views = windows(padded(x, padding), kernel, stride, dilation, size)
    out = np.empty((count, groups, filters // groups, places), x.dtype)
    for block in blocks(count, rows.shape[2] * groups * places * x.itemsize):
        part = views[block]
        if places >= FEW or count == 1:
            np.matmul(rows, part.reshape(len(part), groups, -1, places), out=out[block])
        else:
            columns = np.moveaxis(part, 0, len(kernel) + 1).reshape(groups, -1, len(part) * places)
            out[block] = (rows @ columns).reshape(groups, -1, len(part), places).transpose(2, 0, 1, 3)
    return _biased(out.reshape(count, filters, *size), bias).astype(kind, copy=False)


def _biased(out: Any, bias: Any) -> Any:
    if bias is not None:
        out += bias.reshape(-1, *(1,) * (out.ndim - 2))
    return out


def _input_grad(
    g: Any, weight: Any, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    """What the cotangent of a convolution says of an input of this size: each filter put back where it was."""
    kind = g.dtype
    g, weight = _dense(g), _wide(weight)
    filters, inner, kernel = len(weight), weight.shape[1], weight.shape[2:]
    one, about = groups == 1, (inner, kernel, stride, padding, dilation, tuple(size))
    if one and puts_by_columns(g):
        return input_grad_by_columns(g, weight, size, stride, padding, dilation).astype(kind, copy=False)
    longer = tuple(length + 2 * pad for length, pad in zip(size, padding, strict=True))
    positions = len(g) * math.prod(size)
    pairs = one and goes_by_pairs(g, weight, (filters, inner), kernel, stride, dilation, positions)
    if one and not pairs and puts_beside(g, *about):
        return input_grad_beside(g, weight, size, padding, dilation).astype(kind, copy=False)
    if one and not pairs and puts_by_lines(g, *about):
        return input_grad_by_lines(g, weight, size, padding, dilation).astype(kind, copy=False)
    if set(stride) == {1}:
        beyond = tuple(gap * (width - 1) - pad for gap, width, pad in zip(dilation, kernel, padding, strict=True))
        narrow = one and goes_by_lines(filters, kernel, stride, dilation)
        if min(beyond) >= 0 and (pairs or narrow or filters < 2 * inner * groups):
            # A convolution again, with the filters turned round, where it copies less than adding windows up adds.
            turned = weight.reshape(groups, filters // groups, inner, *kernel).swapaxes(1, 2)
            turned = np.flip(turned, tuple(range(3, turned.ndim))).reshape(groups * inner, filters // groups, *kernel)
            whole = _forward(g, turned, None, stride, beyond, dilation, groups)
            if whole.shape[2:] == size:
                return whole.astype(kind, copy=False)
        return _put_shifted(g, weight, size, padding, dilation, groups).astype(kind, copy=False)
    rows = weight.reshape(groups, filters // groups, -1).swapaxes(1, 2)
    columns = (rows @ _channels_first(g, groups)).reshape(groups * inner, *kernel, len(g), *g.shape[2:])
    whole = put_windows(columns, longer, stride, dilation)[inside(size, padding)]
    return np.ascontiguousarray(whole.swapaxes(0, 1), kind)


def _put_shifted(g: Any, weight: Any, size: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """Windows at every position added up where they lie, in (N, C, size...).

    The cotangent lies in zeros of the padded size, so that all it says of one place in the window is a whole line of
    memory, which is added as far along as the place is from the window's beginning.
    """
    count, filters, inner, kernel = len(g), len(weight), weight.shape[1], weight.shape[2:]
    longer = tuple(length + 2 * pad for length, pad in zip(size, padding, strict=True))
    places = math.prod(longer)
    rows = weight.reshape(groups, filters // groups, -1).swapaxes(1, 2)
    steps = [math.prod(longer[axis + 1 :]) * gap for axis, gap in enumerate(dilation)]
    shifts = [sum(at * step for at, step in zip(offset, steps, strict=True)) for offset in np.ndindex(kernel)]
    whole = np.empty((count, groups * inner, *size), g.dtype)
    corner = (slice(None), slice(None), *map(slice, g.shape[2:]))
    wide = lines = np.empty(0)
    for block in blocks(count, rows.shape[1] * groups * places * g.itemsize, SUMS):
        part = g[block].swapaxes(0, 1)
        length = part.shape[1] * places
        if lines.shape[-1] != length:  # Memory is asked for once: pages that are new cost more than sums.
            wide = np.zeros((*part.shape[:2], *longer), g.dtype)
            lines = np.empty((groups, rows.shape[1], length), g.dtype)
        wide[corner] = part
        np.matmul(rows, wide.reshape(groups, filters // groups, length), out=lines)
        each = lines.reshape(groups, inner, len(shifts), length)
        total = each[:, :, 0]
        for at, shift in enumerate(shifts[1:], 1):
            total[..., shift:] += each[:, :, at, : length - shift]
        found = total.reshape(groups * inner, -1, *longer)[inside(size, padding)]
        whole[block] = found.swapaxes(0, 1)
    return whole


def _weight_grad(
    g: Any, x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    """What the cotangent of a convolution says of its filters: each window times the cotangent at its position."""
    kind = g.dtype
    g, x = _dense(g), _wide(x)
    filters, inner, places = g.shape[1], x.shape[1] // groups, math.prod(g.shape[2:])
    if groups == 1 and goes_by_pairs(g, x, (inner, filters), kernel, stride, dilation, MANY):
        return weight_grad_by_pairs(g, x, kernel[1], padding, dilation).astype(kind, copy=False)
    if groups == 1 and weighs_beside(inner, kernel, stride, dilation, g.shape[-1]):
        return weight_grad_beside(g, padded(x, padding), kernel, dilation).astype(kind, copy=False)
    if groups == 1 and weighs_by_columns(inner, kernel, g.shape[2:]):
        return weight_grad_by_columns(g, x, kernel, stride, padding, dilation).astype(kind, copy=False)
    if len(kernel) == 2 and stride == (1, 1):
        return weight_grad_by_lines(g, padded(x, padding), kernel, dilation, groups).astype(kind, copy=False)
    views = windows(padded(x, padding), kernel, stride, dilation, g.shape[2:])
    total = np.zeros((groups, filters // groups, inner * math.prod(kernel)), g.dtype)
    for block in blocks(len(g), total.shape[2] * groups * places * g.itemsize):
        part = views[block]
        if places >= FEW:
            columns = part.reshape(len(part), groups, -1, places).swapaxes(2, 3)
            total += np.add.reduce(g[block].reshape(-1, groups, filters // groups, places) @ columns)
        else:
            columns = np.moveaxis(part, 0, len(kernel) + 1).reshape(groups, total.shape[2], -1)
            total += _channels_first(g[block], groups) @ columns.swapaxes(1, 2)
    return total.reshape(filters, inner, *kernel).astype(kind, copy=False)


def _over_positions(g: Any) -> Any:
    return sums(g, (0, *range(2, g.ndim))).reshape(-1)


# ---- rows


INPUT_GRAD: Row = op(
    "convolution_backward(g, weight, *, size, stride, padding, dilation, groups)",
    _input_grad,
    key="convolution.input_grad",
    node="ConvolutionBackwardBackward0",
    g=lambda g, weight, stride, padding, dilation, groups: run_row(
        CONVOLUTION, (g, weight, None), (stride, padding, dilation, groups)
    ),
    weight=lambda g_, g, shape, stride, padding, dilation, groups: run_row(
        WEIGHT_GRAD, (g, g_), (shape[2:], stride, padding, dilation, groups)
    ),
)
WEIGHT_GRAD: Row = op(
    "convolution_backward(g, x, *, kernel, stride, padding, dilation, groups)",
    _weight_grad,
    key="convolution.weight_grad",
    node="ConvolutionBackwardBackward0",
    g=lambda g, x, stride, padding, dilation, groups: run_row(
        CONVOLUTION, (x, g, None), (stride, padding, dilation, groups)
    ),
    x=lambda g_, g, shape, stride, padding, dilation, groups: run_row(
        INPUT_GRAD, (g, g_), (shape[2:], stride, padding, dilation, groups)
    ),
)


def _row(name: str, samples: Any) -> Row:
    return op(
        f"{name}(x, weight, bias, *, stride, padding, dilation, groups)",
        _forward,
        node="ConvolutionBackward0",
        call=f"nn.functional.{name}",
        shared={"dense": lambda g: g if isinstance(g, Tensor) else np.ascontiguousarray(g)},
        x=lambda g, dense, weight, shape, stride, padding, dilation, groups: run_row(
            INPUT_GRAD, (dense, weight), (tuple(shape[2:]), stride, padding, dilation, groups)
        ),
        weight=lambda g, dense, x, shape, stride, padding, dilation, groups: run_row(
            WEIGHT_GRAD, (dense, x), (tuple(shape[2:]), stride, padding, dilation, groups)
        ),
        bias=_over_positions,
        samples=samples,
    )


def _samples_1d() -> list[Sample]:
    return [
        sample(grid(2, 3, 5), grid(4, 3, 2), grid(4)),
        sample(grid(2, 4, 6), grid(2, 2, 3), None, 2, 1, 1, 2),
        sample(grid(1, 1, 7), grid(2, 1, 3), dilation=2, padding=3),
    ]


def _samples_2d() -> list[Sample]:
    return [
        sample(grid(2, 3, 4, 4), grid(2, 3, 3, 3), grid(2), padding=1),
        sample(grid(2, 3, 5, 4), grid(2, 3, 3, 2), stride=2),
        sample(grid(1, 4, 4, 3), grid(6, 2, 2, 2), grid(6), (1, 2), (0, 1), (2, 1), 2),
        sample(grid(1, 2, 3, 3), grid(4, 2, 1, 1), padding=1, stride=2),
        sample(grid(1, 2, 3, 3), grid(12, 1, 2, 2), groups=2),
    ]


def _samples_3d() -> list[Sample]:
    return [sample(grid(1, 2, 3, 3, 2), grid(2, 1, 2, 2, 2), grid(2), padding=(0, 1, 1), groups=2)]


CONV = {1: _row("conv1d", _samples_1d), 2: _row("conv2d", _samples_2d), 3: _row("conv3d", _samples_3d)}
CONVOLUTION: Row = CONV[2]
"""The row that derivatives run, whatever the number of dimensions."""


def _transposed(
    x: Any,
    weight: Any,
    bias: Any,
    size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Any:
    out = _input_grad(x, weight, size, stride, padding, dilation, groups)
    return out if bias is None else out + bias.reshape(-1, *(1,) * len(size)).astype(out.dtype)


def _transposed_back(g: Any, weight: Any, shape: Sizes, *static: Any) -> Any:
    """The convolution of `g`, less what an output padding beyond the stride adds to it."""
    out = run_row(CONVOLUTION, (g, weight, None), static)
    return out if out.shape == shape else out[tuple(slice(length) for length in shape)]


def _transposed_row(name: str, samples: Any) -> Row:
    return op(
        f"{name}(x, weight, bias, *, size, stride, padding, dilation, groups)",
        _transposed,
        node="ConvolutionBackward0",
        call=f"nn.functional.{name}",
        x=lambda g, weight, shape, stride, padding, dilation, groups: _transposed_back(
            g, weight, shape, stride, padding, dilation, groups
        ),
        weight=lambda g, x, shape, stride, padding, dilation, groups: run_row(
            WEIGHT_GRAD, (x, g), (tuple(shape[2:]), stride, padding, dilation, groups)
        ),
        bias=_over_positions,
        samples=samples,
    )


TRANSPOSED = {
    1: _transposed_row(
        "conv_transpose1d",
        lambda: [
            sample(grid(2, 3, 4), grid(3, 2, 3), grid(2), stride=2, padding=1, output_padding=1),
            sample(grid(1, 4, 3), grid(4, 2, 2), None, 1, 0, 0, 2, 2),
        ],
    ),
    2: _transposed_row(
        "conv_transpose2d",
        lambda: [
            sample(grid(2, 3, 2, 3), grid(3, 2, 2, 2), grid(2), stride=2),
            sample(grid(1, 2, 3, 3), grid(2, 3, 3, 3), None, (2, 1), 1, (1, 0), 1, 1),
        ],
    ),
    3: _transposed_row("conv_transpose3d", lambda: [sample(grid(1, 2, 2, 1, 2), grid(2, 1, 2, 2, 2), grid(1))]),
}
