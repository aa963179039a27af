"""`saved_tensors_hooks`: what nodes save is handed to the user's functions, and asked back when it is needed.

While the hooks are in force they listen to every op; a node that was made has each array that it saved replaced by what
`pack_hook` gives for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from gradviz.core.apply import leaf as new_leaf
from gradviz.core.apply import wrap
from gradviz.core.grad_mode import no_grad
from gradviz.core.listeners import listen, listeners, unlisten
from gradviz.core.saving import UNSHARED, saved_by
from gradviz.core.tensor import Tensor
from gradviz.core.trace import FREED, GENERAL, PACKED, PART, Node, Trace, origin_of

_forbidden: ContextVar[str | None] = ContextVar("gradviz.saved_tensors_hooks", default=None)
"""Why hooks may not be entered, where they may not."""


class Packed:
    """Stands where a node's saved array was."""

    __slots__ = ("handle", "unpack")

    def __init__(self, handle: Any, unpack: Callable[[Any], Any]) -> None:
        self.handle = handle
        self.unpack = unpack


class saved_tensors_hooks:
    """A context in which each tensor that is saved for a backward goes through two functions.

    pack_hook: called with the tensor when it is saved; whatever it returns is kept.
    unpack_hook: called with that when the backward needs the tensor; must return a tensor of the same content.
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook
        self._thread = 0
        self._busy = False

    def __enter__(self) -> None:
        if (why := _forbidden.get()) is not None:
            raise RuntimeError(why)
        self._thread = threading.get_ident()
        listen(self)

    def __exit__(self, *error: object) -> None:
        unlisten(self)

    def op_ran(self, step: Trace, frame: FrameType) -> None:
        """Pack what a node saved; only the innermost hooks do."""
        if not isinstance(step, Node) or self._busy or threading.get_ident() != self._thread:
            return
        if self is not _innermost(self._thread) or step.saved is FREED or step.row.key.startswith("custom."):
            return
        self._busy = True
        try:
            self._pack(step)
        finally:
            self._busy = False

    def _pack(self, node: Node) -> None:
        row, saved, marks = node.row, list(saved_by(node)), list(node.marks)
        for name in row.reading_order:
            place = row.saved_names.index(name)
            kept = saved[place]
            if kept is None or isinstance(kept, (tuple, Packed)):
                continue
            tensor = tensor_of(node, name, kept)
            if tensor is not None:
                with no_grad():
                    saved[place] = Packed(self.pack_hook(tensor), self.unpack_hook)
                marks[place] = UNSHARED
                node.flags |= GENERAL | PACKED
        node.saved, node.marks = tuple(saved), tuple(marks)

    def named(self, tensors: Sequence[Any], frame: FrameType) -> None:
        """Nothing to do."""

    def region_opened(self, region: Any, frame: FrameType) -> None:
        """Nothing to do."""

    def region_closed(self, region: Any) -> None:
        """Nothing to do."""

    def flag_set(self, leaf: Any, frame: FrameType) -> None:
        """Nothing to do."""

    def acted(self, kind: str, tensor: Any, frame: FrameType, hook: Any = None) -> None:
        """Nothing to do."""

    def held(self, deed: Any, holder: Any, frame: FrameType, *more: Any) -> None:
        """Nothing to do."""

    def sweep_ran(self, sweep: Any, frame: FrameType) -> None:
        """Nothing to do."""


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A context in which entering `saved_tensors_hooks` raises RuntimeError with the message."""
    before = _forbidden.set(error_message)
    try:
        yield
    finally:
        _forbidden.reset(before)


def _innermost(thread: int) -> Any:
    mine = [one for one in listeners if isinstance(one, saved_tensors_hooks) and one._thread == thread]
    return mine[-1] if mine else None


def tensor_of(node: Node, name: str, kept: Any) -> Tensor | None:
    """The tensor whose array a node saved under a name of its row."""
    if name.startswith("out"):
        return wrap(kept, node, int(name == "out1"), True)
    position = node.row.inputs.index(name)
    origin, number = origin_of(node.links[position])
    leaf = None if node.leaves is None else node.leaves[position]
    if origin is None or leaf is not None:
        return leaf
    if origin.flags & PART:  # of what is told of as one op; what a hook makes of it would come from nowhere
        return new_leaf(kept, "grad", False, inner=True)
    return wrap(kept, origin, number, node.needs[position] and origin.tracked)


def unpack(node: Node) -> tuple[Any, ...]:
    """What a node saved, with arrays in place of what stands for them."""
    restored = dict(zip(node.row.saved_names, saved_by(node), strict=True))
    for name in node.row.reading_order:
        one = restored.get(name)
        if isinstance(one, Packed):
            tensor = one.unpack(one.handle)
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(tensor)}"
                )
            restored[name] = tensor._data
    return tuple(restored.values())
