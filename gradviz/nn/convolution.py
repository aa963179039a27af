"""Convolutions: `Conv1d`, `Conv2d`; and `Upsample`."""

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


class Upsample(Module):
    """The input at another size. size: the new one; scale_factor: how many times the old one."""

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, channels, *lengths)."""
        result: Tensor = functional.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners
        )
        return result

    def extra_repr(self) -> str:
        """The size or the factor, and how it gets there."""
        what = f"size={self.size}" if self.scale_factor is None else f"scale_factor={float(self.scale_factor)}"
        return f"{what}, mode={self.mode!r}"
