"""The shortest way to write in place what autograd does not track: `p -= 0.1 * p.grad` under `no_grad`.

It does what `inplace.apply_inplace` does, for the ordinary case only: two tensors of one float type and one shape, or a
tensor and a number, each with memory of its own. All that may raise is left to the general definition.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.composites import finish
from gradviz.core.grad_mode import current
from gradviz.core.listeners import attended
from gradviz.core.ops.table import Row
from gradviz.core.tensor import Tensor
from gradviz.core.trace import ALIAS, HISTORY_LIMIT, INPLACE, LEAF_GRAD, PART, Untracked
from gradviz.ids import next_id
from gradviz.sites import user_frame

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def updated(row: Row, target: Tensor, other: Any, static: tuple[Any, ...], write: Callable[..., Any]) -> bool:
    """Write `write(target, other)` into target, as called by the caller's caller; False where that is not to be done.

    write: the ufunc that does what the row does with these static arguments.
    """
    memory, before = target._data, target._origin
    array: Any
    link: Any
    if type(memory) is not np.ndarray or type(before) is not Untracked or target._view is not None or target._number:
        return False
    kind = before.array_type
    needs = target._requires_grad
    if type(other) is Tensor:
        array, link = other._data, other._origin
        if (
            type(link) is not Untracked
            or other._view is not None
            or other._number
            or link.array_type is not kind
            or array.shape != memory.shape
            or type(array) is not np.ndarray
            or (array.base is not None and array is not memory)
            or memory.base is not None
        ):
            return False
        past, need = before.past + link.past, other._requires_grad
    elif type(other) is float or type(other) is int:
        array = link = other
        past, need = before.past, False
    else:
        return False
    region = current()
    storage = target._memory or target._storage
    if (
        past >= HISTORY_LIMIT
        or kind not in _FLOATS
        or ((needs or need) and (region is None or region.tracks))
        or storage.version is None
        or (region is not None and region.inference)
    ):
        return False
    write(memory, array, out=memory)
    storage.version += 1
    frame = user_frame(sys._getframe(2))
    step = Untracked()
    step.id = number = oldest = next_id()
    step.row, step.static, step.link0, step.link1, step.needs = row, static, before, link, (needs, need)
    step.shape, step.array_type = before.shape, kind
    step.code, step.lasti = frame.f_code, frame.f_lasti
    step.rare, step.region = None, region
    step.cause = region.cause if region is not None and (needs or need) else None
    step.flags = ALIAS | INPLACE | (before.flags & PART) | (LEAF_GRAD if needs else 0)
    if past:
        if before.past and before.oldest < oldest:
            oldest = before.oldest
        if type(link) is Untracked and link.past and link.oldest < oldest:
            oldest = link.oldest
    step.past, step.oldest = min(past, number - oldest) + 1, oldest
    storage.written = (number,)
    if attended:
        finish(step, frame, memory)
    target._origin, target._number = step, 0
    return True
