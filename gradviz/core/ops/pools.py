"""Pooling as users call it: `max_pool1d` to `max_pool3d`, `avg_pool1d` to `avg_pool3d`, and the adaptive ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_several
from gradviz.core.composites import called
from gradviz.core.ops.max_pooling import ADAPTIVE_MAX_POOL, MAX_POOL, MAX_UNPOOL
from gradviz.core.ops.pooling import ADAPTIVE_AVG_POOL, AVG_POOL
from gradviz.core.ops.table import TABLE
from gradviz.core.ops.windows import Sizes
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, first_tensor
from gradviz.core.tensor import Tensor


def _sizes(value: Any, count: int, name: str, what: str) -> Sizes:
    given = (value,) if isinstance(value, int) else tuple(value)
    if len(given) not in (1, count):
        raise RuntimeError(f"{name}: {what} must either be a single int, or a tuple of {count} ints")
    return given * count if len(given) == 1 else given


def _shape(x: Sizes) -> str:
    return f"({'x'.join(map(str, x))})"


def _window_sizes(
    name: str, input: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """How many windows there are along each dimension. Raises RuntimeError where there are none."""
    count = len(kernel)
    shape = tuple(input.shape)
    if len(shape) not in (count + 1, count + 2) or 0 in shape[len(shape) - count - 1 :]:
        raise RuntimeError(f"non-empty {count + 1}D or {count + 2}D (batch mode) tensor expected for input")
    if min(stride) == 0:
        raise RuntimeError("stride should not be zero")
    if min(kernel) <= 0 or min(stride) <= 0 or min(dilation) <= 0:
        raise RuntimeError(f"{name}: kernel size, stride and dilation should be greater than zero")
    result = []
    for length, width, step, pad, gap in zip(shape[-count:], kernel, stride, padding, dilation, strict=True):
        if pad < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {pad}")
        reach = gap * (width - 1) + 1
        if pad > reach // 2:
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got pad="
                f"{pad}, kernel_size={width} and dilation={gap}"
            )
        places = (length + 2 * pad - reach + (step - 1 if ceil_mode else 0)) // step + 1
        # A last window must start inside the input or the padding before it.
        if ceil_mode and (places - 1) * step >= length + pad:
            places -= 1
        result.append(places)
    if min(result) < 1:
        before, after = shape[-count - 1 :], (shape[-count - 1], *(max(places, 0) for places in result))
        raise RuntimeError(
            f"Given input size: {_shape(before)}. Calculated output size: {_shape(after)}. Output size is too small"
        )
    return tuple(result)


def _published(call: Callable[..., Any], name: str, doc: str, plain: bool = False) -> None:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    FUNCTIONAL[name] = called("" if "max" in name and "1d" not in name else name)(call)
    if plain:
        FUNCTIONS[name] = FUNCTIONAL[name]


def _through_2d(input: Any, call: Callable[[Any], Any]) -> Any:
    """A one-dimensional layer, as PyTorch runs it: by the two-dimensional one on rows of height 1."""
    result = call(input.unsqueeze(-2))
    return tuple(one.squeeze(-2) for one in result) if isinstance(result, tuple) else result.squeeze(-2)


def _check_1d(name: str, input: Tensor) -> None:
    if input.ndim not in (2, 3):
        raise RuntimeError(f"{name}() Expected 2D or 3D input tensor, but got {input.ndim}D")


# ---- the largest


def _max_pool(count: int) -> Callable[..., Any]:
    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        name = f"max_pool{count}d"
        first_tensor(name, input)
        kernel = _sizes(kernel_size, count, name, "kernel_size")
        steps = kernel if stride is None or stride == () else _sizes(stride, count, name, "stride")
        pads, gaps = _sizes(padding, count, name, "padding"), _sizes(dilation, count, name, "dilation")
        if count == 1:
            _check_1d(name, input)

            def run(rows: Tensor) -> Any:
                return _largest(
                    rows, (1, *kernel), (1, *steps), (0, *pads), (1, *gaps), ceil_mode, return_indices
                )

            return _through_2d(input, run)
        return _largest(input, kernel, steps, pads, gaps, ceil_mode, return_indices)

    return pool


def _largest(
    input: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool, indices: bool
) -> Any:
    name = f"max_pool{len(kernel)}d"
    if input.dtype.name == "bool":
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")
    size = _window_sizes(name, input, kernel, stride, padding, dilation, ceil_mode)
    row = MAX_POOL[len(kernel)]
    static = (kernel, stride, padding, dilation, size)
    return apply_several(row, (input,), static) if indices else apply(TABLE[f"{row.key}.values"], (input,), static)


# ---- the mean


def _avg_pool(count: int) -> Callable[..., Any]:
    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        name = f"avg_pool{count}d"
        first_tensor(name, input)
        kernel = _sizes(kernel_size, count, name, "kernel_size")
        steps = kernel if stride is None or stride == () else _sizes(stride, count, name, "stride")
        pads = _sizes(padding, count, name, "padding")
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        counted = (count_include_pad, divisor_override)
        if count == 1:
            _check_1d(name, input)
            rows: Tensor = _through_2d(
                input, lambda rows: _mean(rows, (1, *kernel), (1, *steps), (0, *pads), ceil_mode, counted)
            )
            return rows
        return _mean(input, kernel, steps, pads, ceil_mode, counted)

    if count > 1:
        return pool

    def pool_1d(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Any:
        return pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad)

    return pool_1d


def _mean(
    input: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, counted: tuple[Any, ...]
) -> Tensor:
    name = f"avg_pool{len(kernel)}d"
    size = _window_sizes(name, input, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    if input.dtype.name not in ("float16", "float32", "float64", "int64"):
        raise NotImplementedError(f"\"{name}\" not implemented for '{input.dtype.type_name.removesuffix('Tensor')}'")
    return apply(AVG_POOL[len(kernel)], (input,), (kernel, stride, padding, size, *counted))


# ---- as many windows as are asked for


def _wanted(name: str, input: Tensor, output_size: Any, count: int) -> Sizes:
    given = (output_size,) * count if isinstance(output_size, int) or output_size is None else tuple(output_size)
    if len(given) != count:
        raise RuntimeError(f"{name}: output_size must be {count}")
    shape = tuple(input.shape)
    if count > 1 and not isinstance(output_size, int) and len(shape) <= len(given):
        raise ValueError(f"Input dimension should be at least {count + 1}")
    if len(shape) not in (count + 1, count + 2):
        raise RuntimeError(f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got {list(shape)}")
    if 0 in shape[len(shape) - count :]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
            f"{list(shape)} with dimension {len(shape) - count} being empty"
        )
    size = tuple(length if one is None else one for length, one in zip(shape[-count:], given, strict=True))
    if min(size) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 but received {size}")
    return size


def _adaptive_avg_pool(count: int) -> Callable[..., Any]:
    name = f"adaptive_avg_pool{count}d"

    def pool(input: Any, output_size: Any) -> Tensor:
        size = _wanted(name, first_tensor(name, input), output_size, count)

        def run(images: Any) -> Any:
            if set(size) == {1}:
                return images.mean(tuple(range(-max(count, 2), 0)), keepdim=True)
            _refuse_integers(name, images)
            return apply(ADAPTIVE_AVG_POOL[max(count, 2)], (images,), (size if count > 1 else (1, *size),))

        result: Tensor = _through_2d(input, run) if count == 1 else run(input)
        return result

    return pool


def adaptive_avg_pool(count: int, input: Tensor, output_size: Sizes) -> Tensor:
    """The function for `count` dimensions."""
    result: Tensor = FUNCTIONAL[f"adaptive_avg_pool{count}d"](input, output_size)
    return result


def _refuse_integers(name: str, input: Tensor) -> None:
    if not input.is_floating_point():
        raise NotImplementedError(f"\"{name}\" not implemented for '{input.dtype.type_name.removesuffix('Tensor')}'")


def _adaptive_max_pool(count: int) -> Callable[..., Any]:
    name = f"adaptive_max_pool{count}d"

    def pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        size = _wanted(name, first_tensor(name, input), output_size, count)

        def run(images: Any) -> Any:
            _refuse_integers(name, images)
            static = (size if count > 1 else (1, *size),)
            row = ADAPTIVE_MAX_POOL[max(count, 2)]
            if return_indices:
                return apply_several(row, (images,), static)
            return apply(TABLE[f"{row.key}.values"], (images,), static)

        return _through_2d(input, run) if count == 1 else run(input)

    return pool


# ---- back again, and powers


def _unpool(count: int) -> Callable[..., Tensor]:
    name = f"max_unpool{count}d"

    def pool(
        input: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        kernel = _sizes(kernel_size, count, name, "kernel_size")
        steps = kernel if stride is None else _sizes(stride, count, name, "stride")
        pads = _sizes(padding, count, name, "padding")
        lengths = tuple(first_tensor(name, input).shape[-count:])
        if len(lengths) < count:
            raise IndexError("tuple index out of range")
        size = tuple(
            (length - 1) * step + width - 2 * pad
            for length, step, width, pad in zip(lengths, steps, kernel, pads, strict=True)
        )
        if output_size is not None:
            wanted = tuple(output_size)[-count:]
            if any(abs(new - old) >= step for new, old, step in zip(wanted, size, steps, strict=True)):
                limits = [(old - step, old + step) for old, step in zip(size, steps, strict=True)]
                raise ValueError(
                    f'invalid output_size "{list(wanted)}" (dim 0 must be between {limits[0][0]} and {limits[0][1]})'
                )
            size = wanted
        if 0 in input.shape[1:]:
            empty = list(input.shape).index(0, 1)
            raise RuntimeError(
                f"max_unpooling{count}d_forward_out_cpu(): Expected input to have non-zero size for non-batch "
                f"dimensions, but got {list(input.shape)} with dimension {empty} being empty."
            )
        if tuple(input.shape) != tuple(indices.shape):
            raise RuntimeError(
                f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got "
                f"indices tensor with shape: {list(indices.shape)}"
            )
        if not (input.is_contiguous() and indices.is_contiguous()):
            raise RuntimeError(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across "
                "two contiguous subspaces). Use .reshape(...) instead."
            )
        if np.any((indices._data < 0) | (indices._data >= math.prod(size))):
            position = int(indices._data.max())
            raise RuntimeError(f"Found an invalid max index: {position} (output volumes are of size {list(size)})")
        if count == 1:
            rows: Any = apply(MAX_UNPOOL[2], (input.unsqueeze(-1), indices.unsqueeze(-1)), ((*size, 1),))
            line: Tensor = rows.squeeze(-1)
            return line
        return apply(MAX_UNPOOL[count], (input, indices), (size,))

    return pool


def _power_pool(count: int) -> Callable[..., Tensor]:
    name = f"lp_pool{count}d"

    def pool(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Tensor:
        kernel = _sizes(kernel_size, count, name, "kernel_size")
        means = FUNCTIONAL[f"avg_pool{count}d"](input.pow(norm_type), kernel, stride, 0, ceil_mode)
        sums = means.sign() * FUNCTIONAL["relu"](means.abs()) * math.prod(kernel)
        result: Tensor = sums.pow(1.0 / norm_type)
        return result

    return pool


for _count in (1, 2, 3):
    _published(
        _max_pool(_count),
        f"max_pool{_count}d",
        "The largest element of each window; with `return_indices` also their flat positions. stride: the window's "
        "width by default. ceil_mode: also windows that reach beyond the end. Raises RuntimeError where none fits.",
        plain=True,
    )
    _published(
        _avg_pool(_count),
        f"avg_pool{_count}d",
        "The mean of each window. stride: the window's width by default. count_include_pad: padding counts as zeros. "
        "divisor_override: what to divide sums by. Raises RuntimeError where no window fits.",
        plain=_count == 1,
    )
    _published(
        _adaptive_avg_pool(_count),
        f"adaptive_avg_pool{_count}d",
        "The means of `output_size` windows that cover the input (None: as many as the input has elements).",
        plain=_count == 1,
    )
for _count in (1, 2, 3):
    _published(
        _adaptive_max_pool(_count),
        f"adaptive_max_pool{_count}d",
        "The largest elements of `output_size` windows that cover the input; with `return_indices` their positions.",
    )
for _count in (1, 2, 3):
    _published(
        _unpool(_count),
        f"max_unpool{_count}d",
        "What `max_pool` took, where `indices` say that it was, and zeros elsewhere. output_size: the lengths that the "
        "pooled tensor had, where several are possible.",
    )
    _published(
        _power_pool(_count),
        f"lp_pool{_count}d",
        "The `norm_type`-norm of each window.",
    )
