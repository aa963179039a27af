"""What neurons apply: `relu` and its relatives, `gelu`, `softmax`, `dropout`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply, leaf
from gradviz.core.blocks import in_blocks
from gradviz.core.composites import called, composite
from gradviz.core.dual import dots, kept_where, run_row, sums
from gradviz.core.error_function import erf
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.arithmetic import MUL
from gradviz.core.ops.elementwise import ERF, SIGMOID, floating
from gradviz.core.ops.samples import grid, positive
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, both, first_tensor, functional, method
from gradviz.core.random import stream
from gradviz.core.tensor import Tensor

ROOT_HALF = math.sqrt(0.5)
INVERSE_ROOT_2_PI = 1 / math.sqrt(2 * math.pi)
ROOT_2_BY_PI = math.sqrt(2 / math.pi)
GELU_CUBE = 0.044715
"""Weight of the cube in GELU's tanh form. Source: Hendrycks and Gimpel, arXiv:1606.08415."""

_KINKS = np.array([-1.0, 0.0, -0.0, 1.0, 6.0, np.nan])


def _run(row: Row, input: Any, static: tuple[Any, ...], inplace: bool) -> Tensor:
    input = first_tensor(row.name, input)
    return apply_inplace(row, input, (), static) if inplace else apply(row, (input,), static)


# ---- ramps


def _ramp(x: Any) -> Any:
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    count = x.size if x.size >= SHORT and x.flags.c_contiguous else 0
    for length in x.shape:
        if count <= LONG:
            break
        count //= length
    if not SHORT <= count <= LONG:
        return np.maximum(x, x.dtype.type(0))
    out = np.empty(x.shape, x.dtype)
    np.maximum(x.reshape(-1, count), _zeros(count, x.dtype), out=out.reshape(-1, count))
    return out


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
    x=lambda g, out: kept_where(~(out <= 0), g),
    samples=lambda: [sample(grid(2, 3)), sample(_KINKS, smooth=False)],
)
LEAKY_RELU = op(
    "leaky_relu(x, *, negative_slope=0.01)",
    lambda x, negative_slope: np.where(x > 0, x, x * negative_slope).astype(x.dtype),
    call="nn.functional.leaky_relu",
    x=lambda g, x, negative_slope: np.where(x > 0, g, g * negative_slope),
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), 0.2), sample(_KINKS, smooth=False)],
)
HARDTANH = op(
    "hardtanh(x, *, min_val=-1.0, max_val=1.0)",
    _between,
    call="nn.functional.hardtanh",
    x=lambda g, x, min_val, max_val: kept_where(~((x <= min_val) | (x >= max_val)), g),
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), -0.3, 1.1), sample(_KINKS, smooth=False)],
)
RELU6 = op(
    "relu6(x)",
    lambda x: _between(x, 0, 6),
    node="HardtanhBackward0",
    call="nn.functional.relu6",
    x=lambda g, x: np.where((x <= 0) | (x >= 6), 0, g),
    samples=lambda: [sample(positive(2, 3)), sample(_KINKS, smooth=False)],
)


@method
def relu_(self: Tensor) -> Tensor:
    """In-place `relu`."""
    return apply_inplace(RELU, self)


@both
def relu(input: Tensor) -> Tensor:
    """`input` where it is positive, else zero."""
    return _run(RELU, input, (), False)


def _functional_relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else zero. inplace: write it over `input`."""
    return _run(RELU, input, (), inplace)


FUNCTIONAL["relu"] = _functional_relu


@functional
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `negative_slope * input`. inplace: write it over `input`."""
    return _run(LEAKY_RELU, input, (negative_slope,), inplace)


