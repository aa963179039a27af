"""Arrays for the rows' samples: the same on every run, without ties, kinks or zeros where a derivative would suffer."""

from __future__ import annotations

from typing import Any

import numpy as np


def grid(*shape: int, low: float = -1.7, high: float = 1.9) -> Any:
    """Distinct float64 values between low and high, in an order that is not sorted, none of them a whole number."""
    count = int(np.prod(shape))
    values = np.linspace(low, high, count) if count > 1 else np.full(count, 0.7)
    order = np.argsort((np.arange(count) * 7919) % 104729, kind="stable")
    return (values[order] + 0.013).reshape(shape)


def positive(*shape: int) -> Any:
    """Distinct float64 values between 0.3 and 2.6."""
    return grid(*shape, low=0.3, high=2.6)


def unit(*shape: int) -> Any:
    """Distinct float64 values inside (-1, 1)."""
    return grid(*shape, low=-0.9, high=0.87)


def integers(*shape: int, high: int = 5) -> Any:
    """int64 values from 0 to high - 1."""
    return (np.arange(int(np.prod(shape))) * 7 % high).reshape(shape)


def flags(*shape: int) -> Any:
    """bool values, some of each."""
    return (np.arange(int(np.prod(shape))) % 3 == 0).reshape(shape)
