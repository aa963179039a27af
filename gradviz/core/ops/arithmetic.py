"""Addition, subtraction, multiplication, division and powers, and the operators that stand for them.

The forwards are Python's operators: on a 0-d tensor's numpy scalar they cost a fraction of the ufunc, and on an array
they are the ufunc.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply, apply_general
from gradviz.core.composites import whole_called
from gradviz.core.dtypes import promoted
from gradviz.core.dual import raised
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.samples import grid, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import METHODS, both, compiled_method, method, operand, publish
from gradviz.core.tensor import Tensor
from gradviz.core.updating import updated


def _divide(x: Any, y: Any) -> Any:
    quotient = operator.truediv(x, y)
    if quotient.dtype == np.float64 and np.result_type(x, y).kind != "f":
        return quotient.astype(np.float32)
    return quotient


def _add(x: Any, y: Any, alpha: Any) -> Any:
    if alpha == 1:
        return operator.add(x, y)
    return operator.add(x, (alpha if type(y) in (float, int, bool) else y.dtype.type(alpha)) * y)


def _subtract(x: Any, y: Any, alpha: Any = 1) -> Any:
    """x - alpha * y. Promotes by itself: PyTorch refuses a bool operand whatever the other one is."""
    bools = _is_bool(x) + _is_bool(y)
    if bools == 2:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    if bools:
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
            "use the `~` or `logical_not()` operator instead."
        )
    x, y = promoted([x, y])
    return operator.sub(x, y) if alpha == 1 else operator.sub(x, alpha * y)


def _is_bool(operand: Any) -> bool:
    return type(operand) is bool or (isinstance(operand, (np.ndarray, np.generic)) and operand.dtype.char == "?")


def _negate(x: Any) -> Any:
    if x.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` or `logical_not()` operator instead."
        )
    return operator.neg(x)


def _power_number(x: Any, y: Any) -> Any:
    if type(y) is not float and y < 0 and x.dtype.kind != "f":
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    x, y = promoted([x, y])
    return raised(x, y)


_power_number.plain = raised  # type: ignore[attr-defined]


def _power(x: Any, y: Any) -> Any:
    """x ** y, where the power of an integer to a negative one is rounded towards zero."""
    if np.result_type(x, y).kind == "i" and np.any(y < 0):
        return np.where((y < 0) & (np.abs(x) != 1), 0, x ** np.abs(y))
    return x**y


ADD = op(
    "add(x, y, *, alpha=1)",
    _add,
    promotes=True,
    x=lambda g: g,
    y=lambda g, alpha: g if alpha == 1 else g * alpha,
    samples=lambda: [
        sample(grid(2, 3), grid(2, 3)),
        sample(grid(2, 3), grid(3)),
        sample(grid(3), 2.0),
        sample(grid(2), grid(2), alpha=3),
        sample(grid(2), 0.5, alpha=2),
    ],
)
SUB = op(
    "sub(x, y, *, alpha=1)",
    _subtract,
    x=lambda g: g,
    y=lambda g, alpha: -g if alpha == 1 else g * -alpha,
    samples=lambda: [sample(grid(2, 3), grid(2, 1)), sample(grid(3), 2), sample(grid(2), grid(2), alpha=3)],
)
RSUB = op(
    "rsub(x, y)",
    lambda x, y: _subtract(y, x),
    node="RsubBackward1",
    x=lambda g: -g,
    samples=lambda: [sample(grid(2, 3), 1)],
)
MUL = op(
    "mul(x, y)",
    operator.mul,
    promotes=True,
    x=lambda g, y: g * y,
    y=lambda g, x: g * x,
    samples=lambda: [sample(grid(2, 3), grid(2, 3)), sample(grid(2, 3), grid(2, 1)), sample(grid(3), 2.5)],
)
DIV = op(
    "div(x, y)",
    _divide,
    promotes=True,
    x=lambda g, y: g / y,
    y=lambda g, x, y: -g * x / (y * y),
    samples=lambda: [sample(grid(2, 3), positive(2, 3)), sample(grid(2, 3), positive(3)), sample(grid(3), 4)],
)
NEG = op("neg(x)", _negate, x=lambda g: -g, samples=lambda: [sample(grid(2, 3))])
POW_NUMBER = op(
    "pow(x, exponent)",
    _power_number,
    key="pow.number",
    node="PowBackward0",
    x=lambda g, x, exponent: g * (exponent * raised(x, exponent - 1)) if exponent else g * 0,
    samples=lambda: [sample(grid(2, 3), 3), sample(positive(3), 0.5), sample(grid(3), 0), sample(positive(2), -1)],
)


def _slope_in_base(x: Any, exponent: Any) -> Any:
    """The derivative of a power for its base; zero for the exponent 0, where the formula may give 0 * inf."""
    return np.where(exponent == 0, 0, exponent * x ** np.where(exponent == 0, 1, exponent - 1))


def _slope_in_exponent(x: Any, exponent: Any, out: Any) -> Any:
    """The derivative of a power for its exponent; zero for the base 0, though its logarithm is not finite."""
    return np.where((x == 0) & (exponent >= 0), 0, out * np.log(x))


POW_TENSOR = op(
    "pow(x, exponent)",
    _power,
    key="pow.tensor",
    node="PowBackward1",
    promotes=True,
    x=lambda g, x, exponent: g * _slope_in_base(x, exponent),
    exponent=lambda g, x, exponent, out: g * _slope_in_exponent(x, exponent, out),
    samples=lambda: [sample(positive(2, 3), grid(2, 3)), sample(positive(2, 3), grid(3))],
)
POW_OF_NUMBER = op(
    "pow(x, exponent)",
    _power,
    key="pow.of_number",
    node="PowBackward2",
    promotes=True,
    exponent=lambda g, x, exponent, out: g * _slope_in_exponent(x, exponent, out),
    samples=lambda: [sample(2.0, grid(2, 3)), sample(3, grid(2))],
)


@both
def pow(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent`, elementwise; either may be a number."""
    exponent = operand(exponent)
    if not isinstance(exponent, Tensor):
        return apply(POW_NUMBER, (input, exponent))
    return apply(POW_TENSOR if isinstance(input, Tensor) else POW_OF_NUMBER, (operand(input), exponent))


