"""Floating-point numbers as they are kept: `frexp` takes them apart, `nextafter` gives the neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.apply import apply_several
from gradviz.core.dual import array_of
from gradviz.core.ops.elementwise import no_slope
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import op, sample
from gradviz.core.public import both, publish
from gradviz.core.tensor import Tensor

FREXP = op(
    "frexp(x)",
    np.frexp,
    x=lambda g, out1: g[0] * 2.0 ** -array_of(out1),
    nondifferentiable_outputs=(1,),
    samples=lambda: [sample(grid(2, 3)), sample(grid(4) * 100)],
)
NEXTAFTER = op(
    "nextafter(x, y)",
    np.nextafter,
    promotes=True,
    x=lambda g, x, y: np.where(x == y, 0, g),
    y=no_slope,
    samples=lambda: [sample(grid(2, 3), grid(2, 3) + 1, smooth=False)],
)
publish(NEXTAFTER, numbers=False)

_Parts = return_type("frexp", "mantissa", "exponent")


@both
def frexp(input: Any) -> tuple[Tensor, ...]:
    """A mantissa from 0.5 up to 1 and an exponent of 2, int32, whose product each number is."""
    if not isinstance(input, Tensor):
        raise TypeError(f"frexp(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not input.is_floating_point():
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return _Parts(apply_several(FREXP, (input,)))
