"""Activations that are met less often: `selu`, `hardswish`, `mish`, `glu`, `prelu`, `logsigmoid`, and relatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import called, composite
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.activations import softmax
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, METHODS, first_tensor, functional, inplace_of
from gradviz.core.tensor import Tensor

ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
"""SELU's constants. Source: Klambauer et al., arXiv:1706.02515."""

ONE_SIXTH = float(np.float32(1 / 6))
"""What PyTorch multiplies with, a float32 for every dtype."""

_KINKS = np.array([-3.0, -0.5, 0.0, 0.5, 3.0, np.nan])


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _floating(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"{name}\" not implemented for '{kind}'")


def _celu_back(g: Any, x: Any, alpha: float) -> Any:
    """The cotangent with PyTorch's `1 / alpha`, for which it takes `alpha` as a float32 whatever the dtype."""
    steepness = 1 / float(np.float32(alpha))
    return g * np.where(x <= 0, alpha * steepness * np.exp(np.where(x < 0, x, 0) * steepness), 1.0)


def _row(signature: str, forward: Callable[..., Any], vjp: Callable[..., Any], node: str, *samples: Any) -> Row:
    name = signature.partition("(")[0].replace("log_sigmoid", "logsigmoid")

    def run(x: Any, *static: Any) -> Any:
        _floating(name, x)
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        return forward(wide, *static).astype(x.dtype, copy=False)

    return op(
        signature,
        run,
        node=node,
        call=f"nn.functional.{name}",
        x=vjp,
        samples=lambda: [
            *(sample(grid(2, 5) * 2, *given) for given in samples or ((),)),
            sample(_KINKS, *(samples[0] if samples else ()), smooth=False),
        ],
    )


SELU = _row(
    "selu(x)",
    lambda x: SCALE * np.where(x > 0, x, ALPHA * np.expm1(x)),
    lambda g, x: g * np.where(x <= 0, SCALE * ALPHA * np.exp(np.where(x < 0, x, 0)), SCALE),
    "EluBackward0",
)
CELU = _row(
    "celu(x, *, alpha=1.0)",
    lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
    _celu_back,
    "",
    (),
    (0.5,),
)
HARDSIGMOID = _row(
    "hardsigmoid(x)",
    lambda x: np.minimum(np.maximum(x + 3, 0), 6) / 6,
    lambda g, x: np.where((x > -3) & (x < 3), g * ONE_SIXTH, 0.0),
    "",
)
HARDSWISH = _row(
    "hardswish(x)",
    lambda x: x * np.minimum(np.maximum(x + 3, 0), 6) / 6,
    lambda g, x: np.where(x <= -3, 0.0, np.where(x < 3, g * (np.where(abs(x) < 3, x, 0) / 3 + 0.5), g)),
    "",
)
MISH = _row(
    "mish(x)",
    lambda x: x * np.tanh(np.logaddexp(0, x)),
    lambda g, x: g * _mish_slope(x),
    "",
)
LOGSIGMOID = _row(
    "log_sigmoid(x)",
    lambda x: np.minimum(x, 0) - np.log1p(np.exp(-abs(x))),
    lambda g, x: g * _logistic(-x),
    "LogSigmoidBackward0",
)
HARDSHRINK = _row(
    "hardshrink(x, *, lambd=0.5)",
    lambda x, lambd: np.where(abs(x) <= lambd, 0, x),
    lambda g, x, lambd: np.where(abs(x) <= lambd, 0.0, g),
    "",
    (),
    (1.1,),
)
SOFTSHRINK = _row(
    "softshrink(x, *, lambd=0.5)",
    lambda x, lambd: np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, x * 0)),
    lambda g, x, lambd: np.where(abs(x) <= lambd, 0.0, g),
    "",
    (),
    (1.1,),
)


def _above(x: Any, threshold: float, value: float) -> Any:
    if x.dtype.kind == "u" and (value < 0 or threshold < 0):
        raise RuntimeError("value cannot be converted to type uint8_t without overflow")
    return np.where(x <= threshold, value, x).astype(x.dtype)


THRESHOLD = op(
    "_threshold(x, *, threshold, value)",
    _above,
    node="ThresholdBackward0",
    call="nn.functional.threshold",
    x=lambda g, x, threshold: np.where(x <= threshold, 0.0, g),
    samples=lambda: [sample(grid(2, 3), 0.1, 2.0), sample(_KINKS, 0.5, -1.0, smooth=False)],
)


def _mish_slope(x: Any) -> Any:
    tanh = np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-abs(x))))
    return tanh + x * (1 - tanh * tanh) * _logistic(x)


