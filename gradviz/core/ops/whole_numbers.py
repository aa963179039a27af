"""Functions of whole numbers: `gcd`, `lcm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.samples import integers
from gradviz.core.ops.table import op, sample
from gradviz.core.public import publish


def _whole(name: str, ufunc: Any) -> None:
    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind not in "iu":
            kind = dtypes.of(x).type_name.removesuffix("Tensor")
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{kind}'")
        return ufunc(x, y)

    row = op(
        f"{name}(x, y)",
        forward,
        promotes=True,
        samples=lambda: [
            sample(integers(6, high=9) * 2, integers(6) + 2),
            sample(-integers(2, 3) * 4, integers(3) * 6),
        ],
    )
    publish(row, inplace=True, numbers=False)


_whole("gcd", np.gcd)
_whole("lcm", np.lcm)
