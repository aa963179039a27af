"""Rectifiers, which are straight on one side: `relu` and its relatives, `elu`, `selu`, `celu`, `prelu`, `threshold`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_general
from gradviz.core.composites import called, composite
from gradviz.core.dual import array_of, chosen
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.activations import WRITTEN, activation, publish_activation, run_on
from gradviz.core.ops.samples import grid, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import (
    FUNCTIONAL,
    FUNCTIONS,
    METHODS,
    both,
    compiled_method,
    first_tensor,
    functional,
    inplace_of,
    method,
)
from gradviz.core.tensor import Tensor

ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
"""SELU's constants. Source: Klambauer et al., arXiv:1706.02515."""
_KINKS = np.array([-1.0, 0.0, -0.0, 1.0, 6.0, np.nan])
_ZERO = np.zeros((), np.float32)


# ---- straight on both sides


def _ramp(x: Any) -> Any:
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return _positive(x, x.dtype.type(0))


def _positive(x: Any, zero: Any) -> Any:
    """The greater of each element and zero, in one pass over the array."""
    if x.size < SHORT:
        return np.maximum(x, zero)
    count = x.size if x.flags.c_contiguous else 0
    for length in x.shape:
        if count <= LONG:
            break
        count //= length
    if not SHORT <= count <= LONG:
        return np.maximum(x, zero)
    out = np.empty(x.shape, x.dtype)
    np.maximum(x.reshape(-1, count), _zeros(count, x.dtype), out=out.reshape(-1, count))
    return out


_ramp.plain = lambda x: _positive(x, _ZERO)  # type: ignore[attr-defined]

SHORT, LONG = 1 << 9, 1 << 14
"""An array of so many elements is compared with zeros, for which numpy is twice as quick as with one zero."""
_zeros = functools.lru_cache(maxsize=16)(np.zeros)


def _between(x: Any, low: float, high: float) -> Any:
    if x.dtype.kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if x.dtype.kind == "u" and int(low) < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


RELU = op(
    "relu(x)",
    _ramp,
    x=lambda g, out: chosen(array_of(out).astype(bool), g, 0.0),  # it is positive or zero, or NaN
    samples=lambda: [sample(grid(2, 3)), sample(_KINKS, smooth=False)],
)
LEAKY_RELU = op(
    "leaky_relu(x, *, negative_slope=0.01)",
    lambda x, negative_slope: chosen(x > 0, x, x * negative_slope).astype(x.dtype, copy=False),
    call="nn.functional.leaky_relu",
    x=lambda g, x, negative_slope: chosen(x > 0, g, g * negative_slope),
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), 0.2), sample(_KINKS, smooth=False)],
)
HARDTANH = op(
    "hardtanh(x, *, min_val=-1.0, max_val=1.0)",
    _between,
    call="nn.functional.hardtanh",
    x=lambda g, x, min_val, max_val: chosen((x <= min_val) | (x >= max_val), 0.0, g),
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), -0.3, 1.1), sample(_KINKS, smooth=False)],
)
RELU6 = op(
    "relu6(x)",
    lambda x: _between(x, 0, 6),
    node="HardtanhBackward0",
    call="nn.functional.relu6",
    x=lambda g, x: chosen((x <= 0) | (x >= 6), 0.0, g),
    samples=lambda: [sample(positive(2, 3)), sample(_KINKS, smooth=False)],
)


@method
def relu_(self: Tensor) -> Tensor:
    """In-place `relu`."""
    return apply_inplace(RELU, self)


@both
def relu(input: Tensor) -> Tensor:
    """`input` where it is positive, else zero."""
    return run_on(RELU, input, (), False)


METHODS["relu"] = compiled_method("relu", RELU, 1, (), apply_general)
METHODS["relu"].__doc__ = relu.__doc__


def _functional_relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else zero. inplace: write it over `input`."""
    return run_on(RELU, input, (), inplace)


FUNCTIONAL["relu"] = _functional_relu


@functional
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `negative_slope * input`. inplace: write it over `input`."""
    return run_on(LEAKY_RELU, input, (negative_slope,), inplace)


