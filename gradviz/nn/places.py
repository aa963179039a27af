"""The same elements at other places, as modules: `PixelShuffle`, `ChannelShuffle`, `Unfold` and `Fold`."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.module import Module


class PixelShuffle(Module):
    """(..., C * r * r, H, W) as (..., C, H * r, W * r)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Returns the same elements at more places in fewer channels."""
        result: Tensor = functional.pixel_shuffle(input, self.upscale_factor)
        return result

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(..., C, H * r, W * r) as (..., C * r * r, H, W)."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Returns the same elements at fewer places in more channels."""
        result: Tensor = functional.pixel_unshuffle(input, self.downscale_factor)
        return result

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """One channel of each group after the other."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, channels, ...). Returns that shape."""
        result: Tensor = functional.channel_shuffle(input, self.groups)
        return result

    def extra_repr(self) -> str:
        """How many groups."""
        return f"groups={self.groups}"


class Unfold(Module):
    """The windows of images, each a column."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, channels, height, width). Returns (n, channels * window, positions)."""
        result: Tensor = functional.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)
        return result

    def extra_repr(self) -> str:
        """The window, and how it moves."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class Fold(Unfold):
    """Columns added up where `Unfold` finds them in images of `output_size`."""

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, channels * window, positions). Returns (n, channels, *output_size)."""
        result: Tensor = functional.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )
        return result

    def extra_repr(self) -> str:
        """The size, the window, and how it moves."""
        return f"output_size={self.output_size}, {super().extra_repr()}"
