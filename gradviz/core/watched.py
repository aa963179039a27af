"""What few nodes have besides their record: hooks, tensors that keep their gradient, writes that went unseen."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradviz.core.tensor import Tensor


class NodeHooks:
    """What few nodes have: hooks on their outputs' cotangents, tensors that asked to keep theirs, writes unseen.

    `rewritten` has, by output number, the untracked in-place writes to that output, oldest first, at most
    `HISTORY_LIMIT`: autograd goes on from the node, but what is drawn goes on from the last write. The op that a whole
    backward pass is told of as is among them as a pair with the number of its result.
    """

    __slots__ = ("after", "before", "metadata", "retained", "rewritten", "tensor_hooks")

    def __init__(self) -> None:
        self.tensor_hooks: dict[int, dict[int, Callable[[Any], Any]]] = {}
        self.retained: dict[int, weakref.ref[Tensor]] = {}
        self.before: dict[int, Callable[..., Any]] = {}
        self.after: dict[int, Callable[..., Any]] = {}
        self.metadata: dict[Any, Any] = {}
        self.rewritten: dict[int, list[Any]] = {}
