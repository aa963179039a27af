"""Ops that take each element from one place or another: `clamp`, `maximum`, `where`, `masked_fill`.

Their gradient goes where the element came from. PyTorch's conventions hold at ties: `clamp` passes it on at its
bounds, `maximum` splits it evenly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.dtypes import promoted
from gradviz.core.dual import array_of
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import flags, grid, unit
from gradviz.core.ops.table import op, sample
from gradviz.core.public import METHODS, both, first_tensor, function, method, operand, publish
from gradviz.core.tensor import Tensor

_TIES = np.array([-1.0, 0.0, 0.5, 2.0])
_LOW = np.array([-1.2, -0.3, 0.1])
_HIGH = np.array([1.3, 0.7, 0.2])


def _clamp(x: Any, low: Any, high: Any) -> Any:
    given = promoted([bound for bound in (x, low, high) if bound is not None])
    result = given[0]
    if low is not None:
        result = np.maximum(result, given[1])
    if high is not None:
        result = np.minimum(result, given[-1])
    return result


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


CLAMP = op(
    "clamp(x, *, min=None, max=None)",
    _clamp,
    node="ClampBackward1",
    x=lambda g, x, min, max: np.where(_inside(x, min, max), g, 0),
    samples=lambda: [
        sample(grid(2, 3), -0.5, 1),
        sample(grid(2, 3), min=0.5),
        sample(grid(2, 3), max=0.5),
        sample(grid(2, 3), 1.0, -1.0),
        sample(_TIES, 0.0, 0.5, smooth=False),
    ],
)
CLAMP_TENSOR = op(
    "clamp(x, min, max)",
    _clamp,
    key="clamp.tensor",
    node="ClampBackward0",
    x=lambda g, x, min, max: np.where(_inside(x, min, max), g, 0),
    min=lambda g, x, min, max: np.where(x < min if max is None else (x < min) & (min < max), g, 0),
    max=lambda g, x, min, max: np.where(x > max if min is None else (x > max) | (max < min), g, 0),
    samples=lambda: [
        sample(grid(2, 3), _LOW, _HIGH),
        sample(grid(2, 3), _HIGH, _LOW),
        sample(grid(2, 3), min=_LOW),
        sample(grid(2, 3), max=_HIGH),
        sample(_TIES, _TIES, _TIES, smooth=False),
    ],
)
CLAMP_MIN = op(
    "clamp_min(x, *, min)",
    lambda x, min: _clamp(x, min, None),
    x=lambda g, x, min: np.where(x >= min, g, 0),
    samples=lambda: [sample(grid(2, 3), 0.2), sample(_TIES, 0.5, smooth=False)],
)
CLAMP_MIN_TENSOR = op(
    "clamp_min(x, min)",
    lambda x, min: _clamp(x, min, None),
    key="clamp_min.tensor",
    node="ClampMinBackward1",
    x=lambda g, x, min: np.where(x >= min, g, 0),
    min=lambda g, x, min: np.where(x < min, g, 0),
    samples=lambda: [sample(grid(2, 3), _LOW), sample(_TIES, _TIES, smooth=False)],
)
CLAMP_MAX = op(
    "clamp_max(x, *, max)",
    lambda x, max: _clamp(x, None, max),
    x=lambda g, x, max: np.where(x <= max, g, 0),
    samples=lambda: [sample(grid(2, 3), 0.2), sample(_TIES, 0.5, smooth=False)],
)
CLAMP_MAX_TENSOR = op(
    "clamp_max(x, max)",
    lambda x, max: _clamp(x, None, max),
    key="clamp_max.tensor",
    node="ClampMaxBackward1",
    x=lambda g, x, max: np.where(x <= max, g, 0),
    max=lambda g, x, max: np.where(x > max, g, 0),
    samples=lambda: [sample(grid(2, 3), _LOW), sample(_TIES, _TIES, smooth=False)],
)


def _bounds(input: Any, low: Any, high: Any) -> tuple[Any, list[Any], tuple[Any, ...]]:
    """The row that clamps between these bounds, its inputs and its static arguments."""
    low, high = operand(low), operand(high)
    if low is None and high is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    given = [isinstance(bound, Tensor) for bound in (low, high) if bound is not None]
    if not any(given):
        return CLAMP, [first_tensor("clamp", input)], (low, high)
    if not all(given):
        raise TypeError("clamp() received an invalid combination of arguments: a number and a tensor as bounds")
    return CLAMP_TENSOR, [first_tensor("clamp", input), low, high], ()


@both
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Each element, or the bound that it lies beyond.

    min, max: two numbers or two tensors; one may be left out.
    """
    row, inputs, static = _bounds(input, min, max)
    return apply(row, inputs, static)


@method
def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """In-place `clamp`."""
    row, inputs, static = _bounds(self, min, max)
    return apply_inplace(row, self, inputs[1:], static)


@both
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Each element, or `min` where that is larger."""
    return _clamp_one(CLAMP_MIN, CLAMP_MIN_TENSOR, input, min)


@both
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Each element, or `max` where that is smaller."""
    return _clamp_one(CLAMP_MAX, CLAMP_MAX_TENSOR, input, max)


def _clamp_one(number: Any, tensor: Any, input: Tensor, bound: Any) -> Tensor:
    """Clamp on one side by the row for a number or by that for a tensor."""
    input, bound = first_tensor(number.name, input), operand(bound)
    return apply(tensor, (input, bound)) if isinstance(bound, Tensor) else apply(number, (input,), (bound,))


@method
def clamp_min_(self: Tensor, min: Any) -> Tensor:
    """In-place `clamp_min`."""
    if isinstance(min, Tensor):
        return apply_inplace(CLAMP_MIN_TENSOR, self, (min,))
    return apply_inplace(CLAMP_MIN, self, (), (operand(min),))


