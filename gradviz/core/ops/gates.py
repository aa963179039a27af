"""Gates, which let an input through by what it or its other half is: `silu`, `gelu`, `mish`, `hardswish`, `glu`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gradviz.core import quotients
from gradviz.core.apply import apply
from gradviz.core.blocks import in_blocks
from gradviz.core.dual import chosen, run_row
from gradviz.core.error_function import erf
from gradviz.core.ops.activations import activation, logistic, need_floats, publish_activation, run_on
from gradviz.core.ops.elementwise import ERF, floating
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import first_tensor, functional
from gradviz.core.tensor import Tensor

ROOT_HALF = math.sqrt(0.5)
INVERSE_ROOT_2_PI = 1 / math.sqrt(2 * math.pi)
ROOT_2_BY_PI = math.sqrt(2 / math.pi)
GELU_CUBE = 0.044715
"""Weight of the cube in GELU's tanh form. Source: Hendrycks and Gimpel, arXiv:1606.08415."""


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "none" and quotients.goes_by_quotients(x):
        return quotients.gelu(x)
    return in_blocks(functools.partial(_gelu_of, approximate=approximate), x)


def _gelu_slope(g: Any, x: Any, approximate: str) -> Any:
    if approximate == "none" and isinstance(g, np.ndarray) and quotients.goes_by_quotients(x):
        slope = quotients.gelu_slope(x)
        return np.multiply(g, slope, out=slope) if g.dtype == slope.dtype and g.shape == slope.shape else g * slope
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


SILU = op(
    "silu(x)",
    floating(lambda x: x * logistic(x)),
    call="nn.functional.silu",
    x=lambda g, x: g * logistic(x) * (1 + x * (1 - logistic(x))),
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
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * sigmoid(input)`. inplace: write it over `input`."""
    return run_on(SILU, input, (), inplace)


@functional
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`input` times the normal distribution's CDF at it. approximate: "none", or "tanh" for the older formula."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return run_on(GELU, input, (approximate,), False)


HARDSWISH = activation(
    "hardswish(x)",
    lambda x: x * np.minimum(np.maximum(x + 3, 0), 6) / 6,
    lambda g, x: chosen(x <= -3, 0.0, chosen(x < 3, g * (chosen(abs(x) < 3, x, 0) / 3 + 0.5), g)),
    "",
)


def _soft_gate(x: Any) -> Any:
    """`tanh(log(1 + exp(x)))`. numpy's `logaddexp` takes twenty times as long."""
    return np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-abs(x))))


def _mish_slope(x: Any) -> Any:
    tanh = _soft_gate(x)
    return tanh + x * (1 - tanh * tanh) * logistic(x)


MISH = activation(
    "mish(x)",
    lambda x: x * _soft_gate(x),
    lambda g, x: g * _mish_slope(x),
    "",
)

for _each in (HARDSWISH, MISH):
    publish_activation(_each)


def _halves(x: Any, dim: int) -> tuple[Any, Any]:
    half = x.shape[dim] // 2
    lead = (slice(None),) * dim
    return x[(*lead, slice(None, half))], x[(*lead, slice(half, None))]


def _gated_back(g: Any, x: Any, dim: int) -> Any:
    first, second = _halves(x, dim)
    gate = logistic(second)
    return np.concatenate([g * gate, g * first * gate * (1 - gate)], axis=dim)


GLU: Row = op(
    "glu(x, *, dim=-1)",
    lambda x, dim: _halves(x, dim)[0] * logistic(_halves(x, dim)[1]),
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
    need_floats("glu_cpu", input._data)
    return apply(GLU, (input,), (axis,))
