"""Products: `kron`, `cross`, `tensordot`, `bilinear`, powers in `vander`, and older names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import called, composite, whole
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.shaping import UNSAFE_VIEW
from gradviz.core.ops.table import Row, op
from gradviz.core.public import FUNCTIONS, METHODS, both, function, functional
from gradviz.core.tensor import Tensor


@both
@whole
def kron(input: Any, other: Any) -> Tensor:
    """Each element of `input` times the whole of `other`."""
    ndim = max(input.ndim, other.ndim)
    first = (1,) * (ndim - input.ndim) + tuple(input.shape)
    second = (1,) * (ndim - other.ndim) + tuple(other.shape)
    left = input.reshape([part for length in first for part in (length, 1)])
    right = other.reshape([part for length in second for part in (1, length)])
    size = tuple(one * two for one, two in zip(first, second, strict=True))
    return apply(UNSAFE_VIEW, (left * right,), (size,))


@both
@whole
def cross(input: Any, other: Any, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of length 3."""
    if dim is None:
        dim = next((at for at, length in enumerate(input.shape) if length == 3), -1)
    axis = wrap(dim, input.ndim)
    if input.shape[axis] != 3 or other.shape[wrap(dim, other.ndim)] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[axis]} and "
            f"{other.shape[wrap(dim, other.ndim)]}"
        )
    result: Tensor = input.roll(-1, axis) * other.roll(-2, axis) - input.roll(-2, axis) * other.roll(-1, axis)
    return result


@function
@whole
def tensordot(a: Any, b: Any, dims: Any = 2) -> Tensor:
    """The sum of products over the last `dims` dimensions of `a` and the first of `b`, or over two lists of them."""
    if isinstance(dims, int):
        first, second = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        first, second = ([wrap(dim, one.ndim) for dim in given] for one, given in zip((a, b), dims, strict=True))
    left = [at for at in range(a.ndim) if at not in first]
    right = [at for at in range(b.ndim) if at not in second]
    shape = [a.shape[at] for at in left] + [b.shape[at] for at in right]
    inner = math.prod(a.shape[at] for at in first)
    rows = a.permute(left + first).reshape(-1 if inner else 0, inner)
    columns = b.permute(second + right).reshape(inner, -1 if inner else 0)
    result: Tensor = rows.mm(columns).reshape(shape)
    return result


@function
@composite
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element, from N - 1 down to 0, or from 0 up."""
    count = len(x) if N is None else N
    powers = FUNCTIONS["stack"]([x**power for power in range(count)], 1)
    result: Tensor = powers if increasing else powers.flip(1)
    return result


for _name in ("ger", "vdot"):
    FUNCTIONS[_name] = METHODS[_name] = called(_name)(FUNCTIONS["outer" if _name == "ger" else "dot"])


# ---- of two vectors and a matrix between them


def _between(x: Any, weight: Any, y: Any) -> Any:
    return ((x @ weight) * y).sum(-1).T


def _columns(g: Any) -> Any:
    """The cotangents of each output, as a column beside the rows of an input."""
    return g.T[..., None]


TRILINEAR: Row = op(
    "_trilinear(x, weight, y)",
    _between,
    node="TrilinearBackward0",
    x=lambda g, weight, y: (_columns(g) * (y @ np.swapaxes(weight, -1, -2))).sum(0),
    weight=lambda g, x, y: np.swapaxes(_columns(g) * x, -1, -2) @ y,
    y=lambda g, x, weight: (_columns(g) * (x @ weight)).sum(0),
)


@functional
@whole
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """For each output k, `input1 @ weight[k] @ input2 + bias[k]`.

    input1 (..., n), input2 (..., m), weight (k, n, m), bias (k,). Returns (..., k).
    """
    lead = input1.shape[:-1]
    for at, (one, two) in enumerate(zip(lead, input2.shape[:-1], strict=True)):
        if one != two:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {at}: got {one} and {two}")
    for number, one in ((1, input1), (2, input2)):
        if one.shape[-1] != weight.shape[number]:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got {one.shape[-1]} but expected "
                f"{weight.shape[number]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    rows, columns = (one.reshape(-1, one.shape[-1]) if one.ndim != 2 else one for one in (input1, input2))
    found = apply(TRILINEAR, (rows, weight, columns)).view(*lead, weight.shape[0])
    return found if bias is None else found.add(bias)  # type: ignore[no-any-return]


FUNCTIONS["bilinear"] = bilinear
