"""Steps and what is made of them: `hardsigmoid`, `logsigmoid`, `softplus`, `softsign`, and shrinkage towards zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.composites import composite
from gradviz.core.dual import chosen
from gradviz.core.ops.activations import activation, logistic, publish_activation, run_on
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import op, sample
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, METHODS, functional
from gradviz.core.tensor import Tensor

ONE_SIXTH = float(np.float32(1 / 6))
"""What PyTorch multiplies with, a float32 for every dtype."""


def _soft_ramp(x: Any, beta: float, threshold: float) -> Any:
    return np.where(x * beta > threshold, x, np.log1p(np.exp(x * beta)) / beta).astype(x.dtype)


SOFTPLUS = op(
    "softplus(x, *, beta=1, threshold=20)",
    _soft_ramp,
    call="nn.functional.softplus",
    x=lambda g, x, beta, threshold: np.where(x * beta > threshold, g, g * logistic(x * beta)),
    samples=lambda: [sample(grid(2, 3)), sample(grid(5, low=-50, high=50)), sample(grid(2, 3), 2.0, threshold=1.5)],
)


@functional
def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """`log(1 + exp(beta * input)) / beta`; `input` itself where `beta * input` is above the threshold."""
    return run_on(SOFTPLUS, input, (beta, threshold), False)


HARDSIGMOID = activation(
    "hardsigmoid(x)",
    lambda x: np.minimum(np.maximum(x + 3, 0), 6) / 6,
    lambda g, x: chosen((x > -3) & (x < 3), g * ONE_SIXTH, 0.0),
    "",
)
LOGSIGMOID = activation(
    "log_sigmoid(x)",
    lambda x: np.minimum(x, 0) - np.log1p(np.exp(-abs(x))),
    lambda g, x: g * logistic(-x),
    "LogSigmoidBackward0",
)

for _each in (HARDSIGMOID, LOGSIGMOID):
    publish_activation(_each)


@functional
@composite
def softsign(input: Any) -> Tensor:
    """`input / (1 + abs(input))`."""
    result: Tensor = input / (input.abs() + 1)
    return result


for _name in ("sigmoid", "tanh"):
    FUNCTIONAL[_name] = FUNCTIONS[_name]


# ---- shrinkage

HARDSHRINK = activation(
    "hardshrink(x, *, lambd=0.5)",
    lambda x, lambd: chosen(abs(x) <= lambd, 0, x),
    lambda g, x, lambd: chosen(abs(x) <= lambd, 0.0, g),
    "",
    (),
    (1.1,),
)
SOFTSHRINK = activation(
    "softshrink(x, *, lambd=0.5)",
    lambda x, lambd: chosen(x > lambd, x - lambd, chosen(x < -lambd, x + lambd, x * 0)),
    lambda g, x, lambd: chosen(abs(x) <= lambd, 0.0, g),
    "",
    (),
    (1.1,),
)
for _each in (HARDSHRINK, SOFTSHRINK):
    publish_activation(_each)
FUNCTIONS["hardshrink"] = METHODS["hardshrink"] = FUNCTIONAL["hardshrink"]


@functional
@composite
def tanhshrink(input: Any) -> Tensor:
    """`input - tanh(input)`."""
    result: Tensor = input - input.tanh()
    return result
