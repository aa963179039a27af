"""Hooks: what users attach to tensors, and the handle that takes it away again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from gradviz.core.accumulator import AccumulateGrad
from gradviz.core.trace import HOOKED, Node
from gradviz.core.watched import NodeHooks


class Extras:
    """What few leaves have: hooks, and the AccumulateGrad that someone holds."""

    __slots__ = ("accumulator", "accumulator_hooks", "hooks")

    def __init__(self) -> None:
        self.hooks: dict[int, Callable[[Any], Any]] = {}
        self.accumulator_hooks: dict[int, Callable[[Any], Any]] = {}
        self.accumulator: weakref.ref[AccumulateGrad] | None = None


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again."""

    _next = 0

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self.id = RemovableHandle._next
        RemovableHandle._next += 1
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; calling it again does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def hooks_of(node: Node) -> NodeHooks:
    """The hooks of a node, made when first asked for."""
    if node.hooks is None:
        node.hooks = NodeHooks()
        node.flags |= HOOKED
    return node.hooks
