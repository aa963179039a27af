"""Losses of a right class that is not far enough above the others: `multi_margin_loss`, `multilabel_margin_loss`.

Shapes: x (C,) or (N, C); a target is one class, (N,), or several, (N, C) with -1 behind the last one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import array_of, array_type
from gradviz.core.ops.losses import check_reduction, reduced
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import functional
from gradviz.core.tensor import Tensor


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape((1, -1))


def _refuse(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"{name}\" not implemented for '{kind}'")


def _shared(g: Any, count: int, reduction: str) -> Any:
    """The cotangent of each row's loss. (N, 1), or one number."""
    if reduction == "none":
        return g.reshape((-1, 1))
    return g / max(count, 1) if reduction == "mean" else g


# ---- one class


def _gaps(x: Any, target: Any, margin: float) -> Any:
    """How far each class comes too close to the right one, which is none itself. (N, C)"""
    right = x[np.arange(len(x)), target.reshape(-1)][:, None]
    gaps = margin - right + x
    return gaps * (np.arange(x.shape[1]) != target.reshape(-1, 1))


def _weighted(losses: Any, target: Any, weight: Any, kind: Any) -> Any:
    return losses if weight is None else losses * array_of(weight)[target.reshape(-1)][:, None].astype(kind)


def _multi(x: Any, target: Any, weight: Any, p: int, margin: float, reduction: str) -> Any:
    _refuse("multi_margin_loss", x)
    rows = _rows(x)
    gaps = np.maximum(_gaps(rows, target, margin), 0)
    losses = _weighted(gaps if p == 1 else gaps * gaps, target, weight, x.dtype)
    each = np.add.reduce(losses, axis=1) / x.dtype.type(max(rows.shape[1], 1))
    return reduced(each.astype(x.dtype).reshape(target.shape), reduction)


def _multi_back(g: Any, x: Any, target: Any, weight: Any, p: int, margin: float, reduction: str) -> Any:
    rows = _rows(x)
    gaps = _gaps(rows, target, margin)
    above = (array_of(gaps) > 0) / rows.shape[1]
    slopes = _weighted(above if p == 1 else above * 2 * gaps, target, weight, array_type(x))
    right = np.arange(rows.shape[1]) == target.reshape(-1, 1)
    slopes = slopes - right * np.add.reduce(slopes, axis=1, keepdims=True)
    return (_shared(g, len(rows), reduction) * slopes).reshape(x.shape)


MULTI_MARGIN_LOSS: Row = op(
    "multi_margin_loss(x, target, weight, *, p=1, margin=1.0, reduction='mean')",
    _multi,
    call="nn.functional.multi_margin_loss",
    x=_multi_back,
    samples=lambda: [
        sample(grid(4, 3), integers(4, high=3), reduction="none"),
        sample(grid(4, 3), integers(4, high=3), 2, 0.7, reduction="none"),
        sample(grid(3), np.int64(1), reduction="sum"),
    ],
)


@functional
@composite
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """How much less than `margin` the right class is above the others, to the power `p` (1 or 2), per class."""
    check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    count, classes = (input.shape[0], input.shape[1]) if input.ndim == 2 else (1, input.numel())
    if input.ndim > 2 or not classes:
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: " + str(list(input.shape))
        )
    if target.ndim > 1 or target.numel() != count:
        raise RuntimeError(f"inconsistent target size, expected {count} but got {list(target.shape)}")
    if np.any((target._data < 0) | (target._data >= classes)):
        raise RuntimeError("target out of range")
    if input.ndim < 2 and target.ndim:
        target = target.reshape(())
    return apply(MULTI_MARGIN_LOSS, (input, target, weight), (p, margin, reduction))


# ---- several classes


def _members(target: Any) -> tuple[Any, Any]:
    """Which entries of a target count: those before the first -1; and which classes they name. Both (N, C)."""
    rows = _rows(target)
    counts = np.logical_and.accumulate(rows >= 0, axis=1)
    named = np.zeros(rows.shape, np.bool_)
    line, place = np.nonzero(counts)
    named[line, rows[line, place]] = True
    return counts, named


def _pairs(x: Any, target: Any) -> tuple[Any, Any]:
    """`1 - right + wrong` for every right and wrong class, and which of these pairs there are. (N, C, C)"""
    rows, places = _rows(x), _rows(target)
    counts, named = _members(target)
    right = rows[np.arange(len(rows))[:, None], np.where(counts, places, 0)]
    return 1 - right[:, :, None] + rows[:, None, :], counts[:, :, None] & ~named[:, None, :]


def _multilabel(x: Any, target: Any, reduction: str) -> Any:
    _refuse("multilabel_margin_loss_forward_out_frame", x)
    gaps, there = _pairs(x, target)
    each = np.add.reduce(np.maximum(gaps, 0) * there, axis=(1, 2)) / x.dtype.type(max(gaps.shape[-1], 1))
    return reduced(each.astype(x.dtype).reshape(x.shape[:-1]), reduction)


def _multilabel_back(g: Any, x: Any, target: Any, reduction: str) -> Any:
    rows, places = _rows(array_of(x)), _rows(target)
    gaps, there = _pairs(array_of(x), target)
    above = ((gaps > 0) & there) / max(rows.shape[1], 1)
    slopes = np.add.reduce(above, axis=1)
    counts, _ = _members(target)
    line, place = np.nonzero(counts)
    np.add.at(slopes, (line, places[line, place]), -np.add.reduce(above, axis=2)[line, place])
    return (_shared(g, len(rows), reduction) * slopes).reshape(x.shape)


MULTILABEL_MARGIN_LOSS: Row = op(
    "multilabel_margin_loss(x, target, *, reduction='mean')",
    _multilabel,
    call="nn.functional.multilabel_margin_loss",
    x=_multilabel_back,
    samples=lambda: [
        sample(grid(2, 4), np.array([[3, 0, 1, 2], [-1, 1, 0, 0]]), reduction="none"),
        sample(grid(4), np.array([2, -1, 0, 0]), reduction="sum"),
    ],
)


@functional
@composite
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """How much less than 1 each right class is above each wrong one, summed over pairs, per class.

    target: the right classes of each row, up to the first -1.
    """
    check_reduction(reduction)
    if input.ndim > 2 or (not input.numel() and input.shape[-1:] == (0,)):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: " + str(list(input.shape))
        )
    if tuple(input.shape) != tuple(target.shape):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    return apply(MULTILABEL_MARGIN_LOSS, (input, target), (reduction,))
