"""Rows of a table looked up and put together, bag by bag: `embedding_bag`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite
from gradviz.core.dual import added_at, array_of, array_type, taken_at
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, functional
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError

# Shapes: weight (rows, m), indices (n,), factors (n,), bags (n,): the number of the bag that each index is in.


def _counts(bags: Any, count: int, kind: Any) -> Any:
    return np.maximum(np.bincount(bags, minlength=count), 1).astype(kind)[:, None]


def _largest(rows: Any, bags: Any, count: int) -> tuple[Any, Any]:
    """The largest element of each column of each bag, and the number of the row that it is in."""
    found, which = np.zeros((count, rows.shape[1]), rows.dtype), np.zeros((count, rows.shape[1]), np.int64)
    for bag in np.unique(bags):
        inside = np.flatnonzero(bags == bag)
        place = rows[inside].argmax(0)
        which[bag] = inside[place]
        found[bag] = rows[inside][place, np.arange(rows.shape[1])]
    return found, which


def _bagged(weight: Any, indices: Any, factors: Any, bags: Any, count: int, mode: str) -> Any:
    rows = weight[indices]
    if mode == "max":
        return _largest(rows, bags, count)[0]
    total = np.zeros((count, weight.shape[1]), weight.dtype)
    np.add.at(total, bags, rows if factors is None else rows * factors[:, None])
    return total / _counts(bags, count, weight.dtype) if mode == "mean" else total


def _of_weight(g: Any, weight: Any, indices: Any, factors: Any, bags: Any, count: int, mode: str) -> Any:
    if mode == "max":
        there = np.bincount(bags, minlength=count) > 0
        _, which = _largest(array_of(weight)[indices], bags, count)
        key = (indices[which] if len(indices) else which, np.arange(weight.shape[1]))
        return added_at(g * there[:, None], tuple(weight.shape), key)
    felt = taken_at(g / _counts(bags, count, array_type(g)) if mode == "mean" else g, bags)
    return added_at(felt if factors is None else felt * factors[:, None], tuple(weight.shape), indices)


EMBEDDING_BAG: Row = op(
    "embedding_bag(weight, indices, factors, *, bags, count, mode)",
    _bagged,
    call="nn.functional.embedding_bag",
    weight=_of_weight,
    factors=lambda g, weight, indices, bags: np.add.reduce(taken_at(g, bags) * taken_at(weight, indices), axis=-1),
    samples=lambda: [
        *(sample(integers(3, 2, high=4), grid(4, 3), mode=mode) for mode in ("sum", "mean", "max")),
        sample(integers(5, high=4), grid(4, 3), np.array([0, 2, 2]), mode="sum"),
        sample(integers(2, 3, high=4), grid(4, 3), per_sample_weights=grid(2, 3), mode="sum"),
    ],
)


@functional
@composite
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of `weight` that each bag names: (bags, m).

    input: (bags, length), or (n,) with `offsets` saying where each bag begins. per_sample_weights: what to multiply
    each row with, for "sum". include_last_offset: the last offset is the end of the last bag. padding_idx: an index
    that does not count. `max_norm`, `scale_grad_by_freq` and `sparse` are not written yet.
    """
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotWrittenError("`max_norm`, `scale_grad_by_freq` and `sparse` of `embedding_bag` are not written yet")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    indices = input._data
    if indices.dtype.kind != "i":
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{input.dtype.type_name} instead (while checking arguments for embedding_bag)"
        )
    if per_sample_weights is not None:
        if tuple(per_sample_weights.shape) != tuple(input.shape):
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, then it must "
                f"have the same shape as the input ({list(input.shape)})"
            )
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
                f"(got mode='{mode}'). Please open a feature request on GitHub."
            )
    if weight.ndim != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if not weight.is_floating_point():
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have one of the following scalar types: Half, BFloat16, "
            f"Float, Double; but got torch.{weight.dtype.type_name} instead (while checking arguments for "
            "embedding_bag)"
        )
    if per_sample_weights is not None and per_sample_weights.dtype is not weight.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 "
            f"'per_sample_weights'; but type torch.{weight.dtype.type_name} does not equal "
            f"torch.{per_sample_weights.dtype.type_name} (while checking arguments for embedding_bag)"
        )
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        count = indices.shape[0]
        bags = np.repeat(np.arange(count), indices.shape[1])
    elif input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        starts = offsets._data[: len(offsets._data) - include_last_offset]
        if len(starts) and starts[0] != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
                f"However, got {starts[0]}"
            )
        if len(starts) and starts[-1] > len(indices):
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {len(indices)} but got offsets[-1] of {starts[-1]}"
            )
        count = len(starts)
        bags = np.searchsorted(starts, np.arange(len(indices)), "right") - 1
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    flat = indices.reshape(-1)
    if np.any((flat < 0) | (flat >= weight.shape[0])):
        raise RuntimeError("embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be out of range")
    factors: Any = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding_idx is not None:
        kept = flat != padding_idx % weight.shape[0]
        flat, bags = flat[kept], bags[kept]
        factors = None if factors is None else factors[FUNCTIONS["from_numpy"](np.flatnonzero(kept))]
    return apply(EMBEDDING_BAG, (weight, _like(input, flat), factors), (bags, count, mode))


def _like(input: Any, flat: Any) -> Any:
    """`flat` as the tensor that it is part of, where that is so."""
    if flat.size == input.numel():
        return input if input.ndim == 1 else input.reshape(-1)
    return FUNCTIONS["from_numpy"](np.ascontiguousarray(flat))
