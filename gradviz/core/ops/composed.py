"""Functions that are others put together: `tensor_split`, `rot90`, `var_mean`, `cross`, `kron`, `diff`, ..."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.composites import composite
from gradviz.core.ops.shapes import wrap
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, both, function
from gradviz.core.tensor import Tensor

# ---- shapes


@both
@composite
def fliplr(input: Any) -> Tensor:
    """The columns in reverse."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    result: Tensor = input.flip((1,))
    return result


@both
@composite
def flipud(input: Any) -> Tensor:
    """The rows in reverse."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    result: Tensor = input.flip((0,))
    return result


@both
@composite
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned `k` times by a quarter, from the first of `dims` towards the second."""
    first, second = (wrap(dim, input.ndim) for dim in dims)
    turns = k % 4
    if turns == 1:
        result: Tensor = input.flip((second,)).transpose(first, second)
    elif turns == 2:
        result = input.flip((first, second))
    elif turns == 3:
        result = input.flip((first,)).transpose(first, second)
    else:
        result = input.clone()
    return result


@both
@composite
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of nearly equal length, or between the given indices, along `dim`."""
    axis = wrap(dim, input.ndim)
    length = input.shape[axis]
    if isinstance(indices_or_sections, int):
        parts = indices_or_sections
        if parts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {parts}")
        each, more = divmod(length, parts)
        sizes = [each + (at < more) for at in range(parts)]
        starts = [sum(sizes[:at]) for at in range(parts)]
        return tuple(input.narrow(axis, start, size) for start, size in zip(starts, sizes, strict=True))
    edges = [0, *indices_or_sections, length]
    marks = [slice(start, stop).indices(length) for start, stop in itertools.pairwise(edges)]
    return tuple(input.narrow(axis, start, max(stop - start, 0)) for start, stop, _ in marks)


@both
@composite
def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Tensor:
    """Each element `repeats` times in a row, along `dim` or in the flattened tensor."""
    if dim is None:
        input, dim = input.flatten(), 0
    axis = wrap(dim, input.ndim)
    counts = np.asarray(repeats._data if isinstance(repeats, Tensor) else repeats)
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    if counts.ndim and counts.size not in (1, input.shape[axis]):
        raise RuntimeError("repeats must have the same size as input along dim")
    index = np.repeat(np.arange(input.shape[axis]), counts)
    result: Tensor = input.index_select(axis, FUNCTIONS["from_numpy"](index))
    return result


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


@both
@composite
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """`gather` with an index that is broadcast."""
    if dim is None:
        result: Tensor = input.view(-1).gather(0, indices.view(-1))
        return result
    axis = wrap(dim, input.ndim)
    shape = np.broadcast_shapes(
        *(tuple(1 if at == axis else length for at, length in enumerate(one.shape)) for one in (input, indices))
    )
    wide = (*shape[:axis], indices.shape[axis], *shape[axis + 1 :])
    whole = (*shape[:axis], input.shape[axis], *shape[axis + 1 :])
    taken: Tensor = input.broadcast_to(whole).gather(axis, indices.broadcast_to(wide))
    return taken


# ---- reductions


@function
@composite
def var_mean(input: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    over = {} if dim is None else {"dim": dim, "keepdim": keepdim}
    return input.var(dim=dim, correction=correction, keepdim=keepdim), input.mean(**over)


@function
@composite
def std_mean(input: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""
    over = {} if dim is None else {"dim": dim, "keepdim": keepdim}
    return input.std(dim=dim, correction=correction, keepdim=keepdim), input.mean(**over)


@both
@composite
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest element."""
    over = () if dim is None else dim
    return input.amin(over, keepdim), input.amax(over, keepdim)


@both
@composite
def nansum(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum of what is not NaN."""
    kept = input.masked_fill(input.isnan(), 0.0) if input.is_floating_point() else input
    result: Tensor = kept.sum() if dim is None else kept.sum(dim, keepdim)
    return result


@both
@composite
def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The mean of what is not NaN."""
    there = ~input.isnan()
    count = there.sum() if dim is None else there.sum(dim, keepdim)
    result: Tensor = nansum(input, dim, keepdim) / count
    return result


@both
@composite
def dist(input: Any, other: Any, p: float = 2) -> Tensor:
    """The p-norm of `input - other`."""
    result: Tensor = (input - other).norm(p)
    return result


# ---- products


@both
@composite
def kron(input: Any, other: Any) -> Tensor:
    """Each element of `input` times the whole of `other`."""
    ndim = max(input.ndim, other.ndim)
    first = (1,) * (ndim - input.ndim) + tuple(input.shape)
    second = (1,) * (ndim - other.ndim) + tuple(other.shape)
    left = input.reshape([part for length in first for part in (length, 1)])
    right = other.reshape([part for length in second for part in (1, length)])
    result: Tensor = (left * right).reshape([one * two for one, two in zip(first, second, strict=True)])
    return result


@both
@composite
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
@composite
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


for _name in ("sigmoid", "tanh", "softmax", "log_softmax", "relu"):
    FUNCTIONAL.setdefault(_name, FUNCTIONS[_name])
