"""Elements counted, found and made unique: `bincount`, `histc`, `unique`, `searchsorted`, `bucketize`

None of them has a derivative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply, apply_several
from gradviz.core.ops.refusals import NOT_IMPLEMENTED, no_derivative
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, both, first_tensor, function, operand
from gradviz.core.tensor import Tensor

# ---- how many


def _bins(x: Any, weights: Any, minlength: int) -> Any:
    counts = np.bincount(x, None if weights is None else weights.reshape(-1), minlength)
    if weights is None or not weights.size:
        return counts.astype(np.int64)
    return counts.astype(np.float32 if weights.dtype == np.float32 else np.float64)


BINCOUNT: Row = op(
    "bincount(x, weights, *, minlength=0)",
    _bins,
    node=NOT_IMPLEMENTED,
    weights=no_derivative("bincount"),
    samples=lambda: [sample(integers(7)), sample(integers(7), grid(7)), sample(integers(7), minlength=9)],
)


@both
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 to the largest occurs, or the sum of its weights."""
    if first_tensor("bincount", input).dtype.category != 1:
        kind = input.dtype.type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{kind}'")
    if input.ndim != 1 or (input.numel() and int(input._data.min()) < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and tuple(weights.shape) != tuple(input.shape):
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    return apply(BINCOUNT, (input, weights), (minlength,))


def _histogram(x: Any, bins: int, min: float, max: float) -> Any:
    if x.dtype.kind != "f":
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{_kind(x)}'")
    if min == max and x.size:
        min, max = float(x.min()), float(x.max())
    if min == max:
        min, max = min - 1, max + 1
    if not (np.isfinite(min) and np.isfinite(max)):
        raise RuntimeError(f"range of [{min}, {max}] is not finite")
    kept = x[(x >= min) & (x <= max)]
    places = np.minimum(((kept - min) / (max - min) * bins).astype(np.int64), bins - 1)
    return np.bincount(places, minlength=bins).astype(x.dtype)


def _kind(x: Any) -> str:
    return dtypes.of(x).type_name.removesuffix("Tensor")


HISTC: Row = op(
    "histc(x, *, bins=100, min=0, max=0)",
    _histogram,
    samples=lambda: [sample(grid(9), 4), sample(grid(2, 9), 5, -1, 1), sample(grid(9), bins=3, min=0, max=1.5)],
)


@both
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal parts of the range, or of the elements' own where it is 0 to 0."""
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    if min > max:
        raise RuntimeError("max must be larger than min")
    return apply(HISTC, (first_tensor("histc", input),), (bins, min, max))


# ---- each once


def _uniques(x: Any, dim: int | None, in_turn: bool, inverse: bool, counts: bool) -> Any:
    """The different lines along `dim`, or elements; for each given one its place among them; how often each came."""
    lines = x.reshape(-1) if dim is None else np.moveaxis(x, dim, 0)
    flat = lines if lines.ndim == 1 else lines.reshape(len(lines), math.prod(lines.shape[1:]))
    if in_turn:
        changed = np.ones(len(flat), np.bool_)
        if len(flat):
            differs = flat[1:] != flat[:-1]
            changed[1:] = differs if flat.ndim == 1 else differs.any(1)
        place = np.cumsum(changed) - 1
        kept = np.flatnonzero(changed)
        often = np.diff(np.append(kept, len(flat)))
    elif flat.ndim == 1:
        _, kept, place, often = np.unique(flat, True, True, True, equal_nan=False)
    else:
        _, kept, place, often = np.unique(flat, True, True, True, axis=0)
    found = np.ascontiguousarray(lines[kept] if dim is None else np.moveaxis(lines[kept], 0, dim))
    place = place.reshape(x.shape if dim is None else -1)
    chosen = (found, *([place] if inverse else ()), *([often] if counts else ()))
    return chosen if len(chosen) > 1 else found


def _unique_row(name: str, key: str, node: str, in_turn: bool, **given: Any) -> Row:
    return op(
        f"{name}(x, *, dim, inverse, counts)",
        lambda x, dim, inverse, counts: _uniques(x, dim, in_turn, inverse, counts),
        key=key,
        node=node,
        x=no_derivative(node),
        nondifferentiable_outputs=(1, 2),
        samples=lambda: [
            sample(integers(7), return_inverse=True, return_counts=True, **given),
            sample(integers(4, 2, high=2), **given),
            sample(np.array([2.0, 2.0, 1.0, 2.0]), return_counts=True, **given),
        ],
    )


UNIQUE = {
    False: _unique_row("unique", "unique", "Unique2Backward0", False),
    True: _unique_row("unique", "unique.dim", "UniqueDimBackward0", False, dim=0),
}
"""By whether lines along a dimension are compared."""
UNIQUE_CONSECUTIVE: Row = _unique_row(
    "unique_consecutive", "unique_consecutive", "UniqueConsecutiveBackward0", True
)


def _published(row: Row, input: Tensor, dim: int | None, inverse: bool, counts: bool) -> Any:
    if dim is not None and not first_tensor(row.name, input).ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis = None if dim is None else wrap(dim, input.ndim)
    if axis is not None and input.shape[axis] and not input.numel():
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    run = apply_several if inverse or counts else apply
    return run(row, (first_tensor(row.name, input),), (axis, inverse, counts))


@both
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements, or lines along `dim`, in order; where each element went; how often each occurs."""
    return _published(UNIQUE[dim is not None], input, dim, return_inverse, return_counts)


@both
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements, or lines along `dim`, without those that equal the one before; as `unique` otherwise."""
    return _published(UNIQUE_CONSECUTIVE, input, dim, return_inverse, return_counts)


# ---- places in a sorted sequence


def _places(sequence: Any, values: Any, right: bool) -> Any:
    side: Any = "right" if right else "left"
    if sequence.ndim <= 1:
        return np.searchsorted(sequence.reshape(-1), values, side)
    lines, sought = (
        one.reshape(math.prod(one.shape[:-1]), one.shape[-1]) for one in (sequence, values)
    )
    found = [np.searchsorted(line, part, side) for line, part in zip(lines, sought, strict=True)] if values.size else []
    return np.array(found, np.int64).reshape(values.shape)


def _searched(sequence: Any, values: Any, right: bool, out_int32: bool) -> Any:
    return np.asarray(_places(sequence, values, right), np.int32 if out_int32 else np.int64)


SEARCHSORTED: Row = op(
    "searchsorted(sequence, values, *, right=False, out_int32=False)",
    _searched,
    samples=lambda: [
        sample(np.array([-1.0, 0.0, 0.5, 2.0]), grid(2, 3)),
        sample(np.sort(grid(2, 4)), grid(2, 3), right=True),
        sample(np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]), out_int32=True),
    ],
)
BUCKETIZE: Row = op(
    "bucketize(values, sequence, *, out_int32=False, right=False)",
    lambda values, sequence, out_int32, right: _searched(sequence, values, right, out_int32),
    samples=lambda: [
        sample(grid(2, 3), np.array([-1.0, 0.0, 0.5, 2.0])),
        sample(integers(4), np.array([1, 2, 3]), right=True),
    ],
)