def _unary(row: Row, inplace: bool = True) -> None:
    """Publish `F.name(input, static..., inplace=False)`."""
    name = row.call.rpartition(".")[2]

    def call(input: Tensor, *args: Any, inplace: bool = False, **kwargs: Any) -> Tensor:
        given = list(args)
        if len(given) > len(row.static):
            inplace = given.pop()
        static = tuple(given) + tuple(
            kwargs.pop(key, default)
            for key, default in list(zip(row.static, row.defaults, strict=True))[len(given) :]
        )
        if kwargs:
            raise TypeError(f"{name}() got an unexpected keyword argument '{min(kwargs)}'")
        first_tensor(name, input)
        return apply_inplace(row, input, (), static) if inplace else apply(row, (input,), static)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{row.signature}`, elementwise." + (" inplace: write it over `input`." if inplace else "")
    FUNCTIONAL[name] = call


for _each in (SELU, CELU, HARDSIGMOID, HARDSWISH, MISH, LOGSIGMOID, HARDSHRINK, SOFTSHRINK, THRESHOLD):
    _unary(_each)
for _each in (SELU, CELU, THRESHOLD):
    _name = _each.name.strip("_")
    FUNCTIONS[_name] = FUNCTIONAL[_name]
    FUNCTIONAL[_name + "_"] = FUNCTIONS[_name + "_"] = inplace_of(_each)
FUNCTIONS["hardshrink"] = METHODS["hardshrink"] = FUNCTIONAL["hardshrink"]
for _name in ("relu", "leaky_relu", "elu", "hardtanh"):
    FUNCTIONAL[_name + "_"] = called(_name + "_")(
        lambda input, *args, _call=FUNCTIONAL[_name], **kwargs: _call(input, *args, inplace=True, **kwargs)
    )


@functional
@composite
def softsign(input: Any) -> Tensor:
    """`input / (1 + abs(input))`."""
    result: Tensor = input / (input.abs() + 1)
    return result


@functional
@composite
def tanhshrink(input: Any) -> Tensor:
    """`input - tanh(input)`."""
    result: Tensor = input - input.tanh()
    return result


@functional
@composite
def softmin(input: Any, dim: int, dtype: Any = None) -> Tensor:
    """`softmax(-input)`."""
    return softmax(-input, dim, dtype)


# ---- with a weight, or in two halves

PRELU: Row = op(
    "prelu(x, weight)",
    lambda x, weight: np.where(x > 0, x, x * weight).astype(x.dtype),
    node="PreluKernelBackward0",
    call="nn.functional.prelu",
    x=lambda g, x, weight: np.where(x > 0, g, g * weight),
    weight=lambda g, x: np.where(x > 0, 0.0, g * x),
)


@functional
@composite
def prelu(input: Any, weight: Any) -> Tensor:
    """`input` where it is positive, else `weight * input`. weight: one number, or one for each channel."""
    first_tensor("prelu", input)
    if input.dtype is not weight.dtype:
        first, second = (one.dtype.type_name.removesuffix("Tensor").lower() for one in (input, weight))
        raise RuntimeError(f"prelu: Type promoting not supported. Got {first} and {second}")
    if weight.numel() != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel() or not input.ndim:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} "
                f"and channel size = {channels}."
            )
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if weight.ndim != input.ndim:
        shape = [1] * input.ndim
        if input.ndim > 1:
            shape[1] = weight.numel()
        weight = weight.reshape(shape)
    return apply(PRELU, (input, weight))


FUNCTIONS["prelu"] = prelu


def _halves(x: Any, dim: int) -> tuple[Any, Any]:
    half = x.shape[dim] // 2
    lead = (slice(None),) * dim
    return x[(*lead, slice(None, half))], x[(*lead, slice(half, None))]


def _gated_back(g: Any, x: Any, dim: int) -> Any:
    first, second = _halves(x, dim)
    gate = _logistic(second)
    return np.concatenate([g * gate, g * first * gate * (1 - gate)], axis=dim)


GLU: Row = op(
    "glu(x, *, dim=-1)",
    lambda x, dim: _halves(x, dim)[0] * _logistic(_halves(x, dim)[1]),
    call="nn.functional.glu",
    x=_gated_back,
    samples=lambda: [sample(grid(2, 4)), sample(grid(4, 3), 0)],
)


@functional
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of `input` along `dim`, times the sigmoid of the second."""
    if not first_tensor("glu", input).ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = wrap(dim, input.ndim)
    if input.shape[axis] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {axis} is size {input.shape[axis]}"
        )
    _floating("glu_cpu", input._data)
    return apply(GLU, (input,), (axis,))
