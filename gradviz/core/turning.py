"""In-place views: `t_`, `squeeze_` and their like, which give a tensor another shape on the memory that it has.

No element moves, so nothing is written; but autograd counts it as a write, and PyTorch's names are those of writes. A
view that was cut of the tensor before is cut of what it was: its way begins with the way back.
"""

from __future__ import annotations

import sys
from typing import Any

from gradviz.core.aliasing import ReplayStep
from gradviz.core.apply import cause_of, connect, describe
from gradviz.core.composites import tell
from gradviz.core.grad_mode import current
from gradviz.core.inplace import check, check_counted, kept_by, replace
from gradviz.core.listeners import listeners
from gradviz.core.ops.table import Row
from gradviz.core.saving import node
from gradviz.core.tensor import Tensor
from gradviz.core.trace import ALIAS, INPLACE, Trace, Untracked
from gradviz.sites import user_frame


def apply_inplace_view(row: Row, target: Tensor, static: tuple[Any, ...], back: ReplayStep) -> Tensor:
    """Give `target` the shape that `row` gives its array, and return it.

    back: what makes the array as it was from the one that `row` gives.
    Raises RuntimeError, with PyTorch's texts, for a leaf that requires grad and for its views while grad mode is on.
    """
    region = current()
    tracks = region is None or region.tracks
    if tracks and target.requires_grad:
        check(target)
    check_counted(target, region)
    links, needs, leaves = connect((target,), tracks)
    array = target._array()
    turned = row.forward(array, *static)
    frame = user_frame(sys._getframe(1))
    tracked = tracks and needs[0]
    step: Trace = node(row, (target,), (array,), needs, leaves, turned) if tracked else Untracked()
    describe(step, row, links, needs, static, turned, region, frame)
    storage, view = target._storage, target._view
    if storage.version is not None:
        storage.version += 1
        storage.written = (step.id,)
    target._data = turned
    if view is not None:
        view.own = (*view.replay, (row.forward, static))
        view.version = storage.version
    elif storage.version is not None:
        storage.turned = (*getattr(storage, "turned", ()), (storage.version, back))
    step.flags |= ALIAS | INPLACE
    if isinstance(step, Untracked):
        cause_of(step, row, turned, region)
        step.flags |= kept_by(target)
    if listeners:
        tell(step, frame, turned)
    replace(target, step)
    return target
