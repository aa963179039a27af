"""Windows of a tensor, one beside the other: `Tensor.unfold`, and `unfold` and `fold` of `nn.functional`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import called
from gradviz.core.dual import run_row
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.ops.windows import Sizes, out_size, padded, put_windows, windows
from gradviz.core.public import FUNCTIONAL, METHODS, first_tensor
from gradviz.core.tensor import Tensor


def _sliding(x: Any, axis: int, size: int, step: int) -> Any:
    if not x.ndim:
        return x.reshape(1)[:size]
    views = np.lib.stride_tricks.sliding_window_view(x, size, axis, writeable=True)
    return views[(slice(None),) * axis + (slice(None, None, step),)]


def _slid_back(g: Any, shape: Sizes, axis: int, size: int, step: int) -> Any:
    whole = np.zeros(shape, g.dtype)
    if not shape:
        return whole + np.add.reduce(g, axis=None)
    for offset in range(size):
        places = slice(offset, offset + step * (g.shape[axis] - 1) + 1, step)
        whole[(slice(None),) * axis + (places,)] += g[..., offset]
    return whole


SLIDE_BACK: Row = op(
    "unfold_backward(g, *, shape, axis, size, step)",
    _slid_back,
    node="UnfoldBackwardBackward0",
    g=lambda g, axis, size, step: run_row(SLIDE, (g,), (axis, size, step)),
)
SLIDE: Row = op(
    "unfold(x, *, axis, size, step)",
    _sliding,
    call="Tensor.unfold",
    view=True,
    x=lambda g, shape, axis, size, step: run_row(SLIDE_BACK, (g,), (tuple(shape), axis, size, step)),
    samples=lambda: [sample(grid(2, 7), 1, 3, 2), sample(grid(5, 2), 0, 2, 1), sample(grid(4), -1, 4, 1)],
)


def _unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of `size` along a dimension, `step` apart; their elements are the last dimension."""
    axis = wrap(dimension, self.ndim)
    length = self.shape[axis] if self.ndim else 1
    if not 0 <= size <= length:
        raise RuntimeError(f"maximum size for tensor at dimension {dimension} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return apply(SLIDE, (self,), (axis, size, step))


_unfold.__name__ = _unfold.__qualname__ = "unfold"
METHODS["unfold"] = _unfold


# ---- of images


def _columns(x: Any, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    """(N, C, H, W) as (N, C * kernel, positions)."""
    size = out_size(x.shape[2:], kernel, stride, padding, dilation)
    views = windows(padded(x, padding), kernel, stride, dilation, size)
    return views.reshape(len(x), x.shape[1] * math.prod(kernel), math.prod(size))


def _image(g: Any, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Any:
    """(N, C * kernel, positions) added up where they lie in (N, C, size...)."""
    places = out_size(size, kernel, stride, padding, dilation)
    columns = np.moveaxis(g.reshape(len(g), g.shape[1] // math.prod(kernel), *kernel, *places), 0, 1 + len(kernel))
    longer = tuple(length + 2 * pad for length, pad in zip(size, padding, strict=True))
    whole = put_windows(columns, longer, stride, dilation)
    inside = (..., *(slice(pad, pad + length) for pad, length in zip(padding, size, strict=True)))
    return np.ascontiguousarray(whole[inside].swapaxes(0, 1))


UNFOLD: Row = op(
    "unfold(x, *, kernel, dilation, padding, stride)",
    _columns,
    key="im2col",
    node="Im2ColBackward0",
    call="nn.functional.unfold",
    x=lambda g, shape, kernel, dilation, padding, stride: run_row(
        FOLD, (g,), (tuple(shape[2:]), kernel, dilation, padding, stride)
    ),
    samples=lambda: [sample(grid(2, 3, 4, 4), 2), sample(grid(1, 2, 5, 4), (3, 2), 1, 1, 2)],
)
FOLD: Row = op(
    "fold(x, *, size, kernel, dilation, padding, stride)",
    _image,
    key="col2im",
    node="Col2ImBackward0",
    call="nn.functional.fold",
    x=lambda g, kernel, dilation, padding, stride: run_row(UNFOLD, (g,), (kernel, dilation, padding, stride)),
    samples=lambda: [sample(grid(2, 12, 9), 4, 2), sample(grid(1, 12, 9), (5, 4), (3, 2), 1, 1, 2)],
)


def _pair(value: Any) -> Sizes:
    return (value, value) if isinstance(value, int) else tuple(value)


@called("unfold")
def _functional_unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of images (N, C, H, W), each a column: (N, C * kernel, positions)."""
    first_tensor("unfold", input)
    static = (_pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride))
    shape = tuple(input.shape)
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {list(shape)}"
        )
    kernel, gaps, pads, steps = static
    if min(out_size(shape[-2:], kernel, steps, pads, gaps)) < 1:
        raise RuntimeError(
            f"Given input with spatial size {shape[-2:]}, kernel_size={kernel}, dilation={gaps}, padding={pads}, "
            "the array of sliding blocks is too small (non-positive)"
        )
    if input.ndim == 3:
        result: Any = apply(UNFOLD, (input.unsqueeze(0),), static)
        alone: Tensor = result.squeeze(0)
        return alone
    return apply(UNFOLD, (input,), static)


@called("fold")
def _functional_fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns (N, C * kernel, positions) added up where `unfold` would find them in images of `output_size`."""
    first_tensor("fold", input)
    static = (_pair(output_size), _pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride))
    size, kernel, gaps, pads, steps = static
    shape = tuple(input.shape)
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(shape)}"
        )
    places = math.prod(out_size(size, kernel, steps, pads, gaps))
    if shape[-2] % math.prod(kernel) or shape[-1] != places:
        raise RuntimeError(
            f"Given an input with shape {list(shape)}, expected columns of {math.prod(kernel)} times the channels and "
            f"{places} positions"
        )
    if input.ndim == 2:
        result: Any = apply(FOLD, (input.unsqueeze(0),), static)
        alone: Tensor = result.squeeze(0)
        return alone
    return apply(FOLD, (input,), static)


FUNCTIONAL["unfold"], FUNCTIONAL["fold"] = _functional_unfold, _functional_fold
