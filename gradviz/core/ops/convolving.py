"""`conv1d` to `conv3d` and `conv_transpose1d` to `conv_transpose3d` as users call them, with PyTorch's errors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from gradviz.core.apply import apply
from gradviz.core.composites import called
from gradviz.core.dtypes import dtype
from gradviz.core.ops.convolution import CONV, TRANSPOSED
from gradviz.core.ops.padding import CONSTANT_PAD
from gradviz.core.ops.windows import Sizes
from gradviz.core.public import FUNCTIONAL, FUNCTIONS
from gradviz.core.tensor import Tensor


def _sizes(value: Any, count: int, name: str) -> Sizes:
    """An int or a sequence as one int a dimension."""
    given = (value,) if isinstance(value, int) else tuple(value)
    if len(given) == 1:
        return given * count
    if len(given) != count:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match the convolution "
            f"dimensions, but got {name}={list(given)}"
        )
    return given


def _listed(values: Sequence[int]) -> str:
    return f"({' x '.join(map(str, values))})"


def _check(
    name: str, count: int, input: Any, weight: Any, bias: Any, static: tuple[Sizes, Sizes, Sizes, int], turned: bool
) -> None:
    """Raise PyTorch's errors for what does not fit together."""
    for position, tensor in enumerate((input, weight)):
        if not isinstance(tensor, Tensor):
            which = ("input", "weight")[position]
            raise TypeError(
                f"{name}(): argument '{which}' (position {position + 1}) must be Tensor, not {type(tensor).__name__}"
            )
    shapes = (tuple(input.shape), tuple(weight.shape), None if bias is None else tuple(bias.shape))
    types = (input.dtype, weight.dtype, None if bias is None else bias.dtype)
    _check_fit(name, count, shapes, types, static, turned)


@functools.lru_cache(maxsize=1024)
def _check_fit(
    name: str,
    count: int,
    shapes: tuple[Sizes, Sizes, Sizes | None],
    types: tuple[dtype, dtype, dtype | None],
    static: tuple[Sizes, Sizes, Sizes, int],
    turned: bool,
) -> None:
    """What fits together once does so again, so that a layer in a loop is checked in its first turn only."""
    stride, padding, dilation, groups = static
    given, filters, bias = list(shapes[0]), list(shapes[1]), shapes[2]
    if len(given) not in (count + 1, count + 2):
        raise RuntimeError(
            f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, but got input of size: "
            f"{given}"
        )
    shape = (1,) * (count + 2 - len(given)) + shapes[0]
    # PyTorch's slow kernels for transposed convolutions add a bias of any type.
    _check_types(*types[:2], None if turned and count < 3 and types[0].name == "float64" else types[2])
    for wrong, complaint in (
        (min(padding) < 0, "negative padding is not supported"),
        (min(stride) <= 0, "non-positive stride is not supported"),
        (min(dilation) <= 0, "non-positive dilation is not supported"),
        (groups <= 0, "non-positive groups is not supported"),
    ):
        if wrong:
            raise RuntimeError(complaint)
    if len(filters) != count + 2:
        raise RuntimeError(
            f"Expected {count + 2}-dimensional input for {count + 2}-dimensional weight {filters}, but got "
            f"{len(filters)}-dimensional weight of size {filters} instead"
        )
    if min(filters[2:]) < 1:
        raise RuntimeError(f"kernel size should be greater than zero, but got weight of size {filters}")
    if filters[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size "
            f"{filters} instead"
        )
    if filters[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size [{filters}] instead"
        )
    wanted = filters[0] if turned else filters[1] * groups
    if shape[1] != wanted:
        raise RuntimeError(
            f"Given {'transposed=1' if turned else f'groups={groups}'}, weight of size {filters}, expected "
            f"input{list(shape)} to have {wanted} channels, but got {shape[1]} channels instead"
        )
    made = filters[1] * groups if turned else filters[0]
    if bias is not None and bias != (made,):
        raise RuntimeError(
            f"Given {'transposed=1' if turned else ''}{', ' if turned else ''}weight of size {filters}, expected bias "
            f"to be 1-dimensional with {made} elements, but got bias of size {list(bias)} instead"
        )
    if not turned:
        longer = [length + 2 * pad for length, pad in zip(shape[2:], padding, strict=True)]
        wide = [gap * (width - 1) + 1 for gap, width in zip(dilation, filters[2:], strict=True)]
        if any(have < need for have, need in zip(longer, wide, strict=True)):
            raise RuntimeError(
                f"Calculated padded input size per channel: {_listed(longer)}. Kernel size: {_listed(wide)}. Kernel "
                "size can't be greater than actual input size"
            )


