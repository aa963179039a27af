"""Differences of neighbours, and sums that undo them: `diff`, `gradient`, `trapezoid`; `dist`."""

from __future__ import annotations

from typing import Any

from gradviz.core.composites import called, composite
from gradviz.core.ops.shapes import wrap
from gradviz.core.public import FUNCTIONS, both, function
from gradviz.core.tensor import Tensor


@both
@composite
def diff(input: Any, n: int = 1, dim: int = -1) -> Tensor:
    """Each element less the one before it, `n` times."""
    axis = wrap(dim, input.ndim)
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    for _ in range(n):
        length = max(input.shape[axis] - 1, 0)
        input = input.narrow(axis, min(1, input.shape[axis]), length) - input.narrow(axis, 0, length)
    result: Tensor = input
    return result


@function
@composite
def gradient(
    input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The slope along each dimension, from the neighbours on both sides, and at the ends from one.

    spacing: how far apart elements are: a number, or one for each dimension.
    """
    if edge_order != 1:
        raise RuntimeError("torch.gradient only supports edge_order=1")
    axes = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    steps = spacing if isinstance(spacing, (tuple, list)) else [spacing] * len(axes)
    found = []
    for given, step in zip(axes, steps, strict=True):
        axis = wrap(given, input.ndim)
        length = input.shape[axis]
        inside = (input.narrow(axis, 2, length - 2) - input.narrow(axis, 0, length - 2)) / (2 * step)
        first = (input.narrow(axis, 1, 1) - input.narrow(axis, 0, 1)) / step
        last = (input.narrow(axis, length - 1, 1) - input.narrow(axis, length - 2, 1)) / step
        found.append(FUNCTIONS["cat"]([first, inside, last], axis))
    return tuple(found)


def _widths(x: Any, axis: int, ndim: int) -> Any:
    """Distances of neighbours, so that they broadcast along a dimension."""
    if x.ndim == 1 and ndim > 1:
        return x.diff().reshape(-1, *[1] * (ndim - axis - 1))
    return x.diff(dim=axis)


def _trapezoids(y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    axis = wrap(dim, y.ndim)
    length = y.shape[axis]
    both_ends = y.narrow(axis, 1, length - 1) + y.narrow(axis, 0, length - 1)
    return (both_ends * _widths(x, axis, y.ndim) if x is not None else both_ends * dx) / 2, axis


@function
@composite
def trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integral along `dim` by the trapezoidal rule, for points at `x`, or `dx` apart."""
    areas, axis = _trapezoids(y, x, dx, dim)
    result: Tensor = areas.sum(axis)
    return result


FUNCTIONS["trapz"] = called("trapz")(trapezoid)


@function
@composite
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """`trapezoid` from the first element to each of the others."""
    areas, axis = _trapezoids(y, x, dx, dim)
    result: Tensor = areas.cumsum(axis)
    return result


@both
@composite
def dist(input: Any, other: Any, p: float = 2) -> Tensor:
    """The p-norm of `input - other`."""
    result: Tensor = (input - other).norm(p)
    return result
