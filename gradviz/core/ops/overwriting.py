"""In-place forms whose arguments need sorting out: running sums, comparisons, logic."""

from __future__ import annotations

from typing import Any

from gradviz.core import dtypes
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.comparison import EQ, GE, GT, LE, LT, NE
from gradviz.core.ops.cumulative import CUMPROD, CUMSUM
from gradviz.core.ops.distances import XLOGY
from gradviz.core.ops.elementwise import no_slope
from gradviz.core.ops.logic import LOGICAL_AND, LOGICAL_NOT, LOGICAL_OR, LOGICAL_XOR
from gradviz.core.ops.pairs import LDEXP
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op
from gradviz.core.public import METHODS, inplace_of, operand
from gradviz.core.tensor import Tensor

for _row in (XLOGY, LDEXP, LOGICAL_AND, LOGICAL_NOT, LOGICAL_OR, LOGICAL_XOR):
    METHODS[_row.name + "_"] = inplace_of(_row)


def _running(row: Row) -> None:
    def call(self: Tensor, dim: int, *, dtype: dtypes.dtype | None = None) -> Tensor:
        if dtype is not None and dtype is not self.dtype:
            own, other = (one.type_name.removesuffix("Tensor").lower() for one in (self.dtype, dtype))
            raise RuntimeError(
                f"Bad in-place call: input tensor dtype {own} and output tensor dtype {other} should match"
            )
        return apply_inplace(row, self, (), (wrap(dim, self.ndim), self.dtype))

    call.__name__ = call.__qualname__ = row.name + "_"
    call.__doc__ = f"In-place `{row.name}`."
    METHODS[call.__name__] = call


_running(CUMSUM)
_running(CUMPROD)


def _written(row: Row, kind: str, at: int, **more: Any) -> Row:
    """The row in place, for another operand of a kind, which PyTorch's node has a number for."""
    return op(
        row.signature,
        row.forward,
        key=f"{row.key}.{kind}_in_place",
        node=f"{row.name.capitalize()}Backward{at}",
        call=f"Tensor.{row.name}_",
        promotes=True,
        x=no_slope,
        **more,
    )


def _comparison(row: Row) -> None:
    """Write ones and zeros over a tensor; unlike a mask that is made anew, they have a gradient, which is zero."""
    number, tensor = _written(row, "number", 0), _written(row, "tensor", 1, y=no_slope)

    def call(self: Tensor, other: Any) -> Tensor:
        other = operand(other)
        return apply_inplace(tensor if isinstance(other, Tensor) else number, self, (other,))

    call.__name__ = call.__qualname__ = row.name + "_"
    call.__doc__ = f"In-place `{row.signature}`."
    METHODS[call.__name__] = call


for _row in (EQ, NE, LT, LE, GT, GE):
    _comparison(_row)
for _second, _first in (("greater", "gt"), ("greater_equal", "ge"), ("less", "lt"), ("less_equal", "le")):
    METHODS[f"{_second}_"] = METHODS[f"{_first}_"]
METHODS["not_equal_"] = METHODS["ne_"]
