"""Layers that bring their input to mean 0 and variance 1: `batch_norm`, `group_norm`, `instance_norm`, and relatives.

Shapes: x (N, C, ...); weight, bias and running statistics (C,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import sums
from gradviz.core.grad_mode import no_grad
from gradviz.core.ops.layers import layer_norm
from gradviz.core.ops.padding import pad
from gradviz.core.ops.samples import grid, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, first_tensor, functional
from gradviz.core.tensor import Tensor

FUNCTIONS["layer_norm"] = layer_norm


def wide(x: Any) -> Any:
    """float16 arrays as float32, in which PyTorch computes them; anything else as it is."""
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == np.float16 else x


def _standardised(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """x with mean 0 and variance 1 over some dimensions, and the factor that made the variance so."""
    size = max(math.prod(x.shape[axis] for axis in axes), 1)
    centred = x - sums(x, axes) / size
    factor = 1 / np.sqrt(sums(centred * centred, axes) / size + eps)
    return centred * factor, factor


def _moments(g: Any, out: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The sums of the cotangents, and of their products with the standardised x."""
    return sums(g, axes), sums(g * out, axes)


def _slope(g: Any, out: Any, factor: Any, moments: tuple[Any, Any], axes: tuple[int, ...]) -> Any:
    """The cotangent of x: that of the standardised x, less what moves its mean and what moves its variance."""
    size = max(math.prod(out.shape[axis] for axis in axes), 1)
    return (g - moments[0] / size - out * (moments[1] / size)) * factor


def _channel_sums(g: Any) -> Any:
    return sums(g, _others(g.ndim)).reshape(-1)


def _along_channels(values: Any, ndim: int) -> Any:
    """(C,) so that it broadcasts against (N, C, ...)."""
    return wide(values).reshape((1, -1, *(1,) * (ndim - 2)))


def _others(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


def _scaled(out: Any, weight: Any, bias: Any, kind: Any) -> Any:
    if weight is not None:
        out = out * _along_channels(weight, out.ndim)
    if bias is not None:
        out = out + _along_channels(bias, out.ndim)
    return out.astype(kind, copy=False)


# ---- over a batch


def _batch_standardised(x: Any, var: Any, training: bool, eps: float) -> tuple[Any, Any]:
    """In training x standardised; and the factor that makes the variance 1."""
    x = wide(x)
    if training:
        return _standardised(x, _others(x.ndim), eps)
    return None, 1 / np.sqrt(_along_channels(var, x.ndim) + eps)


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, eps: float) -> Any:
    out, factor = _batch_standardised(x, var, training, eps)
    if not training:
        out = (wide(x) - _along_channels(mean, x.ndim)) * factor
    return _scaled(out, weight, bias, x.dtype)


def _batch_slope(g: Any, standard: tuple[Any, Any], moments: Any, weight: Any, training: bool) -> Any:
    g, (out, factor) = wide(g), standard
    if weight is not None:
        factor = factor * _along_channels(weight, g.ndim)
    return _slope(g, out, factor, moments, _others(g.ndim)) if training else g * factor


def _batch_weight(g: Any, standard: tuple[Any, Any], moments: Any, x: Any, mean: Any, training: bool) -> Any:
    if training:
        return moments[1].reshape(-1)
    return _channel_sums(wide(g) * (wide(x) - _along_channels(mean, len(x.shape)))) * standard[1].reshape(-1)


BATCH_NORM: Row = op(
    "batch_norm(x, weight, bias, mean, var, *, training, eps)",
    _batch_norm,
    node="NativeBatchNormBackward0",
    call="nn.functional.batch_norm",
    shared={
        "standard": lambda g, x, var, training, eps: _batch_standardised(x, var, training, eps),
        "moments": lambda g, standard, training: (
            _moments(wide(g), standard[0], _others(len(g.shape))) if training else None
        ),
    },
    x=_batch_slope,
    weight=_batch_weight,
    bias=lambda g: _channel_sums(wide(g)),
    samples=lambda: [
        sample(grid(4, 3), None, None, training=True),
        sample(grid(2, 3, 2, 2), None, None, positive(3), grid(3), True, eps=0.1),
    ],
)


