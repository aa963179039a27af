"""Layers that make mean 0 and variance 1: `BatchNorm1d`, `InstanceNorm1d`, `LayerNorm`, `GroupNorm`, `RMSNorm`, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn import functional, init
from gradviz.nn.linear import zeros
from gradviz.nn.module import Module
from gradviz.nn.parameter import born, fill


class _BatchNorm(Module):
    """Each channel with the mean and variance of the batch or, in evaluation, with running ones.

    momentum: how much of the batch's statistics goes into the running ones; None for the mean of all batches.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _dimensions: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name in ("weight", "bias"):
            if affine and (bias or name == "weight"):
                setattr(self, name, zeros((num_features,), dtype))
            else:
                self.register_parameter(name, None)
        kind = (dtypes.get_default_dtype() if dtype is None else dtype).array_type
        for name, value in (
            ("running_mean", np.zeros(num_features, kind)),
            ("running_var", np.ones(num_features, kind)),
            ("num_batches_tracked", np.array(0)),
        ):
            row = TABLE["tensor" if not value.ndim else "ones" if name == "running_var" else "zeros"]
            self.register_buffer(name, born(value, False, Tensor, row) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        for tensor, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if tensor is not None:
                fill(tensor, value)

    def reset_parameters(self) -> None:
        """Forget the statistics; scale 1 and bias 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, num_features, ...). Returns that shape."""
        if input.ndim not in self._dimensions:
            expected = " or ".join(f"{count}D" for count in self._dimensions)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            fill(self.num_batches_tracked, self.num_batches_tracked._data + 1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked._data)
        tracks = not self.training or self.track_running_stats
        own = self.training or (self.running_mean is None and self.running_var is None)
        result: Tensor = functional.batch_norm(
            input,
            self.running_mean if tracks else None,
            self.running_var if tracks else None,
            self.weight,
            self.bias,
            own,
            momentum,
            self.eps,
        )
        return result

    def extra_repr(self) -> str:
        """How many channels, and the settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Input (n, num_features) or (n, num_features, length)."""

    _dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Input (n, num_features, height, width)."""

    _dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """Input (n, num_features, depth, height, width)."""

    _dimensions = (5,)


class _InstanceNorm(_BatchNorm):
    """`BatchNorm` of each sample by itself; input with or without n."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Returns the input's shape."""
        most = self._dimensions[-1]
        if input.ndim not in (most - 1, most):
            raise ValueError(f"expected {most - 1}D or {most}D input (got {input.ndim}D input)")
        batch: Any = input if input.ndim == most else input.unsqueeze(0)
        own = self.training or not self.track_running_stats
        result: Any = functional.instance_norm(
            batch, self.running_mean, self.running_var, self.weight, self.bias, own, self.momentum or 0.0, self.eps
        )
        found: Tensor = result if input.ndim == most else result.squeeze(0)
        return found


class InstanceNorm1d(_InstanceNorm):
    """Input (n, num_features, length)."""

    _dimensions = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Input (n, num_features, height, width)."""

    _dimensions = (4,)


class InstanceNorm3d(_InstanceNorm):
    """Input (n, num_features, depth, height, width)."""

    _dimensions = (5,)


class LocalResponseNorm(Module):
    """The input divided by the mean square of `size` neighbouring channels, raised to `beta`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, channels, ...). Returns that shape."""
        result: Tensor = functional.local_response_norm(input, self.size, self.alpha, self.beta, self.k)
        return result

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last dimensions, which are `normalized_shape`."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (
            (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        )
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name in ("weight", "bias"):
            if elementwise_affine and (bias or name == "weight"):
                setattr(self, name, zeros(self.normalized_shape, dtype))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Input (..., *normalized_shape). Returns that shape."""
        result: Tensor = functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)
        return result

    def extra_repr(self) -> str:
        """The shape and the settings."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Root mean square 1 over the last dimensions, which are `normalized_shape`. eps: None for the dtype's epsilon."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (
            (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        )
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = zeros(self.normalized_shape, dtype)
            init.ones_(self.weight)
        else:
            self.register_parameter("weight", None)

    def forward(self, input: Tensor) -> Tensor:
        """Input (..., *normalized_shape). Returns that shape."""
        if "rms_norm" in dir(functional):
            result: Tensor = functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)
            return result
        dims = tuple(range(-len(self.normalized_shape), 0))
        eps = float(np.finfo(input._data.dtype).eps) if self.eps is None else self.eps
        x: Any = input
        scaled = x * ((x * x).mean(dims, keepdim=True) + eps).rsqrt()
        return scaled if self.weight is None else scaled * self.weight  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The shape and the settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Mean 0 and variance 1 over groups of channels, then a scale and a bias for each channel."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name in ("weight", "bias"):
            if affine and (bias or name == "weight"):
                setattr(self, name, zeros((num_channels,), dtype))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1 and bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, num_channels, ...). Returns that shape."""
        if "group_norm" in dir(functional):
            result: Tensor = functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
            return result
        groups: Any = input.reshape(input.shape[0], self.num_groups, -1)
        out: Any = functional.layer_norm(groups, groups.shape[2:], None, None, self.eps).reshape(input.shape)
        shape = (-1, *[1] * (input.ndim - 2))
        if self.weight is not None:
            out = out * self.weight.reshape(shape)
        return out if self.bias is None else out + self.bias.reshape(shape)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The counts and the settings."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
