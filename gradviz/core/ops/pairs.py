"""Functions of two tensors, element by element: angles, remainders, interpolation, logic and bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import grid, integers, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import METHODS, both, first_tensor, method, operand, publish
from gradviz.core.tensor import Tensor
from gradviz.errors import NotDifferentiableError

# ---- angles and interpolation


def _angle(x: Any, y: Any) -> Any:
    return np.arctan2(x, y) if x.dtype.kind == "f" else np.arctan2(x.astype(np.float32), y.astype(np.float32))


def _inverse_square(x: Any, y: Any) -> Any:
    square = x * x + y * y
    return np.where(square == 0, 0, 1 / square)


ATAN2 = op(
    "atan2(x, y)",
    _angle,
    node="Atan2Backward0",
    promotes=True,
    x=lambda g, x, y: g * y * _inverse_square(x, y),
    y=lambda g, x, y: -g * x * _inverse_square(x, y),
    samples=lambda: [
        sample(grid(2, 3), grid(2, 3) + 0.1),
        sample(grid(2, 3), grid(3)),
        sample(np.zeros(1), np.zeros(1), smooth=False),
    ],
)
atan2 = publish(ATAN2, inplace=True, numbers=False)


def _between(x: Any, end: Any, weight: Any) -> Any:
    if x.dtype.kind != "f":
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"lerp_kernel_scalar\" not implemented for '{kind}'")
    for name, other in (("end", end), ("weight", weight)):
        if hasattr(other, "dtype") and other.dtype != x.dtype and (name == "end" or other.ndim):
            wanted, found = _scalar_name(x), _scalar_name(other)
            raise RuntimeError(f"expected dtype {wanted} for `{name}` but got dtype {found}")
    return np.where(abs(weight) < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight)).astype(x.dtype)


def _scalar_name(array: Any) -> str:
    """The name by which PyTorch's C++ side calls an element type: `double`."""
    return dtypes.of(array).type_name.removesuffix("Tensor").lower()


LERP = op(
    "lerp(x, end, *, weight)",
    _between,
    x=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    samples=lambda: [sample(grid(2, 3), positive(3), 0.3), sample(grid(3), positive(2, 3), 0.75)],
)
LERP_TENSOR = op(
    "lerp(x, end, weight)",
    _between,
    key="lerp.tensor",
    node="LerpBackward1",
    x=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, x, end: g * (end - x),
    samples=lambda: [sample(grid(2, 3), positive(2, 3), positive(3))],
)


@both
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """`input + weight * (end - input)`; the weight is a number or a tensor."""
    input, weight = first_tensor("lerp", input), operand(weight)
    if isinstance(weight, Tensor):
        return apply(LERP_TENSOR, (input, end, weight))
    return apply(LERP, (input, end), (weight,))


@method
def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """In-place `lerp`."""
    weight = operand(weight)
    if isinstance(weight, Tensor):
        return apply_inplace(LERP_TENSOR, self, (end, weight))
    return apply_inplace(LERP, self, (end,), (weight,))


# ---- remainders and whole quotients


def _dividing(divide: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A forward that raises for integers where numpy would warn and give 0."""

    def forward(x: Any, y: Any) -> Any:
        result = divide(x, y)
        if result.dtype.kind != "f" and not np.all(y):
            raise RuntimeError("ZeroDivisionError")
        return result

    return forward


def no_derivative(name: str) -> Callable[[Any], Any]:
    """A VJP for an op whose derivative PyTorch refuses too: it raises when a backward comes to it."""

    def refuse(g: Any) -> Any:
        raise NotDifferentiableError(f"derivative for aten::{name} is not implemented")

    refuse.refuses = True  # type: ignore[attr-defined]
    return refuse


NOT_IMPLEMENTED = "torch::autograd::NotImplemented"
"""PyTorch's name for the node of an op that has no derivative."""

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
