"""Which value a tensor is at present: the op that made it so, as which of its outputs, and the value's id."""

from __future__ import annotations

import sys

from gradviz.core.tensor import Tensor
from gradviz.core.trace import HOOKED, Trace, seen


def value_id(tensor: Tensor) -> int:
    """The id of the value that a tensor is at present."""
    tensor._refresh(strict=False)
    return raw_value_id(tensor)


def raw_value_id(tensor: Tensor) -> int:
    """The same for a tensor whose origin is right, or that is not to be brought up to date."""
    origin, number = made_by(tensor)
    return origin.id + number


def made_by(tensor: Tensor) -> tuple[Trace, int]:
    """The op that made a tensor what it is at present, and the output number."""
    origin = tensor._origin
    if not origin.flags & HOOKED:  # so nothing wrote to it unseen by autograd
        return origin, tensor._number
    seen_origin, number = seen((origin, tensor._number), sys.maxsize)
    assert seen_origin is not None
    return seen_origin, number
