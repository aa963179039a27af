"""Losses between a prediction and a target of the same shape: squared, absolute, smooth, Huber, binary cross entropy.

Each can be summed (`reduction="sum"`), averaged ("mean", the default) or given element by element ("none").
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply, remember
from gradviz.core.composites import composite
from gradviz.core.dual import chosen
from gradviz.core.ops.arithmetic import sub
from gradviz.core.ops.samples import grid, unit
from gradviz.core.ops.shapes import broadcast
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import functional
from gradviz.core.tensor import Tensor

# ---- what the rows share


def reduced(losses: Any, reduction: str) -> Any:
    """All losses, their sum or their mean; float16 is added up in float32."""
    if reduction == "none":
        return losses
    kind = losses.dtype.type
    total = np.add.reduce(losses, axis=None, dtype=np.float32 if kind is np.float16 else None)
    return kind(total / losses.size if reduction == "mean" else total)


def share_of(g: Any, reduction: str, shape: tuple[int, ...]) -> Any:
    """The cotangent of each loss from that of what they were reduced to."""
    return g / max(int(np.prod(shape)), 1) if reduction == "mean" else g


def check_reduction(reduction: str) -> None:
    """Raise ValueError for what is none of "none", "mean" and "sum"."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def apply_trimmed(row: Row, inputs: list[Tensor | None], static: tuple[Any, ...]) -> Tensor:
    """Run a row whose last inputs may be left out, as None; one left out before a given one counts as 1."""
    if all(one is not None for one in inputs):
        return apply(row, inputs, static)
    while inputs[-1] is None:
        inputs = inputs[:-1]
    arrays = [1 if one is None else one._data for one in inputs]
    absent = [None] * (len(row.inputs) - len(arrays))
    result: Tensor = remember(row, inputs, arrays, static, row.forward(*arrays, *absent, *static))
    return result


def refuse_grad(function: str, **arguments: Tensor | None) -> None:
    """Raise RuntimeError where grad is required of an argument that no derivative is known for."""
    for name, tensor in arguments.items():
        if tensor is not None and tensor.requires_grad:
            raise RuntimeError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. This input cannot "
                "have requires_grad True."
            )


# ---- differences


def _smooth(x: Any, target: Any, beta: float) -> Any:
    distance = np.abs(x - target)
    return chosen(distance < beta, distance * distance * (0.5 / beta), distance - 0.5 * beta)


def _huber(x: Any, target: Any, delta: float) -> Any:
    distance = np.abs(x - target)
    near = 0.5 * distance * distance
    return chosen(distance <= delta, near, delta * (distance - 0.5 * delta))


MSE_LOSS = op(
    "mse_loss(x, target, *, reduction='mean')",
    lambda x, target, reduction: reduced((x - target) * (x - target), reduction),
    call="nn.functional.mse_loss",
    promotes=True,
    x=lambda g, x, target, reduction, shape: share_of(g, reduction, shape) * 2 * (x - target),
    target=lambda g, x, target, reduction, shape: share_of(g, reduction, shape) * -2 * (x - target),
    samples=lambda: [
        sample(grid(2, 3), unit(2, 3)),
        sample(grid(2, 3), unit(2, 3), reduction="sum"),
        sample(grid(2, 3), unit(2, 3), reduction="none"),
        sample(grid(), unit()),
    ],
)
SMOOTH_L1_LOSS = op(
    "smooth_l1_loss(x, target, *, reduction='mean', beta=1.0)",
    lambda x, target, reduction, beta: reduced(_smooth(x, target, beta), reduction),
    node="SmoothL1LossBackward0",
    call="nn.functional.smooth_l1_loss",
    promotes=True,
    x=lambda g, x, target, reduction, beta, shape: share_of(g, reduction, shape) * _slope(x - target, beta),
    target=lambda g, x, target, reduction, beta, shape: share_of(g, reduction, shape) * _slope(target - x, beta),
    samples=lambda: [
        sample(grid(2, 3), unit(3, 2).T),
        sample(grid(2, 3), unit(3, 2).T, reduction="sum", beta=0.5),
        sample(grid(2, 3), unit(3, 2).T, reduction="none"),
    ],
)
HUBER_LOSS = op(
    "huber_loss(x, target, *, reduction='mean', delta=1.0)",
    lambda x, target, reduction, delta: reduced(_huber(x, target, delta), reduction),
    call="nn.functional.huber_loss",
    promotes=True,
    x=lambda g, x, target, reduction, delta, shape: share_of(g, reduction, shape) * _slope(x - target, 1, delta),
    target=lambda g, x, target, reduction, delta, shape: share_of(g, reduction, shape) * _slope(target - x, 1, delta),
    samples=lambda: [
        sample(grid(2, 3), unit(3, 2).T),
        sample(grid(2, 3), unit(3, 2).T, reduction="sum", delta=0.5),
        sample(grid(2, 3), unit(3, 2).T, reduction="none"),
    ],
)


