"""Run a row on whatever is at hand: plain arrays give an array, and a Tensor among them gives a recorded Tensor.

A VJP that calls other rows this way works on the arrays of a plain backward and, for higher derivatives, on Tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradviz.core.apply import apply
from gradviz.core.ops.table import Row
from gradviz.core.tensor import Tensor


def run_row(row: Row, inputs: Sequence[Any], static: tuple[Any, ...] = ()) -> Any:
    """`row.forward` of arrays; `apply` where any input is a Tensor."""
    if any(isinstance(one, Tensor) for one in inputs):
        return apply(row, inputs, static)
    return row.forward(*inputs, *static)