def _check_types(input: dtype, weight: dtype, bias: dtype | None) -> None:
    if bias is not None and bias is not input:
        first, second = (one.type_name.removesuffix("Tensor").lower() for one in (input, bias))
        raise RuntimeError(f"Input type ({first}) and bias type ({second}) should be the same")
    if weight is not input:
        raise RuntimeError(
            f"Input type (torch.{input.type_name}) and weight type (torch.{weight.type_name}) should be the same or "
            "input should be a MKLDNN tensor and weight is a dense tensor"
        )
    if input.name == "bool":
        raise NotImplementedError("\"slow_conv2d_cpu\" not implemented for 'Bool'")


def _run(count: int, row: Any, input: Any, weight: Tensor, bias: Tensor | None, static: tuple[Any, ...]) -> Tensor:
    """One sample without a batch is a batch of one."""
    if input.ndim == count + 2:
        return apply(row, (input, weight, bias), static)
    result: Any = apply(row, (input.unsqueeze(0), weight, bias), static)
    alone: Tensor = result.squeeze(0)
    return alone


def _convolution(count: int) -> Callable[..., Tensor]:
    name = f"conv{count}d"

    @called(name)
    def convolve(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        steps, gaps = _sizes(stride, count, "stride"), _sizes(dilation, count, "dilation")
        if isinstance(padding, str):
            input, padding = _named_padding(input, weight, padding, steps, gaps)
        pads = _sizes(padding, count, "padding")
        static = (steps, pads, gaps, groups)
        _check(name, count, input, weight, bias, static, False)
        return _run(count, CONV[count], input, weight, bias, static)

    convolve.__doc__ = f"""Each of the filters in `weight` laid over `input` at every position, in {count} dimensions.

    input: (N, C, ...) or (C, ...). weight: (O, C / groups, ...). bias: (O,). Returns (N, O, ...) or (O, ...).
    stride, padding, dilation: an int, or one for each dimension; padding may also be "valid" (none) or "same" (the
    result is as large as the input). Raises RuntimeError for shapes and dtypes that do not fit.
    """
    convolve.__name__ = convolve.__qualname__ = name
    return convolve


def _named_padding(input: Tensor, weight: Tensor, padding: str, stride: Sizes, dilation: Sizes) -> tuple[Tensor, Any]:
    if padding == "valid":
        return input, 0
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if set(stride) != {1}:
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [gap * (width - 1) for gap, width in zip(dilation, weight.shape[2:], strict=True)]
    if any(length % 2 for length in total):
        # What is left over goes after the last element.
        after = [part for length in reversed(total) for part in (0, length % 2)]
        input = apply(CONSTANT_PAD, (input,), (tuple(after), 0))
    return input, tuple(length // 2 for length in total)


def _transposed(count: int) -> Callable[..., Tensor]:
    name = f"conv_transpose{count}d"

    @called(name)
    def convolve(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        steps, gaps = _sizes(stride, count, "stride"), _sizes(dilation, count, "dilation")
        pads, more = _sizes(padding, count, "padding"), _sizes(output_padding, count, "output_padding")
        _check(name, count, input, weight, bias, (steps, pads, gaps, groups), True)
        if min(more) < 0:
            raise RuntimeError("negative output_padding is not supported")
        if any(extra >= max(step, gap) for extra, step, gap in zip(more, steps, gaps, strict=True)):
            sides = ("depth", "height", "width")[3 - count :] if count > 1 else ("width",)
            shown = " ".join(
                f"{what}_{side}: {value}"
                for what, values in (("output_padding", more), ("stride", steps), ("dilation", gaps))
                for side, value in zip(sides, values, strict=True)
            )
            raise RuntimeError(f"output padding must be smaller than either stride or dilation, but got {shown}")
        size = tuple(
            (length - 1) * step - 2 * pad + gap * (width - 1) + extra + 1
            for length, step, pad, gap, width, extra in zip(
                input.shape[-count:], steps, pads, gaps, weight.shape[2:], more, strict=True
            )
        )
        if min(size) < 1:
            raise RuntimeError(
                f"Given input size per channel: {_listed(input.shape[-count:])}. Calculated output size per channel: "
                f"{_listed(size)}. Output size is too small"
            )
        return _run(count, TRANSPOSED[count], input, weight, bias, (size, steps, pads, gaps, groups))

    convolve.__doc__ = f"""Each element of `input` spread out by the filters in `weight`, in {count} dimensions.

    What the cotangent of `conv{count}d` goes through. input: (N, C, ...) or (C, ...). weight: (C, O / groups, ...).
    bias: (O,). output_padding: how much longer the result is on one side. Raises RuntimeError as `conv{count}d` does.
    """
    convolve.__name__ = convolve.__qualname__ = name
    return convolve


for _count in CONV:
    for _call in (_convolution(_count), _transposed(_count)):
        FUNCTIONAL[_call.__name__] = FUNCTIONS[_call.__name__] = _call
