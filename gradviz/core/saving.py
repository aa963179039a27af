"""What a node keeps for its backward, and how it is known that nobody wrote over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.ops.table import Row
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Node, Storage, Trace

LINKED: Any = (None,) * 10
"""What a node saved of a tensor and a plain number, where that is the number alone: it stands among its links."""


def saved_by(node: Node) -> tuple[Any, ...]:
    """What a node saved, in the order of its row's `saved_names`."""
    saved: tuple[Any, ...] = node.saved
    if saved is not LINKED:
        return saved
    links = [node.links[node.row.inputs.index(name)] for name in node.row.saved_names]
    return tuple([None if isinstance(link, (Trace, tuple)) else link for link in links])


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
    """The storage of a tensor that is being saved, and its version; None for a plain number, or where it has none."""
    if not isinstance(source, Tensor):
        return UNSHARED if isinstance(source, np.ndarray) else None
    storage = source._memory
    if storage is None:
        return None
    if storage.version is None:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use "
            "it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )
    return storage, storage.version


UNSHARED = (Storage(), 0)
"""The mark of a copy that only the node has."""


def mark_result(step: Node, row: Row, storage: Storage | None) -> None:
    """Note the version at which a node that saved its own result must still find it."""
    if storage is not None and row.saved_names and row.saved_names[-1] == "out" and step.saved[-1] is not None:
        step.marks = (*step.marks[:-1], (storage, storage.version))