@method
def clamp_max_(self: Tensor, max: Any) -> Tensor:
    """In-place `clamp_max`."""
    if isinstance(max, Tensor):
        return apply_inplace(CLAMP_MAX_TENSOR, self, (max,))
    return apply_inplace(CLAMP_MAX, self, (), (operand(max),))


# ---- the larger and the smaller of two

MAXIMUM = op(
    "maximum(x, y)",
    np.maximum,
    promotes=True,
    x=lambda g, x, y: np.where(x < y, 0, np.where(x == y, g / 2, g)),
    y=lambda g, x, y: np.where(y < x, 0, np.where(x == y, g / 2, g)),
    samples=lambda: [sample(grid(2, 3), grid(2, 1)), sample(_TIES, _TIES, smooth=False)],
)
MINIMUM = op(
    "minimum(x, y)",
    np.minimum,
    promotes=True,
    x=lambda g, x, y: np.where(x > y, 0, np.where(x == y, g / 2, g)),
    y=lambda g, x, y: np.where(y > x, 0, np.where(x == y, g / 2, g)),
    samples=lambda: [sample(grid(2, 3), grid(2, 1)), sample(_TIES, _TIES, smooth=False)],
)
maximum = publish(MAXIMUM, numbers=False)
minimum = publish(MINIMUM, numbers=False)


def _passing_over_nan(name: str, ufunc: Any, first: Callable[[Any, Any], Any]) -> None:
    """A row that takes one of two elements; `first` says where that is the first."""

    def chosen(x: Any, y: Any) -> Any:
        x, y = array_of(x), array_of(y)
        return (first(x, y) | np.isnan(y)).astype(x.dtype)

    row = op(
        f"{name}(x, y)",
        ufunc,
        promotes=True,
        x=lambda g, x, y: g * chosen(x, y),
        y=lambda g, x, y: g * (1 - chosen(x, y)),
        samples=lambda: [
            sample(grid(2, 3), unit(3, 2).T),
            sample(np.array([1.0, np.nan, 2.0, np.nan]), np.array([np.nan, 1.0, 2.5, np.nan]), smooth=False),
        ],
    )
    publish(row, numbers=False)


_passing_over_nan("fmax", np.fmax, np.greater_equal)
_passing_over_nan("fmin", np.fmin, np.less_equal)

# ---- by a mask


def _chosen(condition: Any, x: Any, y: Any) -> Any:
    if condition.dtype.kind != "b":
        name = dtypes.of(condition).type_name.removesuffix("Tensor")
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {name}")
    return np.where(condition, *promoted([x, y]))


def _filled(x: Any, mask: Any, value: Any) -> Any:
    if mask.dtype.kind != "b":
        name = dtypes.of(mask).name
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {name}")
    if getattr(value, "ndim", 0):
        raise RuntimeError(
            f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
        )
    if x.dtype.kind in "iu" and not np.isfinite(value):
        raise RuntimeError(f"value cannot be converted to type {x.dtype.name}_t without overflow")
    return np.where(mask, np.asarray(value).astype(x.dtype), x)


WHERE = op(
    "where(condition, x, y)",
    _chosen,
    x=lambda g, condition: np.where(condition, g, 0),
    y=lambda g, condition: np.where(condition, 0, g),
    samples=lambda: [
        sample(flags(2, 3), grid(2, 3), grid(2, 1)),
        sample(flags(3), grid(2, 3), 0.0),
        sample(flags(2, 1), 1, grid(3)),
        sample(flags(4), 1.0, 2.0),
    ],
)
MASKED_FILL = op(
    "masked_fill(x, mask, *, value)",
    _filled,
    x=lambda g, mask: np.where(mask, 0, g),
    samples=lambda: [
        sample(grid(2, 3), flags(2, 3), -np.inf, smooth=False),
        sample(grid(2, 3), flags(3), 2),
        sample(grid(3), flags(2, 3), 0.5),
    ],
)
MASKED_FILL_TENSOR = op(
    "masked_fill(x, mask, value)",
    _filled,
    key="masked_fill.tensor",
    node="MaskedFillBackward1",
    x=lambda g, mask: np.where(mask, 0, g),
    value=lambda g, mask: np.where(mask, g, 0),
    samples=lambda: [sample(grid(2, 3), flags(2, 3), grid()), sample(grid(2, 3), flags(2, 1), grid())],
)


@function
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """Elements of `input` where `condition` (bool) is true, of `other` elsewhere; either may be a number.

    With neither, where the condition is true: a vector of positions for each dimension.
    """
    if input is None and other is None:
        return METHODS["nonzero"](first_tensor("where", condition), as_tuple=True)
    if input is None or other is None:
        missing = "input" if input is None else "other"
        raise TypeError(f"where() missing 1 required positional argument: '{missing}'")
    return apply(WHERE, (first_tensor("where", condition), operand(input), operand(other)))


def _where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """Elements of this tensor where `condition` (bool) is true, of `other` elsewhere."""
    chosen: Tensor = where(condition, self, other)
    return chosen


METHODS["where"] = _where


@both
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value`, a number or a 0-d tensor, where `mask` (bool) is true; the elements of `input` elsewhere."""
    input, value = first_tensor("masked_fill", input), operand(value)
    if isinstance(value, Tensor):
        return apply(MASKED_FILL_TENSOR, (input, mask, value))
    return apply(MASKED_FILL, (input, mask), (value,))


@method
def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """In-place `masked_fill`."""
    value = operand(value)
    if isinstance(value, Tensor):
        return apply_inplace(MASKED_FILL_TENSOR, self, (mask, value), overlaps=True)
    return apply_inplace(MASKED_FILL, self, (mask,), (value,), overlaps=True)