def _slope(difference: Any, beta: float, limit: float = 1.0) -> Any:
    return np.minimum(np.maximum(difference / beta, -limit), limit)


def _alike(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The two with one shape. Warns, in the caller's caller's name, where they had two."""
    shape, other = input.shape, target.shape
    if shape == other:
        return input, target
    warnings.warn(
        f"Using a target size ({other}) that is different to the input size ({shape}). This will likely lead to "
        "incorrect results due to broadcasting. Please ensure they have the same size.",
        UserWarning,
        stacklevel=4,
    )
    common = broadcast(shape, other)
    return input if shape == common else input.expand(common), target if other == common else target.expand(common)


@functional
@composite
def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The squared difference of each element of `input` and `target`."""
    check_reduction(reduction)
    return apply(MSE_LOSS, _alike(input, target), (reduction,))


@functional
@composite
def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The absolute difference of each element of `input` and `target`."""
    check_reduction(reduction)
    distance: Tensor = sub(*_alike(input, target)).abs()
    return _reduce(distance, reduction)


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    result: Tensor = losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()
    return result


@functional
@composite
def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """Squared where the difference is below `beta`, absolute above. Raises RuntimeError for a negative beta."""
    check_reduction(reduction)
    pair = _alike(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        distance: Tensor = sub(*pair).abs()
        return _reduce(distance, reduction)
    return apply(SMOOTH_L1_LOSS, pair, (reduction, beta))


@functional
@composite
def huber_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """`smooth_l1_loss` times `delta`. Raises RuntimeError for delta <= 0."""
    check_reduction(reduction)
    pair = _alike(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if input.dtype is not target.dtype and (input.requires_grad or target.requires_grad):
        raise RuntimeError(f"Found dtype {_scalar_type(target)} but expected {_scalar_type(input)}")
    return apply(HUBER_LOSS, pair, (reduction, delta))


# ---- binary cross entropy

_LEAST_LOG = -100
"""PyTorch's bound on a logarithm, so that a certain but wrong prediction costs much and not infinitely much."""
_LEAST_VARIANCE = float(np.float32(1e-12))
"""PyTorch's bound on what the gradient is divided by, a float32 for every dtype."""


def _log(x: Any) -> Any:
    return np.maximum(np.log(x), x.dtype.type(_LEAST_LOG))


def _log_sigmoid(x: Any) -> Any:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x: Any) -> Any:
    return np.exp(_log_sigmoid(x))


def _weighted(losses: Any, weight: Any) -> Any:
    return losses if weight is None else losses * weight


def _cross_entropy(x: Any, target: Any, weight: Any, reduction: str) -> Any:
    losses = (target - 1) * np.maximum(np.log1p(-x), x.dtype.type(_LEAST_LOG)) - target * _log(x)
    return reduced(_weighted(losses, weight), reduction)


