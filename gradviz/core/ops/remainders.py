"""Remainders and whole quotients: `fmod`, `remainder`, `floor_divide`, and the operators `%` and `//`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.refusals import NOT_IMPLEMENTED, no_derivative
from gradviz.core.ops.samples import grid, integers, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import METHODS, both, first_tensor, method, operand
from gradviz.core.tensor import Tensor


def _dividing(divide: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A forward that raises for integers where numpy would warn and give 0."""

    def forward(x: Any, y: Any) -> Any:
        result = divide(x, y)
        if result.dtype.kind != "f" and not np.all(y):
            raise RuntimeError("ZeroDivisionError")
        return result

    return forward


FMOD_NUMBER = op(
    "fmod(x, y)",
    _dividing(np.fmod),
    key="fmod.number",
    promotes=True,
    x=lambda g: g,
    samples=lambda: [sample(grid(2, 3), 0.7), sample(integers(4), 3)],
)
FMOD = op(
    "fmod(x, y)",
    _dividing(np.fmod),
    node="FmodBackward1",
    promotes=True,
    x=lambda g: g,
    y=lambda g, x, y: -g * np.trunc(x / y),
    samples=lambda: [
        sample(grid(2, 3), positive(2, 3)),
        sample(grid(2, 3), positive(3)),
        sample(integers(4), integers(4) + 1),
    ],
)
REMAINDER_NUMBER = op(
    "remainder(x, y)",
    _dividing(np.remainder),
    key="remainder.number",
    promotes=True,
    x=lambda g: g,
    samples=lambda: [sample(grid(2, 3), 0.7), sample(grid(3), -0.7), sample(integers(4), -3)],
)
REMAINDER = op(
    "remainder(x, y)",
    _dividing(np.remainder),
    node="RemainderBackward1",
    promotes=True,
    x=lambda g: g,
    y=lambda g, x, y: -g * np.floor(x / y),
    samples=lambda: [
        sample(grid(2, 3), positive(2, 3)),
        sample(grid(2, 3), -positive(3)),
        sample(integers(4), integers(4) + 1),
    ],
)
REMAINDER_OF_NUMBER = op(
    "remainder(x, y)",
    _dividing(np.remainder),
    key="remainder.of_number",
    node=NOT_IMPLEMENTED,
    call="operator.mod",
    promotes=True,
    y=no_derivative("remainder"),
    samples=lambda: [sample(2.5, positive(2, 3)), sample(7, integers(4) + 1)],
)
FLOOR_DIVIDE = op(
    "floor_divide(x, y)",
    _dividing(np.floor_divide),
    node=NOT_IMPLEMENTED,
    promotes=True,
    x=no_derivative("floor_divide"),
    y=no_derivative("floor_divide"),
    samples=lambda: [sample(grid(2, 3), positive(3)), sample(integers(4), integers(4) + 1)],
)
FLOOR_DIVIDE_NUMBER = op(
    "floor_divide(x, y)",
    _dividing(np.floor_divide),
    key="floor_divide.number",
    node=NOT_IMPLEMENTED,
    promotes=True,
    x=no_derivative("floor_divide"),
    samples=lambda: [sample(grid(2, 3), 0.4), sample(integers(4), -3)],
)
FLOOR_DIVIDE_OF_NUMBER = op(
    "floor_divide(x, y)",
    _dividing(np.floor_divide),
    key="floor_divide.of_number",
    node=NOT_IMPLEMENTED,
    call="operator.floordiv",
    promotes=True,
    y=no_derivative("floor_divide"),
    samples=lambda: [sample(2.5, positive(2, 3)), sample(7, integers(4) + 1)],
)


def _by_operand(name: str, both_tensors: Row, number: Row) -> None:
    """Publish a function, its method and its in-place method, which run one of two rows."""

    def call(input: Tensor, other: Any) -> Tensor:
        input, other = first_tensor(name, input), operand(other)
        return apply(both_tensors if isinstance(other, Tensor) else number, (input, other))

    def inplace(self: Tensor, other: Any) -> Tensor:
        other = operand(other)
        return apply_inplace(both_tensors if isinstance(other, Tensor) else number, self, (other,))

    call.__name__ = call.__qualname__ = name
    inplace.__name__ = inplace.__qualname__ = name + "_"
    call.__doc__ = f"`{both_tensors.signature}`, elementwise; `y` may be a number."
    inplace.__doc__ = f"In-place `{both_tensors.signature}`; `y` may be a number."
    both(call)
    method(inplace)


_by_operand("fmod", FMOD, FMOD_NUMBER)
_by_operand("remainder", REMAINDER, REMAINDER_NUMBER)
_by_operand("floor_divide", FLOOR_DIVIDE, FLOOR_DIVIDE_NUMBER)


def _operator(name: str) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        other = operand(other)
        return METHODS[name](self, other) if isinstance(other, (Tensor, float, int)) else NotImplemented

    return call


def _swapped(row: Row) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        other = operand(other)
        return apply(row, (other, self)) if isinstance(other, (Tensor, float, int)) else NotImplemented

    return call


METHODS.update(
    __mod__=_operator("remainder"),
    __rmod__=_swapped(REMAINDER_OF_NUMBER),
    __imod__=_operator("remainder_"),
    __floordiv__=_operator("floor_divide"),
    __rfloordiv__=_swapped(FLOOR_DIVIDE_OF_NUMBER),
    __ifloordiv__=_operator("floor_divide_"),
)
