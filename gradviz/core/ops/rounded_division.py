"""`div` and `div_` with a `rounding_mode`: quotients that are whole numbers, and have no slope."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.arithmetic import DIV
from gradviz.core.ops.samples import grid, integers, positive
from gradviz.core.ops.table import op, sample
from gradviz.core.public import FUNCTIONS, METHODS, both, first_tensor, method, operand
from gradviz.core.tensor import Tensor

_exactly = {"div": FUNCTIONS["div"], "div_": METHODS["div_"]}


def _rounded(x: Any, y: Any, rounding_mode: str | None) -> Any:
    if rounding_mode is None:
        return DIV.forward(x, y)
    kind = np.result_type(x, y).kind
    if kind != "f" and not np.all(y):
        raise RuntimeError("ZeroDivisionError")
    if rounding_mode == "trunc":
        # Of whole numbers in whole numbers: a quotient of floats would lose digits.
        return np.trunc(DIV.forward(x, y)) if kind == "f" else (x - np.fmod(x, y)) // y
    whole = np.floor_divide(x, y)
    return np.where(y == 0, DIV.forward(x, y), whole)[()] if kind == "f" and not np.all(y) else whole


DIV_ROUNDED = op(
    "div(x, y, *, rounding_mode)",
    _rounded,
    key="div.rounded",
    node="DivBackward2",
    promotes=True,
    x=lambda g, y, rounding_mode: g / y if rounding_mode is None else g * 0,
    y=lambda g, x, y, rounding_mode: -g * x / (y * y) if rounding_mode is None else g * 0,
    samples=lambda: [
        sample(grid(2, 3), positive(2, 3), rounding_mode="floor"),
        sample(grid(2, 3), positive(3), rounding_mode="trunc"),
        sample(grid(2, 3), 0.4, rounding_mode="floor"),
        sample(integers(4) - 2, integers(4) + 1, rounding_mode="trunc"),
        sample(integers(4) - 2, -2, rounding_mode="floor"),
    ],
)


def _mode(rounding_mode: str | None) -> tuple[str | None]:
    if rounding_mode not in (None, "trunc", "floor"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    return (rounding_mode,)


@both
def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """`input / other`, elementwise; `other` may be a number.

    rounding_mode: "trunc" rounds towards zero, "floor" down; integers stay integers then. Such a quotient hands zeros
    back as its gradient.
    """
    if rounding_mode is None:
        return _exactly["div"](input, other)  # type: ignore[no-any-return]
    return apply(DIV_ROUNDED, (first_tensor("div", input), operand(other)), _mode(rounding_mode))


@method
def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """In-place `div`."""
    if rounding_mode is None:
        return _exactly["div_"](self, other)  # type: ignore[no-any-return]
    return apply_inplace(DIV_ROUNDED, self, (operand(other),), _mode(rounding_mode))
