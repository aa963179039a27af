"""`histogram`: how many elements lie between edges, or how dense they are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.ops.refusals import NOT_IMPLEMENTED, no_derivative
from gradviz.core.ops.return_types import return_type
from gradviz.core.ops.samples import grid, positive
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, first_tensor
from gradviz.core.tensor import Tensor

_Result = return_type("histogram", "hist", "bin_edges")


def _counted(x: Any, bins: Any, weight: Any, count: int, range: Any, density: bool) -> Any:
    """How much lies between edges, and these: `bins`, or `count` equal steps of a range."""
    if x.dtype.char not in "fd":
        name = "histogram" if bins is not None else "histogramdd_linear_kernel"
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"{name}\" not implemented for '{kind}'")
    values = x.reshape(-1)
    if bins is not None:
        edges = np.array(bins)
    else:
        low, high = range or ((values.min(), values.max()) if values.size else (0.0, 0.0))
        if low == high and range is None:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, count + 1, dtype=x.dtype)
    weights = np.ones_like(values) if weight is None else weight.reshape(-1)
    places = np.searchsorted(edges, values, "right") - 1
    places = np.where(values == edges[-1], len(edges) - 2, places)
    kept = (places >= 0) & (places < len(edges) - 1)
    found = np.bincount(places[kept], weights[kept], len(edges) - 1)
    if density:
        found = found / (np.diff(edges) * found.sum())
    return found.astype(x.dtype), edges


HISTOGRAM: Row = op(
    "histogram(x, bins, weight, *, count=0, range=None, density=False)",
    _counted,
    node=NOT_IMPLEMENTED,
    x=no_derivative("histogram"),
    bins=no_derivative("histogram"),
    weight=no_derivative("histogram"),
    samples=lambda: [
        sample(grid(9), 4),
        sample(grid(2, 9), 5, range=(-1.0, 1.0)),
        sample(grid(9), 3, weight=positive(9), density=True),
        sample(grid(9), np.array([-1.0, 0.25, 1.5])),
    ],
)


@both
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """How many elements lie in each of `bins` steps, or between edges that are given: (hist, bin_edges).

    range: where the steps begin and end, by default at the elements' own ends. weight: how much each counts. density:
    so that the whole has the area 1.
    """
    given = bins if isinstance(bins, Tensor) else None
    if given is None and bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    for name, other in (("bins", given), ("weight", weight)):
        if other is not None and other.dtype is not input.dtype:
            kinds = [one.dtype.type_name.removesuffix("Tensor").lower() for one in (input, other)]
            raise RuntimeError(
                f"torch.histogram(): input tensor and {name} tensors should have the same dtype, but got input with "
                f"dtype {kinds[0]} and {name} with dtype {kinds[1]}"
            )
    if given is not None and (given.ndim != 1 or not given.numel()):
        raise RuntimeError("torch.histogram(): bins tensor should have one dimension and some elements")
    if weight is not None and tuple(weight.shape) != tuple(input.shape):
        raise RuntimeError(
            "torch.histogram(): if weight tensor is provided it should have the same shape as the input tensor "
            "excluding its innermost dimension"
        )
    limits = None if range is None else tuple(range)
    count = 0 if given is not None else int(bins)
    return _Result(apply(HISTOGRAM, (first_tensor("histogram", input), given, weight), (count, limits, density)))