def _check_search(name: str, sequence: Tensor, values: Any) -> Tensor:
    value: Any = operand(values)
    if not isinstance(value, Tensor):
        value = FUNCTIONS["tensor"](value)
    if not sequence.ndim:
        raise RuntimeError(f"{name}: input value can be a scalar only when boundaries tensor dimension is 1")
    found: Tensor = value
    return found


@function
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each element of `input` would go in a sorted sequence, or in the line of it that its own line belongs to.

    right, side="right": behind the elements that equal it.
    """
    value = _check_search("torch.searchsorted()", first_tensor("searchsorted", sorted_sequence), input)
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites, got side of left while "
                           "right was True")
    if sorter is not None:
        sorted_sequence = FUNCTIONS["take_along_dim"](sorted_sequence, sorter, -1)
    if sorted_sequence.ndim > 1 and tuple(sorted_sequence.shape[:-1]) != tuple(value.shape[:-1]):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            f"tensor and input value tensor must match, but we got boundaries tensor {list(sorted_sequence.shape)} and "
            f"input value tensor {list(value.shape)}"
        )
    return apply(SEARCHSORTED, (sorted_sequence, value), (right or side == "right", out_int32))


@function
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between sorted `boundaries` that each element lies in.

    right: an element that equals a boundary lies above it.
    """
    value = _check_search("torch.bucketize()", boundaries, input)
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return apply(BUCKETIZE, (value, boundaries), (out_int32, right))