@functional
@composite
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """`input` with mean 0 and variance 1 over all but its channels, then scaled and moved.

    training: take mean and variance from `input`, and move the running ones by `momentum` towards them; otherwise use
    the running ones. Raises ValueError in training where a channel has one value, RuntimeError for what does not fit.
    """
    first_tensor("batch_norm", input)
    shape = tuple(input.shape)
    if training:
        if len(shape) < 2 or math.prod(shape) // max(shape[1], 1) == 1:
            if len(shape) < 2:
                raise IndexError("tuple index out of range")
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    elif running_mean is None or running_var is None:
        missing = "running_mean" if running_mean is None else "running_var"
        raise RuntimeError(f"{missing} must be defined in evaluation mode")
    if len(shape) < 2:
        got = 0 if running_mean is None else running_mean.numel()
        raise RuntimeError(f"running_mean should contain {shape[1] if len(shape) > 1 else 0} elements not {got}")
    for name, tensor in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if tensor is not None and tensor.numel() != shape[1]:
            raise RuntimeError(f"{name} should contain {shape[1]} elements not {tensor.numel()}")
    _check_types(input, running_mean, running_var, weight, bias)
    if not input.numel():
        return _empty(input, weight, bias)
    statistics = (None, None) if training else (running_mean, running_var)
    result = apply(BATCH_NORM, (input, weight, bias, *statistics), (training, eps))
    if training and running_mean is not None and running_var is not None:
        _move(input._data, running_mean, running_var, momentum)
    return result


def _empty(input: Any, weight: Any, bias: Any) -> Tensor:
    result = input.clone()
    if weight is not None:
        result = result * weight[0]
    if bias is not None:
        result = result + bias[0]
    empty: Tensor = result
    return empty


def _check_types(input: Tensor, *others: Tensor | None) -> None:
    kinds = {one.dtype for one in others if one is not None}
    if not input.is_floating_point():
        raise NotImplementedError(f"\"batch_norm\" not implemented for '{_type(input)}'")
    if len(kinds) > 1:
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
    mixed = input.dtype.name == "float16" and {kind.name for kind in kinds} == {"float32"}
    if kinds and kinds != {input.dtype} and not mixed:
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def _type(tensor: Tensor) -> str:
    return tensor.dtype.type_name.removesuffix("Tensor")


def _move(x: Any, mean: Any, var: Any, momentum: float | None) -> None:
    """Move running statistics towards those of a batch; the variance counts one value less."""
    axes = _others(x.ndim)
    x = wide(x)
    count = x.size // x.shape[1]
    share = 0.1 if momentum is None else momentum
    # Not a write that a graph hears of: PyTorch leaves the version as it is.
    batch_mean = sums(x, axes) / count
    centred = x - batch_mean
    spread = sums(centred * centred, axes) / (count - 1)
    for running, batch in ((mean, batch_mean.reshape(-1)), (var, spread.reshape(-1))):
        memory = running._array()
        memory[...] = memory * (1 - share) + batch * share


# ---- over groups of channels


