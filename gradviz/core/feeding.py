"""Where gradients arrive: hooks see them and may replace them, leaves add them to `.grad`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from types import FrameType
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.apply import leaf as new_leaf
from gradviz.core.composites import tell
from gradviz.core.fields import MANY
from gradviz.core.grad_mode import current, in_backward
from gradviz.core.listeners import listeners
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.core.trace import GENERAL, INNER, Node, Trace, Untracked
from gradviz.ids import next_id

LEAF_OF_GRAD = (
    "A leaf node was passed to _will_engine_execute_node but we are currently running autograd.grad(). This is "
    "currently not supported."
)


class Sweep:
    """What one run of the engine did, for listeners: its arguments, the leaves it fed, the error that ended it.

    concerned   ids of the values that the error is about: of what saved a tensor, and of what was written over it
    frame       where it was asked for, until it ends
    behind      the nodes and, by `id()`, the leaves that it comes to, until it ends
    """

    __slots__ = (
        "behind",
        "concerned",
        "create_graph",
        "error",
        "fed",
        "frame",
        "inputs",
        "kind",
        "retain_graph",
        "roots",
    )

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
        self.behind: tuple[Collection[Node], Collection[int]] = ((), ())

    def comes_to(self, tensor: Tensor) -> bool:
        """Whether the pass will have a gradient for `tensor`. Raises RuntimeError for a leaf in `autograd.grad()`."""
        nodes, leaves = self.behind
        node = tensor.grad_fn
        if node is not None:
            return node in nodes
        if self.kind == "grad":
            raise RuntimeError(LEAF_OF_GRAD)
        return id(tensor) in leaves


running: ContextVar[Sweep | None] = ContextVar("gradviz.sweep", default=None)
"""The innermost backward pass of this thread, for hooks that wait for several gradients of one pass."""


def feed(
    leaf: Tensor,
    cotangent: Any,
    sweep: Sweep,
    wanted: dict[Any, list[int]] | None,
    collected: dict[int, Any],
    owned: bool,
) -> None:
    """Give a leaf what came back to it: to its hooks, then to its `.grad`, or to those who asked for it.

    owned: nobody else has the cotangent, so the leaf may keep it.

    A leaf is fed as soon as no op that is still to run can add to its cotangent. So its hooks run early, and what an
    error ends has fed the leaves that PyTorch would have fed.
    """
    if leaf._requires_grad and leaf._origin.tracked:
        raise RuntimeError("leaf variable has been moved into the graph interior")
    if wanted is not None and id(leaf) not in wanted:
        return
    if leaf._extras is not None:
        cotangent, owned = _run_hooks(leaf._extras.hooks, cotangent), False
    if wanted is not None:
        for position in wanted[id(leaf)]:
            collected[position] = cotangent
    elif leaf._requires_grad:
        accumulate(leaf, cotangent, sweep, owned)


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
            _retain(tensor, slots[number])


def _run_hooks(hooks: dict[int, Any], cotangent: Any) -> Any:
    for hook in tuple(hooks.values()):
        if isinstance(cotangent, Tensor):  # this pass makes a graph, of which the hook is a part
            replacement = hook(cotangent)
        else:
            with in_backward():
                replacement = hook(new_leaf(np.array(cotangent), "grad", False, inner=True))
        if replacement is not None:
            if replacement._data.shape != cotangent.shape:
                raise RuntimeError(f"hook '{getattr(hook, '__name__', hook)}' has changed the size of value")
            cotangent = replacement if isinstance(cotangent, Tensor) else replacement._data
    return cotangent


def _retain(tensor: Tensor, cotangent: Any) -> None:
    """Keep the gradient of a tensor that is no leaf."""
    held: Any = tensor._grad
    if isinstance(cotangent, Tensor):
        tensor._grad = cotangent.clone() if held is None else held + cotangent
    else:
        total = np.array(cotangent) if held is None else held._data + cotangent
        tensor._grad = new_leaf(total, "grad", False, inner=True)


def _copied(cotangent: Any, like: Any) -> Any:
    """A copy that lies in memory as the array of the leaf does."""
    if cotangent.ndim < 2 or cotangent.shape != like.shape:
        return np.array(cotangent)
    copy = np.empty_like(like, cotangent.dtype)
    copy[...] = cotangent
    return copy


def _gradient(data: Any, like: Trace, frame: FrameType) -> Tensor:
    """`new_leaf(data, "grad", False, inner=True)` for a tensor whose record is `like`, in less time."""
    region = current()
    if data.shape != like.shape or (region is not None and region.inference):
        return new_leaf(data, "grad", False, inner=True, frame=frame)
    step = Untracked()
    step.id = step.oldest = next_id()
    step.link0 = step.needs = step.static = ()
    step.link1 = MANY
    step.row, step.region = TABLE["grad"], region
    step.code, step.lasti = frame.f_code, frame.f_lasti
    step.rare = step.cause = None
    step.past = 0
    step.shape, step.array_type = like.shape, data.dtype
    step.flags = GENERAL | INNER
    gradient = Tensor()
    gradient._data, gradient._origin, gradient._number = data, step, 0
    gradient._requires_grad = False
    gradient._grad = gradient._view = gradient._extras = gradient._memory = None
    if listeners:
        tell(step, frame, data)
    return gradient


def accumulate(tensor: Tensor, cotangent: Any, sweep: Sweep | None, owned: bool = False) -> None:
    """Add to `.grad`, in place where there is one already, so that it stays the same object.

    owned: nobody else has the cotangent.
    """
    if isinstance(cotangent, Tensor):
        blank: Any = np.zeros_like(cotangent)
        held: Any = tensor._grad
        tensor._grad = apply(TABLE["copy"], (blank, cotangent)) if held is None else held + cotangent
        if held is None and tensor._grad._storage.version is not None:
            tensor._grad._storage.version = 1  # PyTorch copies into what was there
    elif tensor._grad is None:
        frame = None if sweep is None else sweep.frame
        if not owned or (cotangent.ndim > 1 and cotangent.strides != tensor._data.strides):
            cotangent = _copied(cotangent, tensor._data)
        if frame is None:
            tensor._grad = new_leaf(cotangent, "grad", False, inner=True)
        else:
            tensor._grad = _gradient(cotangent, tensor._origin, frame)
    else:
        held = tensor._grad
        assert held is not None
        held._array()[...] += cotangent
        storage = held._storage
        if storage.version is not None:
            storage.version += 1
    if sweep is not None:
        sweep.fed.append((tensor, tensor._grad))
        if tensor._extras is not None:
            for hook in tuple(tensor._extras.accumulator_hooks.values()):
                with in_backward() if not isinstance(cotangent, Tensor) else nullcontext():
                    hook(tensor)
