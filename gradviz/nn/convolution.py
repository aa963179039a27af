"""Convolutions: `Conv1d` to `Conv3d`, `ConvTranspose1d` to `ConvTranspose3d`."""

from __future__ import annotations

import math
from typing import Any

from gradviz.core import dtypes
from gradviz.core.tensor import Tensor
from gradviz.nn import functional, init
from gradviz.nn.linear import zeros
from gradviz.nn.module import Module

Lengths = int | tuple[int, ...]


def several(value: Any, count: int) -> tuple[int, ...]:
    """A length for each of `count` dimensions, from one number or from as many."""
    return (value,) * count if isinstance(value, int) else tuple(value)


class _Convolution(Module):
    """What the convolutions share. weight: (out_channels, in_channels / groups, *kernel_size)."""

    _count = 0
    _transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths | str = 0,
        dilation: Lengths = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")
            if padding == "same" and any(step != 1 for step in several(stride, self._count)):
                raise ValueError("padding='same' is not supported for strided convolutions")
        modes = ("zeros", "reflect", "replicate", "circular")
        if padding_mode not in modes:
            raise ValueError(f"padding_mode must be one of {set(modes)}, but got padding_mode='{padding_mode}'")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = several(kernel_size, self._count)
        self.stride = several(stride, self._count)
        self.padding = padding if isinstance(padding, str) else several(padding, self._count)
        self.dilation = several(dilation, self._count)
        self.groups = groups
        self.padding_mode = padding_mode
        outer, inner = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        self.weight = zeros((outer, inner // groups, *self.kernel_size), dtype)
        if bias:
            self.bias = zeros((out_channels,), dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init.fans(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, in_channels, *lengths). Returns (n, out_channels, *other lengths)."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input = functional.pad(input, self._sides(), mode=self.padding_mode)
            padding = (0,) * self._count
        call = getattr(functional, f"conv{self._count}d")
        result: Tensor = call(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return result

    def _sides(self) -> tuple[int, ...]:
        """The padding before and after, last dimension first."""
        if not isinstance(self.padding, str):
            return tuple(side for length in reversed(self.padding) for side in (length, length))
        sides: list[int] = []
        for step, length in zip(reversed(self.dilation), reversed(self.kernel_size), strict=True):
            total = step * (length - 1) if self.padding == "same" else 0
            sides += [total // 2, total - total // 2]
        return tuple(sides)

    def extra_repr(self) -> str:
        """The lengths, and what is not as usual."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self._count:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self._count:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class Conv1d(_Convolution):
    """Input (n, in_channels, length) convolved with a kernel for each output channel."""

    _count = 1


class Conv2d(_Convolution):
    """Input (n, in_channels, height, width) convolved with a kernel for each output channel."""

    _count = 2


class Conv3d(_Convolution):
    """Input (n, in_channels, depth, height, width) convolved with a kernel for each output channel."""

    _count = 3


class _Transposed(_Convolution):
    """What a convolution's cotangent goes through. weight: (in_channels, out_channels / groups, *kernel_size).

    output_padding: how much longer the result is on one side.
    """

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Lengths,
        stride: Lengths = 1,
        padding: Lengths = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Lengths = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, dtype=dtype
        )
        self.output_padding = several(output_padding, self._count)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """Input (n, in_channels, *lengths). Returns (n, out_channels, *longer ones), of `output_size` if given."""
        padding = self.output_padding
        if output_size is not None:
            padding = self._rest(tuple(input.shape[-self._count :]), tuple(output_size)[-self._count :])
        call = getattr(functional, f"conv_transpose{self._count}d")
        result: Tensor = call(
            input, self.weight, self.bias, self.stride, self.padding, padding, self.groups, self.dilation
        )
        return result

    def _rest(self, lengths: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding with which the result has the lengths that are wanted."""
        pads: Any = self.padding
        least = [
            (length - 1) * step - 2 * pad + gap * (width - 1) + 1
            for length, step, pad, gap, width in zip(
                lengths, self.stride, pads, self.dilation, self.kernel_size, strict=True
            )
        ]
        most = [low + step - 1 for low, step in zip(least, self.stride, strict=True)]
        if any(not low <= new <= high for low, new, high in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"requested an output size of {list(wanted)}, but valid sizes range from {least} to {most} (for an "
                f"input of {list(lengths)})"
            )
        return tuple(new - low for low, new in zip(least, wanted, strict=True))

    def extra_repr(self) -> str:
        """The lengths, and what is not as usual."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zeros_, ones = (0,) * self._count, (1,) * self._count
        for name, usual in (("padding", zeros_), ("dilation", ones), ("output_padding", zeros_), ("groups", 1)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text if self.bias is not None else f"{text}, bias=False"


class ConvTranspose1d(_Transposed):
    """Input (n, in_channels, length), each element spread out by a kernel."""

    _count = 1


class ConvTranspose2d(_Transposed):
    """Input (n, in_channels, height, width), each element spread out by a kernel."""

    _count = 2


class ConvTranspose3d(_Transposed):
    """Input (n, in_channels, depth, height, width), each element spread out by a kernel."""

    _count = 3