def _cross_entropy_of_logits(x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    certainty = _log_sigmoid(x) if pos_weight is None else ((pos_weight - 1) * target + 1) * _log_sigmoid(x)
    losses = _weighted((1 - target) * x - certainty, weight)
    # PyTorch adds the terms up where `1 - target` is, so the result has the target's dtype.
    return reduced(losses.astype(target.dtype), reduction)


def _logit_slope(x: Any, target: Any, pos_weight: Any) -> Any:
    if pos_weight is None:
        return _sigmoid(x) - target
    positive = pos_weight * target
    return (positive + 1 - target) * _sigmoid(x) - positive


def _target_slope(x: Any, pos_weight: Any) -> Any:
    return -x if pos_weight is None else _log_sigmoid(-x) - pos_weight * _log_sigmoid(x)


def _probabilities(*shape: int) -> Any:
    return grid(*shape, low=0.1, high=0.9)


BINARY_CROSS_ENTROPY = op(
    "binary_cross_entropy(x, target, weight, *, reduction='mean')",
    _cross_entropy,
    call="nn.functional.binary_cross_entropy",
    x=lambda g, x, target, weight, reduction, shape: (
        _weighted(share_of(g, reduction, shape), weight) * (x - target) / np.maximum((1 - x) * x, _LEAST_VARIANCE)
    ),
    target=lambda g, x, weight, reduction, shape: (
        _weighted(share_of(g, reduction, shape), weight) * (np.log1p(-x) - np.log(x))
    ),
    samples=lambda: [
        sample(_probabilities(2, 3), _probabilities(3, 2).T),
        sample(_probabilities(2, 3), _probabilities(3, 2).T, reduction="sum"),
        sample(_probabilities(3), _probabilities(3), reduction="none"),
    ],
)
BINARY_CROSS_ENTROPY_WITH_LOGITS = op(
    "binary_cross_entropy_with_logits(x, target, weight, pos_weight, *, reduction='mean')",
    _cross_entropy_of_logits,
    call="nn.functional.binary_cross_entropy_with_logits",
    x=lambda g, x, target, weight, pos_weight, reduction, shape: (
        _weighted(share_of(g, reduction, shape), weight) * _logit_slope(x, target, pos_weight)
    ),
    target=lambda g, x, weight, pos_weight, reduction, shape: (
        _weighted(share_of(g, reduction, shape), weight) * _target_slope(x, pos_weight)
    ),
    samples=lambda: [
        sample(grid(2, 3), _probabilities(3, 2).T),
        sample(grid(2, 3), _probabilities(3, 2).T, reduction="sum"),
        sample(grid(3), _probabilities(3), reduction="none"),
    ],
)


@functional
@composite
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """The cross entropy of probabilities `input` with probabilities `target`, each element times its `weight`.

    Raises ValueError where the two have different shapes, RuntimeError for an input outside [0, 1].
    """
    check_reduction(reduction)
    refuse_grad("binary_cross_entropy", weight=weight)
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    for other in (target, weight):
        if other is not None and other.dtype is not input.dtype:
            raise RuntimeError(f"Found dtype {_scalar_type(other)} but expected {_scalar_type(input)}")
    _check_floating("binary_cross_entropy", input)
    if not ((input._data >= 0) & (input._data <= 1)).all():
        raise RuntimeError("all elements of input should be between 0 and 1")
    if weight is not None and weight.shape != target.shape:
        weight = weight.expand(broadcast(target.shape, weight.shape))
    return apply_trimmed(BINARY_CROSS_ENTROPY, [input, target, weight], (reduction,))


@functional
@composite
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy(sigmoid(input), target)` without the loss of precision, for numbers of any size.

    weight: of each element. pos_weight: of the positive part of each target. Raises ValueError where input and target
    have different shapes.
    """
    check_reduction(reduction)
    refuse_grad("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    if input.shape != target.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    _check_floating("binary_cross_entropy_with_logits", input)
    if not target.is_floating_point():
        raise RuntimeError(
            f"result type {_scalar_type(input)} can't be cast to the desired output type {_scalar_type(target)}"
        )
    return apply_trimmed(BINARY_CROSS_ENTROPY_WITH_LOGITS, [input, target, weight, pos_weight], (reduction,))


def _check_floating(name: str, input: Tensor) -> None:
    if not input.is_floating_point():
        raise NotImplementedError(f"\"{name}\" not implemented for '{_scalar_type(input)}'")


def _scalar_type(tensor: Tensor) -> str:
    return dtypes.of(tensor._data).type_name.removesuffix("Tensor")
