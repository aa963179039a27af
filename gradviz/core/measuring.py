"""Measuring: what numbers an array holds, for a recording that was asked for values.

An op's results are looked at as soon as they are there: by the time that a listener is told of an op inside a composite
function, another may have written over them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gradviz import events
from gradviz.core.trace import PART, Trace
from gradviz.events import Measure

if TYPE_CHECKING:
    from gradviz.core.tensor import Tensor

_WIDE = 1e150
"""Beyond this, and below its inverse, the squares of numbers are out of range."""
_SMALL = 1e-200
"""A sum of squares above this, and below its inverse, is right."""


class Measures:
    """The measures of ops that ran and were not told of yet."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Measure, ...]] = {}

    def saw(self, step: Trace, results: tuple[Any, ...]) -> None:
        """Take note of what an op gave; `results` are its arrays."""
        if not step.flags & PART:
            found = (measure(array, step.id + number) for number, array in enumerate(results))
            self._waiting[step.id] = tuple(one for one in found if one is not None)

    def of(self, step: Trace) -> tuple[Measure, ...]:
        """The measures of an op's results, given away once."""
        return self._waiting.pop(step.id, ())


def measure(array: Any, value: int) -> Measure | None:
    """What numbers are in `array`, as those of `value`; None where there is no element."""
    array = np.asarray(array)
    if not array.size:
        return None
    with np.errstate(all="ignore"):  # the program may have asked for exceptions
        return _look(array, value)


def _look(array: np.ndarray[Any, Any], value: int) -> Measure:
    zeros = array.size - int(np.count_nonzero(array))
    wide = array.astype(np.float64).ravel()
    finite = np.isfinite(wide)
    nans = infs = 0
    if not finite.all():
        nans, infs = int(np.isnan(wide).sum()), int(np.isinf(wide).sum())
        wide = wide[finite]
        if not wide.size:
            return Measure(value, zeros, nans, infs)
    low, high = float(wide.min()) + 0.0, float(wide.max()) + 0.0  # never a negative zero
    largest = max(abs(low), abs(high))
    scale = largest if largest > _WIDE or 0.0 < largest < 1 / _WIDE else 1.0
    if scale != 1.0:
        wide = wide / scale
    mean, norm = scale * float(wide.mean()), scale * float(np.linalg.norm(wide))
    return Measure(value, zeros, nans, infs, low, high, mean, norm)


def measure_gradient(value: int, grad: Tensor) -> events.Gradient:
    """How large `grad` is, as the gradient of value `value`."""
    flat = np.asarray(grad._data, dtype=np.float64).ravel()
    square = float(np.dot(flat, flat))
    if _SMALL < square < 1 / _SMALL:
        return events.Gradient(value, math.sqrt(square))
    largest = float(np.max(np.abs(flat), initial=0.0))
    if math.isnan(largest) or math.isinf(largest) or not largest:
        return events.Gradient(value, largest, zero=largest == 0.0, nan=math.isnan(largest))
    # Squares of the raw numbers could overflow, or vanish.
    flat = flat / largest
    return events.Gradient(value, largest * math.sqrt(float(np.dot(flat, flat))))