@method
def pow_(self: Tensor, exponent: Any) -> Tensor:
    """In-place `pow`."""
    exponent = operand(exponent)
    return apply_inplace(POW_TENSOR if isinstance(exponent, Tensor) else POW_NUMBER, self, (exponent,))


add = publish(ADD, inplace=True, write=np.add)
sub = publish(SUB, inplace=True, write=np.subtract)
mul = publish(MUL, inplace=True, write=np.multiply)
div = publish(DIV, inplace=True, write=np.true_divide)
neg = publish(NEG, inplace=True)
rsub = publish(RSUB)
RECIPROCAL = op(
    "reciprocal(x)",
    lambda x: _divide(np.ones((), x.dtype)[()], x),
    x=lambda g, out: -g * (out * out),
    samples=lambda: [sample(positive(2, 3))],
)
reciprocal = publish(RECIPROCAL, inplace=True)


def _with_operand(row: Row, inputs: tuple[Any, ...], static: tuple[Any, ...]) -> Any:
    """What an operator does in all but the ordinary case."""
    self, other = inputs
    if not isinstance(other, Tensor):
        other = operand(other)
        if not isinstance(other, (Tensor, float, int)):
            return NotImplemented
    return apply_general(row, (self, other), static)


def _operator(name: str, row: Row, static: tuple[Any, ...], plain: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The method for an operator; `plain` is the row's forward for tensors of one float type."""
    return compiled_method(name, row, 2, static, _with_operand, plain)


def _inplace_operator(row: Row, static: tuple[Any, ...], write: Any) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        if updated(row, self, other, static, write):
            return self
        if not isinstance(other, Tensor):
            other = operand(other)
            if not isinstance(other, (Tensor, float, int)):
                return NotImplemented
        return apply_inplace(row, self, (other,), static)

    return call


@whole_called("div", numbers=True)
def _divided_into(self: Tensor, other: Any) -> Any:
    return apply(MUL, (apply(RECIPROCAL, (self,)), operand(other)))


def _raised(self: Tensor, other: Any) -> Any:
    return apply(POW_NUMBER, (self, other)) if type(other) in (int, float) else pow(self, other)


def _exponent_of(self: Tensor, other: Any) -> Any:
    return pow(operand(other), self)


def _subtracted_from(self: Tensor, other: Any) -> Any:
    return apply(RSUB, (self, operand(other)))


def _itself(self: Tensor) -> Tensor:
    return self


METHODS.update(
    __add__=_operator("__add__", ADD, (1,), operator.add),
    __radd__=_operator("__radd__", ADD, (1,), operator.add),
    __sub__=_operator("__sub__", SUB, (1,), operator.sub),
    __rsub__=_subtracted_from,
    __mul__=_operator("__mul__", MUL, (), operator.mul),
    __rmul__=_operator("__rmul__", MUL, (), operator.mul),
    __truediv__=_operator("__truediv__", DIV, (), operator.truediv),
    __rtruediv__=_divided_into,
    __pow__=_raised,
    __rpow__=_exponent_of,
    __neg__=neg,
    __pos__=_itself,
    __iadd__=_inplace_operator(ADD, (1,), np.add),
    __isub__=_inplace_operator(SUB, (1,), np.subtract),
    __imul__=_inplace_operator(MUL, (), np.multiply),
    __itruediv__=_inplace_operator(DIV, (), np.true_divide),
    __ipow__=pow_,
)
