"""Bits that are moved: `bitwise_left_shift`, `bitwise_right_shift`, and the operators `<<` and `>>`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import integers
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import METHODS, publish
from gradviz.core.tensor import Tensor


def _moving(name: str, move: Callable[[Any, Any], Any], lost: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A forward. lost: what is left of numbers all of whose bits are moved out, by a negative count, too."""

    def forward(x: Any, y: Any) -> Any:
        kind = np.result_type(x, y)
        if kind.kind not in "iu":
            shown = dtypes.of(np.zeros(0, kind)).type_name.removesuffix("Tensor")
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{shown}'")
        x, y = np.asarray(x).astype(kind), np.asarray(y).astype(kind)
        within = (y >= 0) & (y < 8 * kind.itemsize)
        return np.where(within, move(x, np.where(within, y, 0)), lost(x)).astype(kind)[()]

    return forward


LEFT = op(
    "bitwise_left_shift(x, y)",
    _moving("lshift", np.left_shift, lambda x: 0),
    promotes=True,
    samples=lambda: [sample(integers(4), integers(4)), sample(integers(4), 2), sample(integers(4), 64)],
)
RIGHT = op(
    "bitwise_right_shift(x, y)",
    _moving("rshift", np.right_shift, lambda x: np.where(x < 0, -1, 0)),
    promotes=True,
    samples=lambda: [sample(integers(4) * 8 - 9, integers(4)), sample(integers(4) - 2, 1), sample(integers(4) - 2, -1)],
)

for _row in (LEFT, RIGHT):
    publish(_row, inplace=True)


def _operator(row: Row) -> Callable[[Tensor, Any], Any]:
    return lambda self, other: apply(row, (self, other)) if isinstance(other, (Tensor, float, int)) else NotImplemented


def _swapped(row: Row) -> Callable[[Tensor, Any], Any]:
    return lambda self, other: apply(row, (other, self)) if isinstance(other, (float, int)) else NotImplemented


def _inplace(row: Row) -> Callable[[Tensor, Any], Any]:
    return lambda self, other: (
        apply_inplace(row, self, (other,)) if isinstance(other, (Tensor, float, int)) else NotImplemented
    )


for _symbol, _row in (("lshift", LEFT), ("rshift", RIGHT)):
    METHODS[f"__{_symbol}__"] = _operator(_row)
    METHODS[f"__r{_symbol}__"] = _swapped(_row)
    METHODS[f"__i{_symbol}__"] = _inplace(_row)
