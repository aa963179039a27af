"""Run one op of the table: compute its result, and remember what ran.

The forward is called on plain arrays. If an input requires grad and grad mode is on, the result gets a Node with the
arrays that the row's VJPs read; otherwise a Trace, which holds no array.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from gradviz.core.aliasing import Made, ReplayStep, View, nth
from gradviz.core.compiling import can_run, compiled, source_of_run
from gradviz.core.composites import finish, tell, untold
from gradviz.core.dtypes import promoted
from gradviz.core.fields import ALONE, MANY
from gradviz.core.grad_mode import Region, current
from gradviz.core.history import bound
from gradviz.core.listeners import attended, listeners
from gradviz.core.ops.shapes import refuse_shapes
from gradviz.core.ops.table import TABLE, Row
from gradviz.core.pullback import pull_of
from gradviz.core.saving import LINKED, mark_of, mark_result, node
from gradviz.core.tensor import Tensor
from gradviz.core.trace import (
    ALIAS,
    FRESH,
    GENERAL,
    HISTORY_LIMIT,
    INNER,
    LEAF_GRAD,
    NUMBERS,
    PAIRED,
    SEVERAL,
    SHAPE_LIMIT,
    SHAPES,
    Faint,
    Link,
    Node,
    Plain,
    Storage,
    Trace,
    Untracked,
    faint,
)
from gradviz.events import Cause
from gradviz.ids import counter, next_id, next_ids
from gradviz.sites import user_files, user_frame

_NAMES = {
    "ALIAS": ALIAS,
    "ALONE": ALONE,
    "AnyNode": Node,
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "FRESH": FRESH,
    "Faint": Faint,
    "INTEGER": Cause.INTEGER,
    "LEAF_GRAD": LEAF_GRAD,
    "LIMIT": HISTORY_LIMIT,
    "LINKED": LINKED,
    "MANY": MANY,
    "NONDIFFERENTIABLE": Cause.NONDIFFERENTIABLE,
    "NO_GRAD": Made.NO_GRAD,
    "NUMBERS": NUMBERS,
    "OFFSETS": tuple(range(4096)),  # so that records share what Python makes anew each time
    "PAIRED": PAIRED,
    "SEVERAL": SEVERAL,
    "SEVERAL_VIEWS": Made.SEVERAL,
    "Storage": Storage,
    "TRACKED": Made.TRACKED,
    "Tensor": Tensor,
    "Untracked": Untracked,
    "View": View,
    "__name__": __name__,
    "attended": attended,
    "current": current,
    "finish": finish,
    "float32": np.float32,
    "getframe": sys._getframe,
    "ids": counter,  # `next` of it takes less time than `next_id`
    "here": [None],  # the code that ran the last op, where it is the user's
    "ndarray": np.ndarray,
    "next_ids": next_ids,
    "nth": nth,
    "one_shape": SHAPES.setdefault,
    "refuse_shapes": refuse_shapes,
    "user_files": user_files,
    "user_frame": user_frame,
}
"""What compiled code reads, apart from the functions of this module."""


def apply(row: Row, inputs: Sequence[Any], static: tuple[Any, ...] = ()) -> Tensor:
    """Run a row of one output on tensors and Python numbers."""
    run = row.runs.get(len(inputs)) or runner(row, len(inputs))
    result: Tensor = run(*inputs, *static)
    return result


def runner(row: Row, count: int) -> Callable[..., Any]:
    """The function that runs `row` with `count` inputs: compiled, where that can be."""
    known = row.runs.get(count)
    if known is None:
        if can_run(row, count):
            plain = getattr(row.forward, "plain", None)
            known = specialised(row, count, plain or row.forward, row.promotes or plain is not None, depth=2)
        else:
            known = _unrolled(row, count)
        row.runs[count] = known
    return known


def specialised(
    row: Row,
    count: int,
    forward: Callable[..., Any],
    floats: bool,
    static: tuple[Any, ...] | None = None,
    general: Callable[..., Any] | None = None,
    spare: Callable[..., Any] | None = None,
    unless: str = "",
    depth: int = 1,
) -> Callable[..., Any]:
    """Compile what runs `row`; see `source_of_run`.

    forward: does what the row's does for the static arguments, or the row's own.
    static: the static arguments, where the function is not to take any.
    general: called with row, inputs and static arguments in all but the ordinary case.
    spare: called where there are arguments beyond the inputs.
    unless: says of which arrays the case is not the ordinary one; they must be tensors' then.
    """
    if row.pull is None and row.differentiable:
        row.pull = pull_of(row)
        row.pull_paired = pull_of(row, paired=True)
    others: dict[str, Any] = {"forward": forward, "static": static, "general": general or apply_general, "spare": spare}
    others |= {"mark_of": mark_of, "remember": remember, "share": share}
    fixed = static is not None
    second: Callable[..., Any] | None = None

    def paired(row: Row, inputs: tuple[Any, ...], given: tuple[Any, ...]) -> Any:
        """Run it where an input is not the first output of its op, or is no ordinary one."""
        nonlocal second
        if not any(isinstance(one, Tensor) and one._number for one in inputs):
            return others["general"](row, inputs, given)
        if second is None:
            written = source_of_run(row, count, forward, floats, fixed, depth + 2, unless=unless, paired=True)
            second = compiled(_NAMES, written, row, **others)
        return second(*inputs) if fixed else second(*inputs, *given)

    source = source_of_run(row, count, forward, floats, fixed, depth, spare is not None, unless)
    return compiled(_NAMES, source, row, paired=paired, **others)


def _unrolled(row: Row, count: int) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        return apply_general(row, arguments[:count], arguments[count:])

    return run


def apply_several(row: Row, inputs: Sequence[Any], static: tuple[Any, ...] = ()) -> tuple[Tensor, ...]:
    """Run a row whose forward gives a tuple."""
    run = row.runs.get(len(inputs)) or runner(row, len(inputs))
    results: tuple[Tensor, ...] = run(*inputs, *static)
    return results


def apply_general(row: Row, inputs: Sequence[Any], static: tuple[Any, ...]) -> Any:
    """What running an op means, for any row and any inputs. What is compiled must do the same."""
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
    step: Trace = node(row, inputs, arrays, needs, leaves, out) if tracked else Untracked()
    describe(step, row, links, needs, static, first, region, frame, out[1:] if several else ())
    if isinstance(step, Untracked):
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
            mark_result(step, row, result._memory)
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
    step.links = links
    step.needs = needs
    step.static = static
    step.rare = None
    step.code = frame.f_code
    step.lasti = frame.f_lasti
    if isinstance(step, Plain):
        step.row = row
        step.region = region
    elif isinstance(step, Node) and region is not None:
        step.region = region
    if first is None:
        step.shape, step.array_type = (), None
    else:
        step.shape, step.array_type = _one_shape(first.shape), first.dtype
    step.flags = GENERAL | (ALIAS if row.view else 0) | (0 if untold() is None else INNER)
    if others:
        step.more = tuple((array.shape, array.dtype) for array in others)
        step.flags |= SEVERAL


def cause_of(step: Untracked, row: Row, first: Any, region: Region | None) -> None:
    """Say why an untracked op was not tracked, loosen its hold on tracked inputs, and bound the history behind it."""
    step.cause = None
    if True in step.needs:
        if row.cause is not None:
            step.cause = row.cause
        elif region is not None and not region.tracks:
            step.cause = region.cause
        elif first is not None and first.dtype.kind in "iu":
            step.cause = Cause.INTEGER
        else:
            step.cause = Cause.NONDIFFERENTIABLE
        step.links = tuple(faint(link) for link in step.links)
    bound(step)


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
    tensor._memory = None
    if origin.flags & SEVERAL or (origin.region is not None and origin.region.inference):
        storage = tensor._memory = Storage()
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
    data: Any,
    name: str,
    requires_grad: bool,
    cls: type[Tensor] = Tensor,
    *,
    inner: bool = False,
    frame: FrameType | None = None,
) -> Tensor:
    """A new leaf around an array (not copied); `name` is the key of the source row that made it.

    inner: it is not what the user's assignment names.
    frame: where it was made, if that is known.
    """
    if requires_grad and data.dtype.kind != "f":
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    frame = frame or user_frame(sys._getframe(1))
    step = source(TABLE[name], data, frame)
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


def source(row: Row, data: Any, frame: FrameType) -> Untracked:
    """The record of a leaf: `row` made the array `data`, called from `frame`, and nothing lies behind it."""
    step = Untracked()
    step.id = step.oldest = next_id()
    step.link0, step.link1 = (), MANY
    step.needs = step.static = ()
    step.row, step.region = row, current()
    step.code, step.lasti = frame.f_code, frame.f_lasti
    step.rare = step.cause = None
    step.past = 0
    step.shape, step.array_type = _one_shape(data.shape), data.dtype
    step.flags = GENERAL if untold() is None else GENERAL | INNER
    return step


def _one_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(SHAPES) > SHAPE_LIMIT:
        SHAPES.clear()
    return SHAPES.setdefault(shape, shape)
