"""Initial values, under PyTorch's names: `kaiming_uniform_`, `xavier_normal_`, `zeros_`, ...

Each overwrites the tensor that it is given, without history, and returns it. After `manual_seed(n)` the numbers are
PyTorch's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.random import Generator, stream
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import fill


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which `nonlinearity` has to be made up for. param: the slope of `leaky_relu`.

    Raises ValueError for a name that is none.
    """
    if nonlinearity in ("linear", "conv1d", "conv2d", "conv3d", "sigmoid", "conv_transpose1d", "conv_transpose2d"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers in [a, b)."""
    data = tensor._data
    return fill(tensor, stream(generator).uniform(data.size, data.dtype, a, b).reshape(data.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers."""
    data = tensor._data
    return fill(tensor, stream(generator).normal(data.size, data.dtype, mean, std).reshape(data.shape))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers that lie in [a, b]: those outside are drawn again.

    Where [a, b] takes in less than 0.3 of all, uniform numbers are drawn and kept by chance.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be "
            "incorrect.",
            stacklevel=2,
        )
    data, source = np.asarray(tensor._data), stream(generator)
    kind = data.dtype.type
    below, above = (0.5 * (1 + math.erf((edge - mean) / std / math.sqrt(2.0))) for edge in (a, b))
    if above - below > 0.3:
        values = source.normal(data.size, data.dtype, mean, std)
        while (outside := (values < kind(a)) | (values > kind(b))).any():
            values = np.where(outside, source.normal(data.size, data.dtype, mean, std), values)
        return fill(tensor, values.reshape(data.shape))
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    values = np.zeros(data.size, data.dtype)
    pending = np.ones(data.size, bool)
    while pending.any():
        drawn = source.uniform(data.size, data.dtype, a, b)
        values = np.where(pending, drawn, values)
        density = ((drawn - kind(mean)) / kind(std)) ** 2 * kind(-0.5) - kind(peak)
        with np.errstate(divide="ignore"):
            pending &= np.log(source.uniform(data.size, data.dtype)) > density
    return fill(tensor, values.reshape(data.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    return fill(tensor, val)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return fill(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return fill(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere. Raises ValueError for what is no matrix."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return fill(tensor, np.eye(*tensor._data.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight that passes its input on. Raises ValueError for other than 3 to 5 dimensions."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    shape = tensor._data.shape
    if shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(shape, tensor._data.dtype)
    each = shape[0] // groups
    centre = tuple(length // 2 for length in shape[2:])
    for group in range(groups):
        for channel in range(min(each, shape[1])):
            values[(group * each + channel, channel, *centre)] = 1
    return fill(tensor, values)


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many numbers an output depends on, and how many outputs depend on an input.

    Raises ValueError for fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    shape = tensor._data.shape
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


_calculate_fan_in_and_fan_out = fans


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform numbers that keep the variance both ways. Source: X. Glorot and Y. Bengio, 2010."""
    fan_in, fan_out = fans(tensor)
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / float(fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers that keep the variance both ways. Source: X. Glorot and Y. Bengio, 2010."""
    fan_in, fan_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def _deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers that keep the variance behind a rectifier of slope `a`. Source: K. He and others, 2015."""
    if 0 in tensor._data.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers that keep the variance behind a rectifier of slope `a`. Source: K. He and others, 2015."""
    if 0 in tensor._data.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _deviation(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Rows, or columns where there are more rows, that are orthogonal to each other and `gain` long."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    data = tensor._data
    rows, columns = data.shape[0], math.prod(data.shape[1:])
    drawn: Any = stream(generator).normal(rows * columns, data.dtype).reshape(rows, columns)
    found, upper = np.linalg.qr(drawn.T if rows < columns else drawn)
    found = found * np.sign(np.diag(upper))
    return fill(tensor, (found.T if rows < columns else found).reshape(data.shape) * gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers, of which in each column the fraction `sparsity` is 0. Raises ValueError for what is no matrix."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor._data.shape
    count = math.ceil(sparsity * rows)
    normal_(tensor, 0.0, std, generator)
    array = tensor._array()
    for column in range(columns):
        array[stream(generator).permutation(rows)[:count], column] = 0
    return tensor


# ---- older names


def _older(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function by its older name, without the underscore."""

    def old(*args: Any, **kwargs: Any) -> Tensor:
        name = old.__name__
        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.", FutureWarning, stacklevel=2
        )
        return call(*args, **kwargs)

    old.__name__ = old.__qualname__ = call.__name__[:-1]
    old.__doc__ = f"`{call.__name__}` by its older name. Warns that it is deprecated."
    return old


uniform = _older(uniform_)
normal = _older(normal_)
constant = _older(constant_)
eye = _older(eye_)
dirac = _older(dirac_)
xavier_uniform = _older(xavier_uniform_)
xavier_normal = _older(xavier_normal_)
kaiming_uniform = _older(kaiming_uniform_)
kaiming_normal = _older(kaiming_normal_)
orthogonal = _older(orthogonal_)
sparse = _older(sparse_)
