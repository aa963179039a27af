"""Comparisons: their results are bools, which carry no gradient."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply, apply_several
from gradviz.core.listeners import listeners
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.shapes import broadcast
from gradviz.core.ops.table import Row, Sample, op, sample
from gradviz.core.public import FUNCTIONS, METHODS, both, first_tensor, function, operand, publish
from gradviz.core.tensor import Tensor
from gradviz.events import Cause


def _samples() -> list[Sample]:
    ties = np.array([[1.0, 2.0, np.nan]])
    return [
        sample(grid(2, 3), grid(3)),
        sample(grid(2, 3), 0.5),
        sample(ties, ties),
        sample(integers(4), 2),
        sample(integers(4).astype(np.uint8), -1),
    ]


EQ = op("eq(x, y)", operator.eq, promotes=True, samples=_samples)
NE = op("ne(x, y)", operator.ne, promotes=True, samples=_samples)
LT = op("lt(x, y)", operator.lt, promotes=True, samples=_samples)
LE = op("le(x, y)", operator.le, promotes=True, samples=_samples)
GT = op("gt(x, y)", operator.gt, promotes=True, samples=_samples)
GE = op("ge(x, y)", operator.ge, promotes=True, samples=_samples)

for _row in (EQ, NE, LT, LE, GT, GE):
    publish(_row)


def _operator(row: Row) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        other = operand(other)
        if not isinstance(other, (Tensor, float, int)):
            return NotImplemented
        return apply(row, (self, other))

    return call


METHODS.update(
    __eq__=_operator(EQ), __ne__=_operator(NE), __lt__=_operator(LT), __le__=_operator(LE), __gt__=_operator(GT)
)
METHODS["__ge__"] = _operator(GE)


def _near(x: Any, y: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    if x.dtype != y.dtype:
        names = [dtypes.of(array).type_name.removesuffix("Tensor") for array in (x, y)]
        raise RuntimeError(f"{names[0]} did not match {names[1]}")
    return np.isclose(x, y, rtol, atol, equal_nan)


def _near_samples() -> list[Sample]:
    x, y = np.array([1.0, 1.0, np.nan, np.inf]), np.array([1.0 + 1e-6, 1.1, np.nan, np.inf])
    same = [sample(grid(2, 3), grid(3)), sample(x, x)]
    return [*same, sample(x, y), sample(x, y, rtol=0.2, equal_nan=True), sample(x, y, atol=0.2, rtol=0.0)]


ISCLOSE = op("isclose(x, y, *, rtol=1e-05, atol=1e-08, equal_nan=False)", _near, samples=_near_samples)
publish(ISCLOSE, numbers=False)

# These give Python's bools: data that leaves, as with `item`.
ALLCLOSE = op("allclose(x, y)", lambda x, y: (), cause=Cause.ITEM, samples=_near_samples)
EQUAL = op(
    "equal(x, y)",
    lambda x, y: (),
    cause=Cause.ITEM,
    samples=lambda: [sample(grid(2), grid(2)), sample(grid(2), grid(2) + 1), sample(grid(2, 3), grid(3))],
)


@both
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """True where all elements differ by at most `atol + rtol * abs(other)`; a Python bool."""
    if listeners:
        apply_several(ALLCLOSE, (first_tensor("allclose", input), other))
    broadcast(input._data.shape, other._data.shape)
    return bool(np.all(_near(input._data, other._data, rtol, atol, equal_nan)))


@both
def equal(input: Tensor, other: Tensor) -> bool:
    """True where two tensors have the same shape and the same elements; a Python bool."""
    if listeners:
        apply_several(EQUAL, (first_tensor("equal", input), other))
    return bool(np.array_equal(input._data, other._data))


def _among(x: Any, others: Any, invert: bool) -> Any:
    if x.dtype.kind == "b":
        raise RuntimeError("Unsupported input type encountered for isin(): Bool")
    return np.isin(x, others, invert=invert)


ISIN: Row = op(
    "isin(elements, test_elements, *, invert=False)",
    _among,
    samples=lambda: [
        sample(integers(2, 3), np.array([0, 3])),
        sample(np.array([1.0, np.nan]), np.array([np.nan, 1.0]), invert=True),
    ],
)


@function
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """True where an element is among `test_elements`; either may be a number, one of them must be a tensor."""
    tensors = [one if isinstance(one, Tensor) else FUNCTIONS["tensor"](one) for one in (elements, test_elements)]
    return apply(ISIN, tensors, (invert,))