@functional
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` kept between two numbers; no gradient at the bounds. inplace: write it over `input`."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _run(HARDTANH, input, (min_val, max_val), inplace)


@functional
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` kept between 0 and 6. inplace: write it over `input`."""
    return _run(RELU6, input, (), inplace)


# ---- smooth ones


def _logistic(x: Any) -> Any:
    return run_row(SIGMOID, (x,))


def _soft_ramp(x: Any, beta: float, threshold: float) -> Any:
    return np.where(x * beta > threshold, x, np.log1p(np.exp(x * beta)) / beta).astype(x.dtype)


def _gelu(x: Any, approximate: str) -> Any:
    return in_blocks(functools.partial(_gelu_of, approximate=approximate), x)


def _gelu_slope(g: Any, x: Any, approximate: str) -> Any:
    return in_blocks(functools.partial(_gelu_slope_of, approximate=approximate), g, x)


def _gelu_of(x: Any, approximate: str) -> Any:
    if approximate == "none":
        return x * 0.5 * (1 + erf(x * ROOT_HALF))
    return 0.5 * x * (1 + np.tanh(ROOT_2_BY_PI * (x + GELU_CUBE * x * x * x)))


def _gelu_slope_of(g: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":
        return g * (0.5 * (1 + run_row(ERF, (x * ROOT_HALF,))) + x * np.exp(-0.5 * x * x) * INVERSE_ROOT_2_PI)
    tanh = np.tanh(ROOT_2_BY_PI * (x + GELU_CUBE * x * x * x))
    slope = (1 - tanh * tanh) * ROOT_2_BY_PI * (1 + 3 * GELU_CUBE * x * x)
    return g * 0.5 * (1 + tanh + x * slope)


ELU = op(
    "elu(x, *, alpha=1.0)",
    lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)).astype(x.dtype),
    call="nn.functional.elu",
    x=lambda g, x, alpha: np.where(x <= 0, g * alpha * np.exp(np.where(x < 0, x, 0)), g),
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), 0.5), sample(_KINKS, smooth=False)],
)
SOFTPLUS = op(
    "softplus(x, *, beta=1, threshold=20)",
    _soft_ramp,
    call="nn.functional.softplus",
    x=lambda g, x, beta, threshold: np.where(x * beta > threshold, g, g * _logistic(x * beta)),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-50, high=50)), sample(grid(2, 3), 2.0, threshold=1.5)],
)
SILU = op(
    "silu(x)",
    floating(lambda x: x * _logistic(x)),
    call="nn.functional.silu",
    x=lambda g, x: g * _logistic(x) * (1 + x * (1 - _logistic(x))),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-800, high=800))],
)
GELU = op(
    "gelu(x, *, approximate='none')",
    _gelu,
    call="nn.functional.gelu",
    x=_gelu_slope,
    samples=lambda: [sample(grid(2, 3)), sample(grid(2, 3), approximate="tanh"), sample(grid(5, low=-30, high=30))],
)


@functional
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `alpha * (exp(input) - 1)`. inplace: write it over `input`."""
    return _run(ELU, input, (alpha,), inplace)


@functional
def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """`log(1 + exp(beta * input)) / beta`; `input` itself where `beta * input` is above the threshold."""
    return _run(SOFTPLUS, input, (beta, threshold), False)


@functional
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * sigmoid(input)`. inplace: write it over `input`."""
    return _run(SILU, input, (), inplace)


@functional
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`input` times the normal distribution's CDF at it. approximate: "none", or "tanh" for the older formula."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return _run(GELU, input, (approximate,), False)


# ---- shares of a whole


def _axes(x: Any, dim: int) -> tuple[int, ...]:
    axis = wrap(dim, x.ndim)
    return (axis,) if x.ndim else ()


def _shares(x: Any, dim: int) -> Any:
    axes = _axes(x, dim)
    powers = np.exp(x - np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf))
    return powers / sums(powers, axes)


def _log_shares(x: Any, dim: int) -> Any:
    axes = _axes(x, dim)
    shifted = x - np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    return shifted - np.log(sums(np.exp(shifted), axes))


def _total(x: Any, dim: int) -> Any:
    return sums(x, _axes(x, dim))


def _softmax_samples() -> list[Sample]:
    return [sample(grid(2, 3), 1), sample(grid(2, 3, 2) * 300, dim=-2)]


SOFTMAX = op(
    "softmax(x, *, dim)",
    _shares,
    x=lambda g, out, dim: out * (g - dots(g, out, _axes(g, dim))),
    samples=_softmax_samples,
)
LOG_SOFTMAX = op(
    "log_softmax(x, *, dim)",
    _log_shares,
    x=lambda g, out, dim: g - np.exp(out) * _total(g, dim),
    samples=_softmax_samples,
)


def _normalize(row: Row, input: Any, dim: int, dtype: dtypes.dtype | None) -> Tensor:
    input = first_tensor(row.name, input)
    if dtype is not None:
        input = input.to(dtype)
    return apply(row, (input,), (dim,))


@functional
@both
@composite
def softmax(input: Tensor, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
    """Exponentials of `input` divided by their sum over `dim`. dtype: what to cast `input` to before."""
    return _normalize(SOFTMAX, input, dim, dtype)


@functional
@both
@composite
def log_softmax(input: Tensor, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
    """The logarithm of `softmax`, exact where that is close to zero. dtype: what to cast `input` to before."""
    return _normalize(LOG_SOFTMAX, input, dim, dtype)


# ---- dropout


@called("dropout")
def _dropped(input: Tensor, p: float, train: bool, inplace: bool) -> Tensor:
    data = first_tensor("dropout", input)._data
    if not train or p == 0 or not data.size:
        return input
    if p == 1:
        noise = np.zeros((), data.dtype)
    else:
        kept = stream(None).chances(1 - p, data.size).astype(data.dtype).reshape(data.shape)
        noise = kept / data.dtype.type(1 - p)
    mask = leaf(noise, "bernoulli", False)
    return apply_inplace(MUL, input, (mask,)) if inplace else apply(MUL, (input, mask))


@functional
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p` and scale the others by `1 / (1 - p)`; `input` itself if not training.

    inplace: write it over `input`. Raises ValueError for a probability outside 0 to 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return _dropped(input, p, training, inplace)


def _dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero each element with probability `p` and scale the others by `1 / (1 - p)`; `input` itself if not `train`."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    return _dropped(input, p, train, False)


FUNCTIONS["dropout"] = _dropout
for _name in ("sigmoid", "tanh"):
    FUNCTIONAL[_name] = FUNCTIONS[_name]
