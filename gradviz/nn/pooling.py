"""Pooling as modules: `MaxPool2d`, `AvgPool2d`, `AdaptiveAvgPool2d`, `LPPool2d`, `MaxUnpool2d`, and for 1 and 3."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.convolution import several
from gradviz.nn.module import Module


class _MaxPool(Module):
    _count = 0

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Input (n, channels, *lengths). Returns the greatest element of each window, with its place if asked for."""
        options: dict[str, Any] = {}
        if self.ceil_mode:
            options["ceil_mode"] = True
        if self.return_indices:
            options["return_indices"] = True
        call = getattr(functional, f"max_pool{self._count}d")
        return call(input, self.kernel_size, self.stride, self.padding, self.dilation, **options)

    def extra_repr(self) -> str:
        """The window, and how it moves."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The greatest of each window. Input (n, channels, length)."""

    _count = 1


class MaxPool2d(_MaxPool):
    """The greatest of each window. Input (n, channels, height, width)."""

    _count = 2


class MaxPool3d(_MaxPool):
    """The greatest of each window. Input (n, channels, depth, height, width)."""

    _count = 3


class AvgPool1d(Module):
    """The mean of each window. Input (n, channels, length)."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = several(kernel_size, 1)
        self.stride = several(kernel_size if stride is None else stride, 1)
        self.padding = several(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Returns (n, channels, other length)."""
        result: Tensor = functional.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )
        return result

    def extra_repr(self) -> str:
        """The window, and how it moves."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window. Input (n, channels, height, width)."""

    _count = 2

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """Returns (n, channels, *other lengths)."""
        result: Tensor = getattr(functional, f"avg_pool{self._count}d")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )
        return result

    def extra_repr(self) -> str:
        """The window, and how it moves."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """The mean of each window. Input (n, channels, depth, height, width)."""

    _count = 3


class _LPPool(Module):
    _count = 0

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """Returns (n, channels, *other lengths)."""
        call = getattr(functional, f"lp_pool{self._count}d")
        result: Tensor = call(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
        return result

    def extra_repr(self) -> str:
        """The power, the window, and how it moves."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The `norm_type`-norm of each window. Input (n, channels, length)."""

    _count = 1


class LPPool2d(_LPPool):
    """The `norm_type`-norm of each window. Input (n, channels, height, width)."""

    _count = 2


class LPPool3d(_LPPool):
    """The `norm_type`-norm of each window. Input (n, channels, depth, height, width)."""

    _count = 3


class _MaxUnpool(Module):
    """What `MaxPool` took put back where it was, among zeros."""

    _count = 0

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = several(kernel_size, self._count)
        self.stride = several(kernel_size if stride is None else stride, self._count)
        self.padding = several(padding, self._count)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Both (n, channels, *lengths), as `MaxPool` gives them. Returns (n, channels, *longer ones)."""
        call = getattr(functional, f"max_unpool{self._count}d")
        result: Tensor = call(input, indices, self.kernel_size, self.stride, self.padding, output_size)
        return result

    def extra_repr(self) -> str:
        """The window, and how it moved."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """The inverse of `MaxPool1d`, with zeros for what is lost."""

    _count = 1


class MaxUnpool2d(_MaxUnpool):
    """The inverse of `MaxPool2d`, with zeros for what is lost."""

    _count = 2


class MaxUnpool3d(_MaxUnpool):
    """The inverse of `MaxPool3d`, with zeros for what is lost."""

    _count = 3


class _Adaptive(Module):
    _call = ""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        """Returns (n, channels, *output_size)."""
        return getattr(functional, self._call)(input, self.output_size)

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """The mean of as many windows as the result has elements."""

    _call = "adaptive_avg_pool1d"


class AdaptiveAvgPool2d(_Adaptive):
    """The mean of as many windows as the result has elements."""

    _call = "adaptive_avg_pool2d"


class AdaptiveAvgPool3d(_Adaptive):
    """The mean of as many windows as the result has elements."""

    _call = "adaptive_avg_pool3d"


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """Returns (n, channels, *output_size), and the places if asked for."""
        options = {"return_indices": True} if self.return_indices else {}
        return getattr(functional, self._call)(input, self.output_size, **options)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The greatest of as many windows as the result has elements."""

    _call = "adaptive_max_pool1d"


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The greatest of as many windows as the result has elements."""

    _call = "adaptive_max_pool2d"


class AdaptiveMaxPool3d(_AdaptiveMax):
    """The greatest of as many windows as the result has elements."""

    _call = "adaptive_max_pool3d"


class FractionalMaxPool2d(Module):
    """The greatest of windows whose places are drawn. Input (n, channels, height, width) or one image.

    Raises ValueError where not exactly one of `output_size` and `output_ratio` is given.
    """

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        if output_size is None and output_ratio is None:
            raise ValueError("FractionalMaxPool2d requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        self.kernel_size = several(kernel_size, 2)
        self.return_indices = return_indices
        self.output_size = None if output_size is None else several(output_size, 2)
        self.output_ratio = (output_ratio, output_ratio) if isinstance(output_ratio, float) else output_ratio
        if output_ratio is not None and not all(0 < part < 1 for part in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        """Returns (n, channels, *output_size), with the places of the elements if asked for."""
        return functional.fractional_max_pool2d(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )
