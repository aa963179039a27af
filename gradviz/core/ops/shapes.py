"""Dimensions and sizes as users give them (negative, -1 for "what is left", spread out or in a tuple), made plain.

The errors are PyTorch's, in type and words.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any


def wrap(dim: int, ndim: int) -> int:
    """`dim` counted from the front. A 0-d tensor takes 0 and -1. Raises IndexError outside the range."""
    if type(dim) is int and 0 <= dim < ndim:
        return dim
    limit = ndim or 1
    dim = operator.index(dim)
    if not -limit <= dim < limit:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})"
        )
    return dim % limit


def wrap_all(dims: Sequence[int], ndim: int) -> tuple[int, ...]:
    """Each of `dims` counted from the front. Raises RuntimeError where two of them are the same."""
    wrapped = tuple(wrap(dim, ndim) for dim in dims)
    for position, dim in enumerate(wrapped):
        if dim in wrapped[:position]:
            raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return wrapped


def spread(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """The integers of `f(2, 3)` and of `f((2, 3))` alike."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    return tuple(map(operator.index, given))


def filled_in(size: tuple[int, ...], count: int) -> tuple[int, ...]:
    """`size` with its -1 replaced, for a tensor of `count` elements. Raises RuntimeError where they do not fit."""
    if math.prod(size) == count and (not size or min(size) >= 0):
        return size
    known = 1
    unknown = None
    for position, length in enumerate(size):
        if length == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = position
        elif length < 0:
            raise RuntimeError(f"invalid shape dimension {length} at index {position} of shape {list(size)}")
        else:
            known *= length
    if unknown is None:
        if known != count:
            raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {count}")
        return size
    if known == 0 and count == 0:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified dimension size -1 "
            "can be any value and is ambiguous"
        )
    if known == 0 or count % known:
        raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {count}")
    return (*size[:unknown], count // known, *size[unknown + 1 :])


def expanded(size: tuple[int, ...], shape: tuple[int, ...], type_name: str = "FloatTensor") -> tuple[int, ...]:
    """`size` with its -1 replaced by the lengths of `shape`, which must broadcast to it. Raises RuntimeError."""
    extra = len(size) - len(shape)
    if extra < 0:
        raise RuntimeError(
            f"expand(torch.{type_name}{{{list(shape)}}}, size={list(size)}): the number of sizes provided "
            f"({len(size)}) must be greater or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    result = []
    for position, length in enumerate(size):
        if position < extra:
            if length < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({length}) isn't allowed in a leading, non-existing dimension "
                    f"{position}"
                )
            result.append(length)
            continue
        have = shape[position - extra]
        wanted = have if length == -1 else length
        if wanted != have and have != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({have}) at non-singleton "
                f"dimension {position}.  Target sizes: {list(size)}.  Tensor sizes: {list(shape)}"
            )
        result.append(wanted)
    return tuple(result)


def broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of two. Raises RuntimeError where they have none."""
    ndim = max(len(first), len(second))
    a = (1,) * (ndim - len(first)) + tuple(first)
    b = (1,) * (ndim - len(second)) + tuple(second)
    for dim in reversed(range(ndim)):
        if a[dim] != b[dim] and 1 not in (a[dim], b[dim]):
            raise RuntimeError(
                f"The size of tensor a ({a[dim]}) must match the size of tensor b ({b[dim]}) at non-singleton "
                f"dimension {dim}"
            )
    return tuple(have if have != 1 else other for have, other in zip(a, b, strict=True))


def numel(shape: Sequence[int]) -> int:
    """The number of elements in a tensor of this shape."""
    return math.prod(shape)


def refuse_shapes(error: ValueError, arrays: Sequence[Any]) -> None:
    """Raise PyTorch's RuntimeError where numpy could not broadcast the operands of an op."""
    if "broadcast" in str(error):
        common: tuple[int, ...] = ()
        for operand in arrays:
            common = broadcast(common, getattr(operand, "shape", ()))


class LinAlgError(RuntimeError):
    """A matrix for which there is no such thing: a singular one has no inverse."""
