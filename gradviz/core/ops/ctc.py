"""`ctc_loss`: how unlikely a sequence of labels is, whichever way it is spread over the steps.

Source: A. Graves et al., "Connectionist temporal classification" (2006). Shapes: log_probs (T, N, C), targets (N, S).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import run_row
from gradviz.core.ops.losses import check_reduction
from gradviz.core.ops.refusals import NOT_IMPLEMENTED, no_derivative
from gradviz.core.ops.table import Row, op
from gradviz.core.public import FUNCTIONS, first_tensor, functional
from gradviz.core.tensor import Tensor


def _extended(targets: Any, blank: int) -> Any:
    """The labels with a blank before each and behind the last: (N, 2 * S + 1)."""
    labels = np.full((len(targets), 2 * targets.shape[1] + 1), blank, np.int64)
    labels[:, 1::2] = targets
    return labels


def _added(*logs: Any) -> Any:
    """The logarithm of the sum of what the arguments are logarithms of."""
    total = logs[0]
    for one in logs[1:]:
        total = np.logaddexp(total, one)
    return total


def _shifted(x: Any, by: int) -> Any:
    """Each row moved to the right (or left), with the logarithm of zero in front (or behind)."""
    out = np.full(x.shape, -np.inf, x.dtype)
    if by > 0:
        out[:, by:] = x[:, :-by]
    else:
        out[:, :by] = x[:, -by:]
    return out


def _ways(log_probs: Any, labels: Any, blank: int, steps: Any, lengths: Any, backwards: bool) -> Any:
    """The logarithm of how likely all ways are from the beginning, or the end, to each step and place in `labels`.

    Returns (T, N, 2 * S + 1).
    """
    count, size = labels.shape
    said = np.take_along_axis(log_probs, np.broadcast_to(labels, (len(log_probs), count, size)), 2)
    other = np.zeros((count, size), np.bool_)
    other[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    ways = np.full(said.shape, -np.inf, log_probs.dtype)
    place = np.arange(size)
    ends = 2 * lengths[:, None]
    if backwards:
        starts = (place == ends) | (place == ends - 1)
        jumps = np.zeros_like(other)
        jumps[:, :-2] = other[:, 2:]
    else:
        starts, jumps = np.broadcast_to(place < 2, (count, size)), other
    sign = -1 if backwards else 1
    for at in reversed(range(len(said))) if backwards else range(len(said)):
        before = ways[at - sign] if 0 <= at - sign < len(said) else None
        first = steps[:, None] - 1 == at if backwards else np.full((count, 1), at == 0)
        moved = np.full((count, size), -np.inf, log_probs.dtype)
        if before is not None:
            jumped = np.where(jumps, _shifted(before, 2 * sign), -np.inf)
            moved = _added(before, _shifted(before, sign), jumped) + said[at]
        ways[at] = np.where(first, np.where(starts, said[at], -np.inf), moved)
        ways[at][place[None] > np.broadcast_to(ends, (count, size))] = -np.inf
    return ways


def _losses(log_probs: Any, targets: Any, steps: Any, lengths: Any, blank: int) -> Any:
    labels = _extended(targets, blank)
    with np.errstate(all="ignore"):
        ways = _ways(log_probs, labels, blank, steps, lengths, False)
        last = ways[np.maximum(steps, 1) - 1, np.arange(len(labels))]
        ends = np.stack([2 * lengths, np.maximum(2 * lengths - 1, 0)], 1)
        found = np.take_along_axis(last, ends, 1)
        found[lengths == 0, 1] = -np.inf
        return -_added(found[:, 0], found[:, 1])


def _losses_back(
    g: Any, log_probs: Any, targets: Any, out: Any, steps: Any, lengths: Any, blank: int, zero_infinity: bool
) -> Any:
    """The cotangent for scores whose `log_softmax` `log_probs` is, as PyTorch has it: behind that it is the same."""
    labels = _extended(targets, blank)
    with np.errstate(all="ignore"):
        said = np.take_along_axis(log_probs, np.broadcast_to(labels, (len(log_probs), *labels.shape)), 2)
        both = _ways(log_probs, labels, blank, steps, lengths, False)
        both = both + _ways(log_probs, labels, blank, steps, lengths, True) - said
        shares = np.exp(both + out[None, :, None])
    shares = np.where(np.isfinite(shares), shares, 0 if zero_infinity else np.nan)
    felt = np.exp(log_probs)
    step, sample = np.ogrid[: len(felt), : felt.shape[1]]
    np.subtract.at(felt, (step[..., None], sample[..., None], labels[None]), shares)
    if zero_infinity:
        felt[:, np.isposinf(out)] = 0
    felt[np.arange(len(felt))[:, None] >= steps[None]] = 0
    return felt * g[None, :, None]


CTC_LOSS: Row = op(
    "ctc_loss(log_probs, targets, *, steps, lengths, blank=0, zero_infinity=False)",
    lambda log_probs, targets, steps, lengths, blank, zero_infinity: _losses(log_probs, targets, steps, lengths, blank),
    call="nn.functional.ctc_loss",
    log_probs=lambda g, log_probs, targets, out, steps, lengths, blank, zero_infinity: run_row(
        CTC_LOSS_BACKWARD, (g, log_probs, targets, out), (steps, lengths, blank, zero_infinity)
    ),
)
CTC_LOSS_BACKWARD: Row = op(
    "_ctc_loss_backward(g, log_probs, targets, out, *, steps, lengths, blank, zero_infinity)",
    _losses_back,
    node=NOT_IMPLEMENTED,
    g=no_derivative("_ctc_loss_backward"),
    log_probs=no_derivative("_ctc_loss_backward"),
    out=no_derivative("_ctc_loss_backward"),
)


def _numbers(value: Any) -> Any:
    return np.atleast_1d(np.asarray(value._data if isinstance(value, Tensor) else value, np.int64))


@functional
@composite
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """How unlikely `targets` are: (N,), or reduced; for "mean" each is divided by its number of labels first.

    log_probs: (T, N, C) or (T, C), from `log_softmax`. targets: (N, S), or the labels of all samples one after the
    other. blank: the class that is no label. zero_infinity: what is impossible costs nothing, and has no gradient.
    There is no second derivative.
    """
    check_reduction(reduction)
    steps, lengths = _numbers(input_lengths), _numbers(target_lengths)
    alone = first_tensor("ctc_loss", log_probs).ndim == 2
    scores = log_probs.unsqueeze(1) if alone else log_probs
    most, count, classes = scores.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    for name, given in (("input_lengths", steps), ("target_lengths", lengths)):
        if len(given) != count:
            raise RuntimeError(f"{name} must be of size batch_size")
    if np.any(steps > most):
        bad = int(np.argmax(steps > most))
        raise RuntimeError(
            f"Expected input_lengths to have value at most {most}, but got value {steps[bad]} (while checking "
            "arguments for ctc_loss_cpu)"
        )
    labels = targets._data
    if labels.ndim == 1:
        rows = np.full((count, max(int(lengths.max(initial=0)), 1)), blank, np.int64)
        for row, start, length in zip(rows, np.cumsum(lengths) - lengths, lengths, strict=True):
            row[:length] = labels[start : start + length]
        labels = rows
    elif labels.shape[1] < lengths.max(initial=0):
        raise RuntimeError(
            f"Expected tensor to have size at least {lengths.max()} at dimension 1, but got size {labels.shape[1]} for "
            "argument #2 'targets' (while checking arguments for ctc_loss_cpu)"
        )
    tensor = targets if labels is targets._data else FUNCTIONS["from_numpy"](labels)
    losses: Any = apply(CTC_LOSS, (scores, tensor), (steps, lengths, blank, zero_infinity))
    if zero_infinity:
        losses = FUNCTIONS["where"](losses == float("inf"), 0.0, losses)
    if alone:
        losses = losses.squeeze(0) if reduction == "none" else losses
    if reduction == "mean":
        sizes = FUNCTIONS["from_numpy"](np.maximum(lengths, 1).astype(losses._data.dtype))
        mean: Tensor = (losses / sizes).mean()
        return mean
    result: Tensor = losses.sum() if reduction == "sum" else losses
    return result
