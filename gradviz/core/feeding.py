"""Where gradients arrive: hooks see them and may replace them, leaves add them to `.grad`."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType
from typing import Any

import numpy as np

from gradviz.core.apply import leaf as new_leaf
from gradviz.core.grad_mode import in_backward
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Node


class Sweep:
    """What one run of the engine did, for listeners: its arguments, the leaves it fed, the error that ended it.

    concerned   ids of the values that the error is about: of what saved a tensor, and of what was written over it
    frame       where it was asked for, until it ends
    """

    __slots__ = ("concerned", "create_graph", "error", "fed", "frame", "inputs", "kind", "retain_graph", "roots")

    def __init__(
        self,
        kind: str,
        roots: Sequence[Tensor],
        inputs: Sequence[Tensor] | None,
        retain_graph: bool,
        create_graph: bool = False,
    ) -> None:
        self.kind = kind
        self.roots = tuple(roots)
        self.inputs = None if inputs is None else tuple(inputs)
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.frame: FrameType | None = None
        self.fed: list[tuple[Tensor, Tensor]] = []
        self.error = ""
        self.concerned: tuple[int, ...] = ()


def feed(
    leaf: Tensor, cotangent: Any, sweep: Sweep, wanted: dict[Any, list[int]] | None, collected: dict[int, Any]
) -> None:
    """Give a leaf what came back to it: to its hooks, then to its `.grad`, or to those who asked for it.

    A leaf is fed as soon as no op that is still to run can add to its cotangent. So its hooks run early, and what an
    error ends has fed the leaves that PyTorch would have fed.
    """
    if leaf._requires_grad and leaf._origin.tracked:
        raise RuntimeError("leaf variable has been moved into the graph interior")
    if leaf._extras is not None:
        cotangent = _run_hooks(leaf._extras.hooks, cotangent)
    if wanted is not None:
        for position in wanted.get(id(leaf), ()):
            collected[position] = cotangent
    elif leaf._requires_grad:
        accumulate(leaf, cotangent, sweep)


def run_node_hooks(node: Node, slots: list[Any]) -> None:
    """Show a node's cotangents to the hooks of its outputs, and keep those that were asked to be retained."""
    hooks = node.hooks
    assert hooks is not None
    for number, slot in enumerate(slots):
        if slot is None:
            continue
        slots[number] = _run_hooks(hooks.tensor_hooks.get(number, {}), slot)
        kept = hooks.retained.get(number)
        tensor = kept() if kept is not None else None
        if tensor is not None:
            accumulate(tensor, slots[number], None)


def _run_hooks(hooks: dict[int, Any], cotangent: Any) -> Any:
    for hook in tuple(hooks.values()):
        with in_backward():
            replacement = hook(new_leaf(np.array(cotangent), "grad", False, inner=True))
        if replacement is not None:
            if replacement._data.shape != cotangent.shape:
                raise RuntimeError(f"hook '{getattr(hook, '__name__', hook)}' has changed the size of value")
            cotangent = replacement._data
    return cotangent


def accumulate(tensor: Tensor, cotangent: Any, sweep: Sweep | None) -> None:
    """Add to `.grad`, in place where there is one already, so that it stays the same object."""
    if tensor._grad is None:
        frame = None if sweep is None else sweep.frame
        tensor._grad = new_leaf(np.array(cotangent), "grad", False, inner=True, frame=frame)
    else:
        held = tensor._grad
        held._array()[...] += cotangent
        storage = held._storage
        if storage.version is not None:
            storage.version += 1
    if sweep is not None:
        sweep.fed.append((tensor, tensor._grad))
        if tensor._extras is not None:
            for hook in tuple(tensor._extras.accumulator_hooks.values()):
                with in_backward():
                    hook(tensor)
