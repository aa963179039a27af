"""Run one op of the table: compute its result, and remember what ran.

The forward is called on plain arrays. If an input requires grad and grad mode is on, the result gets a Node with the
arrays that the row's VJPs read; otherwise a Trace, which holds no array.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from gradviz.core.aliasing import Made, ReplayStep, View, nth
from gradviz.core.composites import tell, untold
from gradviz.core.dtypes import promoted
from gradviz.core.grad_mode import Region, current
from gradviz.core.listeners import listeners
from gradviz.core.ops.shapes import refuse_shapes
from gradviz.core.ops.table import TABLE, Row
from gradviz.core.tensor import Tensor
from gradviz.core.trace import (
    ALIAS,
    INNER,
    LEAF_GRAD,
    Faint,
    Link,
    Node,
    Storage,
    Trace,
    bound,
)
from gradviz.events import Cause
from gradviz.ids import next_id, next_ids
from gradviz.sites import user_frame

_CAUSE_OF_REGION = {
    "backward": Cause.NO_GRAD,
    "no_grad": Cause.NO_GRAD,
    "inference_mode": Cause.INFERENCE_MODE,
    "set_grad_enabled": Cause.SET_GRAD_ENABLED,
}


def apply(row: Row, inputs: Sequence[Any], static: tuple[Any, ...] = ()) -> Tensor:
    """Run a row of one output on tensors and Python numbers."""
    result: Tensor = _run(row, inputs, static)
    return result


def apply_several(row: Row, inputs: Sequence[Any], static: tuple[Any, ...] = ()) -> tuple[Tensor, ...]:
    """Run a row whose forward gives a tuple."""
    results: tuple[Tensor, ...] = _run(row, inputs, static)
    return results


def _run(row: Row, inputs: Sequence[Any], static: tuple[Any, ...]) -> Any:
    arrays = [operand._data if isinstance(operand, Tensor) else operand for operand in inputs]
    if row.promotes:
        arrays = promoted(arrays)
    if row.view:
        arrays[0] = inputs[0]._array()
    try:
        out = row.forward(*arrays, *static)
    except ValueError as error:
        refuse_shapes(error, arrays)
        raise
    return remember(row, inputs, arrays, static, out)


def remember(row: Row, inputs: Sequence[Any], arrays: Sequence[Any], static: tuple[Any, ...], out: Any) -> Any:
    """Wrap what `row.forward` gave, and record the op behind it."""
    region = current()
    tracks = region is None or region.tracks
    links, needs, leaves = connect(inputs, tracks and row.differentiable)
    several = type(out) is tuple
    first = (out[0] if out else None) if several else out
    tracked = (
        True in needs
        and row.differentiable
        and tracks
        and (first is None or first.dtype.kind == "f")
        and any(need and formula is not None for need, formula in zip(needs, row.formulas_of(len(needs)), strict=True))
    )
    frame = user_frame(sys._getframe(1))
    step: Trace = node(row, inputs, arrays, needs, leaves, out) if tracked else Trace()
    describe(step, row, links, needs, static, first, region, frame, out[1:] if several else ())
    if not tracked:
        cause_of(step, row, first, region)
    if several:
        result: Any = tuple(
            wrap(array, step, number, tracked and number not in row.nondifferentiable_outputs)
            for number, array in enumerate(out)
        )
        if row.view:
            for number, view in enumerate(result):
                share(view, inputs[0], row, (nth, (row.forward, static, number)), region)
    else:
        result = wrap(out, step, 0, tracked)
        if isinstance(step, Node):
            mark_result(step, row, result._storage)
        if row.view:
            share(result, inputs[0], row, (row.forward, static), region)
    if listeners:
        tell(step, frame, out)
    return result


def connect(
    inputs: Sequence[Any], strict: bool = True
) -> tuple[tuple[Link, ...], tuple[bool, ...], tuple[Tensor | None, ...] | None]:
    """For each input where it came from, whether it requires grad, and the leaf that it is.

    strict: raise RuntimeError, in PyTorch's words, for a view whose origin is not known any more: one made under
    `no_grad` or by `split` and its like, whose memory was written since.
    """
    links: list[Link] = []
    needs: list[bool] = []
    leaves: list[Tensor | None] = []
    for operand in inputs:
        leaf = None
        if isinstance(operand, Tensor):
            view = operand._view
            if view is not None and view.version != operand._storage.version:
                operand._refresh(strict)
            origin = operand._origin
            links.append((origin, operand._number) if operand._number else origin)
            if operand._requires_grad:
                needs.append(True)
                if not origin.tracked:
                    leaf = operand
            else:
                needs.append(view is not None and view.base._requires_grad)
        else:
            links.append(operand)
            needs.append(False)
        leaves.append(leaf)
    return tuple(links), tuple(needs), (tuple(leaves) if any(leaf is not None for leaf in leaves) else None)


def node(
    row: Row,
    inputs: Sequence[Any],
    arrays: Sequence[Any],
    needs: tuple[bool, ...],
    leaves: tuple[Tensor | None, ...] | None,
    out: Any,
) -> Node:
    """A node of the row's type that keeps what the needed VJPs read, each with the version it must still have.

    A view that was made under `no_grad` requires grad and leads nowhere. As in PyTorch, nothing is kept for it alone,
    unless the row has but one VJP.
    """
    step = row.node_class()
    step.leaves = leaves
    step.hooks = None
    if not row.saved_names:
        step.saved = step.marks = ()
        return step
    wanted: set[str] = set()
    several = len(row.vjps) > 1
    for source, need, names in zip(inputs, needs, row.reads_of(len(needs)), strict=True):
        if need and not (several and isinstance(source, Tensor) and not source._requires_grad):
            wanted |= names
    saved: list[Any] = []
    marks: list[Any] = []
    for name in row.saved_names:
        kept: Any = None
        mark: Any = None
        if name in wanted:
            if name == "out":
                kept = out
            elif name == "out1":
                kept = out[1]
            else:
                position = row.inputs.index(name)
                if row.variadic and position == len(row.inputs) - 1:
                    kept = tuple(arrays[position:])
                    mark = tuple(map(mark_of, inputs[position:]))
                elif position < len(inputs):
                    kept = arrays[position]
                    mark = mark_of(inputs[position])
        saved.append(kept)
        marks.append(mark)
    step.saved = tuple(saved)
    step.marks = tuple(marks)
    return step


def mark_of(source: Any) -> tuple[Storage, int] | None:
    """The storage of a tensor that is being saved, and its version; None for a plain number."""
    if not isinstance(source, Tensor):
        return None
    storage = source._storage
    if storage.version is None:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use "
            "it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )
    return storage, storage.version


def mark_result(step: Node, row: Row, storage: Storage) -> None:
    """Note the version at which a node that saved its own result must still find it."""
    if row.saved_names and row.saved_names[-1] == "out" and step.saved[-1] is not None:
        step.marks = (*step.marks[:-1], (storage, storage.version))


def describe(
    step: Trace,
    row: Row,
    links: tuple[Link, ...],
    needs: tuple[bool, ...],
    static: tuple[Any, ...],
    first: Any,
    region: Region | None,
    frame: FrameType,
    others: tuple[Any, ...] = (),
) -> None:
    """Fill in what every record has. `first` is the array of the first output, `others` those that follow it."""
    step.id = next_ids(1 + len(others)) if others else next_id()
    step.row = row
    step.links = links
    step.needs = needs
    step.static = static
    step.cause = None
    step.code = frame.f_code
    step.lasti = frame.f_lasti
    step.region = region
    if first is None:
        step.shape, step.array_type = (), None
    else:
        step.shape, step.array_type = first.shape, first.dtype
    step.more = tuple((array.shape, array.dtype) for array in others) if others else ()
    step.forgotten = 0
    step.flags = (ALIAS if row.view else 0) | (0 if untold() is None else INNER)


def cause_of(step: Trace, row: Row, first: Any, region: Region | None) -> None:
    """Say why an untracked op was not tracked, loosen its hold on tracked inputs, and bound the history behind it."""
    if True in step.needs:
        if row.cause is not None:
            step.cause = row.cause
        elif region is not None and not region.tracks:
            step.cause = Cause.INFERENCE_MODE if region.enabled else _CAUSE_OF_REGION[region.kind]
        elif first is not None and first.dtype.kind in "iu":
            step.cause = Cause.INTEGER
        else:
            step.cause = Cause.NONDIFFERENTIABLE
        step.links = tuple(faint(link) for link in step.links)
    bound(step)


def faint(link: Link) -> Link:
    """The same link, but without keeping a Node alive."""
    if isinstance(link, Node):
        return Faint(link)
    if type(link) is tuple and isinstance(link[0], Node):
        return Faint(link[0]), link[1]
    return link


def wrap(data: Any, origin: Trace, number: int, requires_grad: bool) -> Tensor:
    """A new tensor on memory of its own."""
    tensor = Tensor.__new__(Tensor)
    tensor._data = data
    tensor._origin = origin
    tensor._number = number
    tensor._requires_grad = requires_grad
    tensor._grad = None
    tensor._view = None
    tensor._extras = None
    storage = tensor._storage = Storage()
    if origin.region is not None and origin.region.inference:
        storage.version = None
    return tensor


def share(view: Tensor, source: Tensor, row: Row, step: ReplayStep, region: Region | None) -> None:
    """Make `view` a view of `source`: one storage, and the way back to the base."""
    if row.cause is Cause.DATA:
        view._storage.version = None if source._storage.version is None else 0
        return
    view._storage = source._storage
    if row.cause is not None or source._storage.version is None:
        return
    outer = source._view
    if region is not None and not region.tracks:
        made = Made.INFERENCE if region.inference else Made.NO_GRAD
    elif row.several:
        made = Made.SEVERAL
    else:
        made = Made.TRACKED if outer is None else outer.made
    version = source._storage.version
    if outer is None:
        view._view = View(source, (step,), version, made)
    else:
        view._view = View(outer.base, (*outer.replay, step), version, made)
    if not view._requires_grad and view._view.base._requires_grad:
        view._origin.flags |= LEAF_GRAD


def leaf(
    data: Any, name: str, requires_grad: bool, cls: type[Tensor] = Tensor, *, inner: bool = False
) -> Tensor:
    """A new leaf around an array (not copied); `name` is the key of the source row that made it.

    inner: it is not what the user's assignment names.
    """
    if requires_grad and data.dtype.kind != "f":
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    frame = user_frame(sys._getframe(1))
    step = Trace()
    describe(step, TABLE[name], (), (), (), data, current(), frame)
    step.behind = 0
    step.oldest = step.id
    if requires_grad:
        step.flags |= LEAF_GRAD
    if inner:
        step.flags |= INNER
    tensor = wrap(data, step, 0, requires_grad)
    if cls is not Tensor:
        tensor.__class__ = cls
    if listeners:
        tell(step, frame, data)
    return tensor
