"""Logic on truth values and on bits: `logical_and`, `&`, `~` and their relatives. None carries a gradient."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import flags, grid, integers
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import METHODS, operand, publish
from gradviz.core.tensor import Tensor

LOGICAL_AND = op(
    "logical_and(x, y)", np.logical_and, samples=lambda: [sample(flags(4), grid(4)), sample(flags(2, 3), flags(3))]
)
LOGICAL_OR = op(
    "logical_or(x, y)", np.logical_or, samples=lambda: [sample(flags(4), integers(4)), sample(flags(2, 3), flags(3))]
)
LOGICAL_XOR = op(
    "logical_xor(x, y)", np.logical_xor, samples=lambda: [sample(flags(4), integers(4)), sample(flags(2, 3), flags(3))]
)
LOGICAL_NOT = op(
    "logical_not(x)", np.logical_not, samples=lambda: [sample(flags(4)), sample(integers(4)), sample(grid(2, 3))]
)

for _row in (LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR, LOGICAL_NOT):
    publish(_row, numbers=False)


def _on_bits(name: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind == "f":
            kind = dtypes.of(x).type_name.removesuffix("Tensor")
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{kind}'")
        return compute(x, y)

    return forward


def _inverted(x: Any) -> Any:
    if x.dtype.kind == "f":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return np.invert(x)


def _bit_samples() -> list[Any]:
    return [
        sample(flags(2, 3), flags(3)),
        sample(integers(4), integers(4) + 1),
        sample(integers(4), 3),
        sample(flags(4), True),
    ]


BITWISE_AND = op("bitwise_and(x, y)", _on_bits("bitwise_and", operator.and_), promotes=True, samples=_bit_samples)
BITWISE_OR = op("bitwise_or(x, y)", _on_bits("bitwise_or", operator.or_), promotes=True, samples=_bit_samples)
BITWISE_XOR = op("bitwise_xor(x, y)", _on_bits("bitwise_xor", operator.xor), promotes=True, samples=_bit_samples)
BITWISE_NOT = op("bitwise_not(x)", _inverted, samples=lambda: [sample(flags(2, 3)), sample(integers(4))])

for _row in (BITWISE_AND, BITWISE_OR, BITWISE_XOR, BITWISE_NOT):
    publish(_row, inplace=True)


def _operator(row: Row) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        other = operand(other)
        return apply(row, (self, other)) if isinstance(other, (Tensor, int)) else NotImplemented

    return call


def _inplace_operator(row: Row) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        other = operand(other)
        return apply_inplace(row, self, (other,)) if isinstance(other, (Tensor, int)) else NotImplemented

    return call


for _symbol, _row in (("and", BITWISE_AND), ("or", BITWISE_OR), ("xor", BITWISE_XOR)):
    METHODS[f"__{_symbol}__"] = METHODS[f"__r{_symbol}__"] = _operator(_row)
    METHODS[f"__i{_symbol}__"] = _inplace_operator(_row)
METHODS["__invert__"] = METHODS["bitwise_not"]