@functional
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` kept between two numbers; no gradient at the bounds. inplace: write it over `input`."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return run_on(HARDTANH, input, (min_val, max_val), inplace)


@functional
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` kept between 0 and 6. inplace: write it over `input`."""
    return run_on(RELU6, input, (), inplace)


def _above(x: Any, threshold: float, value: float) -> Any:
    if x.dtype.kind == "u" and (value < 0 or threshold < 0):
        raise RuntimeError("value cannot be converted to type uint8_t without overflow")
    return chosen(x <= threshold, value, x).astype(x.dtype, copy=False)


THRESHOLD = op(
    "_threshold(x, *, threshold, value)",
    _above,
    node="ThresholdBackward0",
    call="nn.functional.threshold",
    x=lambda g, x, threshold: chosen(x <= threshold, 0.0, g),
    samples=lambda: [sample(grid(2, 3), 0.1, 2.0), sample(_KINKS, 0.5, -1.0, smooth=False)],
)


# ---- exponential below zero

ELU = op(
    "elu(x, *, alpha=1.0)",
    lambda x, alpha: chosen(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype, copy=False),
    call="nn.functional.elu",
    x=lambda g, x, alpha: chosen(x <= 0, g * alpha * np.exp(chosen(x < 0, x, 0)), g),
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), 0.5), sample(_KINKS, smooth=False)],
)


@functional
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `alpha * (exp(input) - 1)`. inplace: write it over `input`."""
    return run_on(ELU, input, (alpha,), inplace)


SELU = activation(
    "selu(x)",
    lambda x: SCALE * chosen(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0))),
    lambda g, x: g * chosen(x <= 0, SCALE * ALPHA * np.exp(chosen(x < 0, x, 0)), SCALE),
    "EluBackward0",
)


def _celu_back(g: Any, x: Any, alpha: float) -> Any:
    """The cotangent with PyTorch's `1 / alpha`, for which it takes `alpha` as a float32 whatever the dtype."""
    steepness = 1 / float(np.float32(alpha))
    return g * chosen(x <= 0, alpha * steepness * np.exp(chosen(x < 0, x, 0) * steepness), 1.0)


CELU = activation(
    "celu(x, *, alpha=1.0)",
    lambda x, alpha: chosen(x > 0, x, alpha * np.expm1(np.minimum(x / alpha, 0) if alpha > 0 else x / alpha)),
    _celu_back,
    "",
    (),
    (0.5,),
)


# ---- written over their input: what the node keeps is the result


def _refuse_negative(name: str, slope: float, more: str = "") -> None:
    """The result does not tell on which side the input was."""
    if slope < 0:
        raise RuntimeError(
            f"In-place {name} backward calculation is triggered with a negative slope which is not supported. This is "
            "caused by calling in-place forward function with a negative slope, please call out-of-place version "
            f"instead.{more}"
        )


def _leaky_relu_over(g: Any, out: Any, negative_slope: float) -> Any:
    more = " File an issue at https://github.com/pytorch/pytorch if you do require supporting in-place leakRelu "
    _refuse_negative("leakyReLu", negative_slope, f"{more}backward calculation with negative slope")
    return chosen(out > 0, g, g * negative_slope)


def _elu_over(g: Any, out: Any, alpha: float) -> Any:
    _refuse_negative("elu", alpha)
    return chosen(out <= 0, g * (out + alpha), g)


def _celu_over(g: Any, out: Any, alpha: float) -> Any:
    _refuse_negative("elu", alpha)
    return chosen(out <= 0, g * (1 / alpha) * (out + alpha), g)


for _row, _node, _vjp in (
    (LEAKY_RELU, "LeakyReluBackward1", _leaky_relu_over),
    (ELU, "EluBackward1", _elu_over),
    (SELU, "EluBackward1", lambda g, out: chosen(out <= 0, g * (out + SCALE * ALPHA), g * SCALE)),
    (CELU, "CeluBackward1", _celu_over),
    (THRESHOLD, "ThresholdBackward1", THRESHOLD.formulas[0][0]),  # type: ignore[index]
):
    WRITTEN[_row.key] = op(_row.signature, _row.forward, key=f"{_row.key}_", node=_node, call=_row.call, x=_vjp)

for _each in (SELU, CELU, THRESHOLD):
    publish_activation(_each)
    _name = _each.name.strip("_")
    FUNCTIONS[_name] = FUNCTIONAL[_name]
    FUNCTIONAL[_name + "_"] = FUNCTIONS[_name + "_"] = inplace_of(WRITTEN[_each.key])
for _name in ("relu", "leaky_relu", "elu", "hardtanh"):
    FUNCTIONAL[_name + "_"] = called(_name + "_")(
        lambda input, *args, _call=FUNCTIONAL[_name], **kwargs: _call(input, *args, inplace=True, **kwargs)
    )


# ---- with a slope that is learned

PRELU: Row = op(
    "prelu(x, weight)",
    lambda x, weight: chosen(x > 0, x, x * weight).astype(x.dtype, copy=False),
    node="PreluKernelBackward0",
    call="nn.functional.prelu",
    x=lambda g, x, weight: chosen(x > 0, g, g * weight),
    weight=lambda g, x: chosen(x > 0, 0.0, g * x),
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
