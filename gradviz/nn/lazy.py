"""Layers that learn how many channels their input has when they are first called, and are ordinary ones from then on.

Their parameters are there from the beginning, so that an optimizer may hold them, but have no elements until then.
"""

from __future__ import annotations

from typing import Any

from gradviz.core import dtypes
from gradviz.core.tensor import Tensor
from gradviz.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Lengths,
    _Convolution,
)
from gradviz.nn.linear import grow
from gradviz.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    _BatchNorm,
)


class _LazyConvolution(_Convolution):
    """What the convolutions of this kind share."""

    def __init__(self, out_channels: int, kernel_size: Lengths, *args: Any, **kwargs: Any) -> None:
        super().__init__(0, out_channels, kernel_size, *args, **kwargs)

    def reset_parameters(self) -> None:
        """Nothing: there is nothing to draw yet."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        input = args[0]
        count = self._count
        if input.ndim not in (count + 1, count + 2):
            raise RuntimeError(
                f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {type(self).__name__}, but got "
                f"input of size: {input.shape}"
            )
        channels = input.shape[-count - 1]
        if channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        self.in_channels = channels
        ends = (channels, self.out_channels) if self._transposed else (self.out_channels, channels)
        grow(self.weight, (ends[0], ends[1] // self.groups, *self.kernel_size))
        self.__class__ = type(self).__bases__[1]
        self.reset_parameters()
        return self(*args, **kwargs)


class LazyConv1d(_LazyConvolution, Conv1d):
    """`Conv1d` without `in_channels`."""


class LazyConv2d(_LazyConvolution, Conv2d):
    """`Conv2d` without `in_channels`."""


class LazyConv3d(_LazyConvolution, Conv3d):
    """`Conv3d` without `in_channels`."""


class LazyConvTranspose1d(_LazyConvolution, ConvTranspose1d):
    """`ConvTranspose1d` without `in_channels`."""


class LazyConvTranspose2d(_LazyConvolution, ConvTranspose2d):
    """`ConvTranspose2d` without `in_channels`."""


class LazyConvTranspose3d(_LazyConvolution, ConvTranspose3d):
    """`ConvTranspose3d` without `in_channels`."""


class _LazyNorm(_BatchNorm):
    """What the normalisations of this kind share."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__(0, eps, momentum, affine, track_running_stats, dtype=dtype)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        input = args[0]
        self.num_features = input.shape[self._channels(input)]
        for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
            if tensor is not None:
                grow(tensor, (self.num_features,))
        self.__class__ = type(self).__bases__[1]
        self.reset_parameters()
        return self(*args, **kwargs)

    def _channels(self, input: Tensor) -> int:
        """Which dimension is that of the channels."""
        if input.ndim not in self._dimensions:
            expected = " or ".join(f"{count}D" for count in self._dimensions)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")
        return 1


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` without `num_features`."""


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` without `num_features`."""


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """`BatchNorm3d` without `num_features`."""


class _LazyInstanceNorm(_LazyNorm):
    """What the normalisations of each sample by itself share."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__(eps, momentum, affine, track_running_stats, dtype=dtype)

    def _channels(self, input: Tensor) -> int:
        most = self._dimensions[-1]
        if input.ndim not in (most - 1, most):
            raise ValueError(f"expected {most - 1}D or {most}D input (got {input.ndim}D input)")
        return input.ndim - most + 1


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """`InstanceNorm1d` without `num_features`."""


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """`InstanceNorm2d` without `num_features`."""


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """`InstanceNorm3d` without `num_features`."""
