"""How far tensors are from each other: `kl_div`, `cosine_similarity`, `pairwise_distance`, margin losses, and others.

They run several rows; the losses take `reduction="none"`, "mean" or "sum".
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite, whole
from gradviz.core.grad_mode import no_grad
from gradviz.core.ops.losses import check_reduction
from gradviz.core.ops.samples import grid, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, both, functional
from gradviz.core.tensor import Tensor


def _reduce(losses: Any, reduction: str) -> Tensor:
    result: Tensor = losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()
    return result


def _entropy(x: Any, y: Any) -> Any:
    """x * log(y), and 0 for x = 0 whatever y is."""
    x, y = (one if one.dtype.kind == "f" else one.astype(np.float32) for one in (np.asarray(x), np.asarray(y)))
    out = np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y))
    kind = np.result_type(x, y)
    return np.asarray(out, kind if kind.kind == "f" else np.float32)


XLOGY: Row = op(
    "xlogy(x, y)",
    _entropy,
    promotes=True,
    x=lambda g, x, y: g * np.where((x == 0) & (y <= 0), 0.0, np.log(y)),
    y=lambda g, x, y: g * x / y,
    samples=lambda: [sample(grid(2, 3), positive(2, 3)), sample(positive(3), positive(2, 3))],
)


@both
def xlogy(input: Tensor, other: Tensor) -> Tensor:
    """`input * log(other)`, and 0 where `input` is 0."""
    return apply(XLOGY, (input, other))


_MEAN = (
    "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by "
    "the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the same as "
    "'batchmean' in the next major release."
)


@functional
@whole
def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """`target * (log(target) - input)`: input holds log probabilities, and target too if `log_target`.

    reduction: also "batchmean", the sum divided by the length of the first dimension.
    """
    if reduction != "batchmean":
        check_reduction(reduction)
    if reduction == "mean":
        warnings.warn(_MEAN, UserWarning, stacklevel=3)
    losses: Any = target.exp() * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        mean: Tensor = losses.sum() / input.shape[0] if input.ndim else losses.sum()
        return mean
    return _reduce(losses, reduction)


@functional
@whole
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; lengths below `eps` count as `eps`."""
    shape = np.broadcast_shapes(tuple(x1.shape), tuple(x2.shape))
    x1, x2 = (one if tuple(one.shape) == shape else one.expand(shape) for one in (x1, x2))
    lengths = [one.norm(2, dim, keepdim=True).clamp_min(eps) for one in (x1, x2)]
    result: Tensor = ((x1 / lengths[0]) * (x2 / lengths[1])).sum(dim)
    return result


FUNCTIONS["cosine_similarity"] = cosine_similarity


@functional
@whole
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of `x1 - x2 + eps` along the last dimension."""
    result: Tensor = (x1 - x2 + eps).norm(p, max(x1.ndim, x2.ndim) - 1, keepdim=keepdim)
    return result


FUNCTIONS["pairwise_distance"] = pairwise_distance


@functional
@whole
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """`1 - cosine` where the target is 1, `cosine - margin` if positive where it is -1."""
    check_reduction(reduction)
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    axis = target.ndim
    least = 1e-12
    product = (input1 * input2).sum(axis)
    squares = ((input1 * input1).sum(axis) + least) * ((input2 * input2).sum(axis) + least)
    cosine = product / squares.sqrt()
    zeros = FUNCTIONS["zeros_like"](cosine)
    near = FUNCTIONS["where"](target == 1, 1 - cosine, zeros)
    far = FUNCTIONS["where"](target == -1, (cosine - margin).clamp_min(0), zeros)
    return _reduce(near + far, reduction)


@functional
@whole
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """`-target * (input1 - input2) + margin` where that is positive."""
    check_reduction(reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return _reduce((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@functional
@whole
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """`input` where the target is 1, `margin - input` if positive where it is -1."""
    check_reduction(reduction)
    zeros = FUNCTIONS["zeros_like"](input)
    far = FUNCTIONS["where"](target != 1, (margin - input).clamp_min(0), zeros)
    near = FUNCTIONS["where"](target != -1, input, zeros)
    return _reduce(far + near, reduction)


@functional
@whole
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """How much nearer than `margin` the negative is, compared with the positive.

    swap: take the negative's distance from the positive where that is smaller.
    """
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near = pairwise_distance(anchor, positive, p, eps)
    far: Any = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = FUNCTIONS["minimum"](far, pairwise_distance(positive, negative, p, eps))
    return _reduce((margin + near - far).clamp_min(0), reduction)  # type: ignore[operator]


@functional
@composite
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` by a distance of your own, a function of two tensors."""
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance: Any = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = FUNCTIONS["minimum"](far, distance(positive, negative))
    return _reduce((margin + near - far).clamp_min(0), reduction)


@functional
@whole
def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """`log(1 + exp(-target * input))`."""
    check_reduction(reduction)
    return _reduce((-target * input).exp().log1p(), reduction)


@functional
@whole
def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
) -> Tensor:
    """`binary_cross_entropy_with_logits`, averaged over the last dimension."""
    from gradviz.core.public import FUNCTIONAL

    check_reduction(reduction)
    logsigmoid = FUNCTIONAL["logsigmoid"]
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return _reduce(losses.sum(input.ndim - 1) / input.shape[-1], reduction)


@functional
@whole
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of counts `target` at rates `input` (or `exp(input)` if `log_input`)."""
    check_reduction(reduction)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return _reduce(losses, reduction)


@functional
@composite
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, *, reduction: str = "mean"
) -> Tensor:
    """The negative log likelihood of `target` under normal distributions with these means and variances."""
    if not isinstance(var, Tensor):
        var = FUNCTIONS["ones_like"](input) * var
    if (var.detach() < 0).any():
        raise ValueError("var has negative entry/entries")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    kept = var.clone()
    with no_grad():
        kept.clamp_(min=eps)
    losses = 0.5 * (kept.log() + (input - target) ** 2 / kept)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return _reduce(losses, reduction)