def _grouped(x: Any, groups: int, eps: float) -> tuple[Any, Any]:
    """x standardised within each group, in its own shape, and the factor of each group."""
    x = wide(x)
    parts = x.reshape((x.shape[0], groups, math.prod(x.shape[1:]) // groups))
    out, factor = _standardised(parts, (2,), eps)
    return out.reshape(x.shape), factor


def _group_slope(g: Any, standard: tuple[Any, Any], weight: Any, groups: int) -> Any:
    g, (out, factor) = wide(g), standard
    shape = g.shape
    if weight is not None:
        g = g * _along_channels(weight, len(shape))
    parts = (shape[0], groups, math.prod(shape[1:]) // groups)
    g, out = g.reshape(parts), out.reshape(parts)
    return _slope(g, out, factor, _moments(g, out, (2,)), (2,)).reshape(shape)


GROUP_NORM: Row = op(
    "group_norm(x, weight, bias, *, groups, eps)",
    lambda x, weight, bias, groups, eps: _scaled(_grouped(x, groups, eps)[0], weight, bias, x.dtype),
    node="NativeGroupNormBackward0",
    call="nn.functional.group_norm",
    shared={"standard": lambda g, x, groups, eps: _grouped(x, groups, eps)},
    x=_group_slope,
    weight=lambda g, standard: _channel_sums(wide(g) * standard[0]),
    bias=lambda g: _channel_sums(wide(g)),
    samples=lambda: [
        sample(grid(2, 4, 3), 2, grid(4), grid(4)),
        sample(grid(2, 6, 2, 2), 3, eps=0.1),
        sample(grid(3, 4, 2), 1),
    ],
)


@functional
@composite
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05
) -> Tensor:
    """`input` with mean 0 and variance 1 over each of `num_groups` groups of channels, then scaled and moved."""
    first_tensor("group_norm", input)
    shape = list(input.shape)
    if len(shape) < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {len(shape)}")
    if num_groups <= 0:
        raise RuntimeError("Expected num groups to be greater than 0, got " + str(num_groups))
    size = math.prod(shape[1:]) // num_groups * shape[0]
    if size == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {shape}")
    if shape[1] % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {shape} and "
            f"num_groups={num_groups}"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tuple(tensor.shape) != (shape[1],):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of "
                f"shape {list(tensor.shape)} and input of shape {shape}"
            )
    _check_types(input, weight, bias)
    contiguous: Any = input.contiguous()
    return apply(GROUP_NORM, (contiguous, weight, bias), (num_groups, eps))


FUNCTIONS["group_norm"] = group_norm


@functional
@composite
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """`batch_norm` of each sample by itself."""
    shape = tuple(input.shape)
    if use_input_stats and math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    batch, channels = shape[:2]
    given = (running_mean, running_var, weight, bias)
    repeated: list[Any] = [None if one is None else one.repeat(batch) for one in given]
    flat = input.contiguous().view(1, batch * channels, *shape[2:])
    mean, var, scale, shift = repeated
    result: Any = batch_norm(flat, mean, var, scale, shift, use_input_stats, momentum, eps)
    for running, copies in ((running_mean, repeated[0]), (running_var, repeated[1])):
        if running is not None and use_input_stats:
            with no_grad():
                running.copy_(copies.view(batch, channels).mean(0))
    normalised: Tensor = result.view(*shape)
    return normalised


@functional
@composite
def rms_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Tensor:
    """`input` divided by the root of the mean of its squares over its last dimensions, then scaled."""
    count = len(tuple(normalized_shape))
    if tuple(input.shape[input.ndim - count :]) != tuple(normalized_shape):
        inner = ", ".join(["*", *map(str, normalized_shape)])
        raise RuntimeError(
            f"Given normalized_shape={list(normalized_shape)}, expected input with shape [{inner}], but got input of "
            f"size{list(input.shape)}"
        )
    least = float(np.finfo(input._data.dtype).eps) if eps is None else eps
    squares = input.pow(2).mean(tuple(range(-count, 0)), keepdim=True)
    result: Tensor = input * (squares + least).rsqrt()
    if weight is not None:
        result = result * weight
    return result


FUNCTIONS["rms_norm"] = rms_norm


@functional
@composite
def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """`input` divided by `(k + alpha * the mean of the squares of size neighbouring channels) ** beta`."""
    from gradviz.core.public import FUNCTIONAL

    shape = tuple(input.shape)
    if len(shape) < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {len(shape)} dimensions)")
    squares = input.mul(input)
    if len(shape) == 3:
        squares = pad(squares.unsqueeze(1), (0, 0, size // 2, (size - 1) // 2))
        squares = FUNCTIONAL["avg_pool2d"](squares, (size, 1), stride=1).squeeze(1)
    else:
        squares = squares.view(shape[0], 1, shape[1], shape[2], -1)
        squares = pad(squares, (0, 0, 0, 0, size // 2, (size - 1) // 2))
        squares = FUNCTIONAL["avg_pool3d"](squares, (size, 1, 1), stride=1).squeeze(1).view(shape)
    result: Tensor = input / squares.mul(alpha).add(k).pow(beta)
    return result
