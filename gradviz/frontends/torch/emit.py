"""The emitter: listens to PyTorch in every thread of the program, and emits what happens there."""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch

from gradviz import events
from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.calling import stand_in
from gradviz.frontends.torch.mode import RecordingMode
from gradviz.frontends.torch.naming import Call, Deed
from gradviz.frontends.torch.ops import Gathered, Ops
from gradviz.frontends.torch.patches import Patches
from gradviz.frontends.torch.regions import Regions
from gradviz.frontends.torch.sweeps import Sweeps
from gradviz.frontends.torch.threads import Threads
from gradviz.interning import Sink


class Emitter:
    """One recording of PyTorch: `install` begins it, `uninstall` ends it and leaves PyTorch as it was."""

    def __init__(self, sink: Sink) -> None:
        self.book = Book(sink)
        self.ops = Ops(self.book)
        self.regions = Regions(self.book)
        self.sweeps = Sweeps(self.book, self.ops)
        self.calls: dict[Any, Call] = {}
        self.threads = Threads(self.enter_thread)
        self._patches = Patches()
        self._modes: list[RecordingMode] = []

    def install(self) -> None:
        """Start to listen, in this thread and in those that it starts."""
        self.sweeps.install(self._patches)
        self.threads.install(self._patches)
        self.enter_thread().__enter__()

    def uninstall(self) -> None:
        """Stop listening."""
        self._patches.undo()
        for mode in self._modes:
            mode.emitter = None
        _take_off(self._modes)

    def enter_thread(self) -> RecordingMode:
        """A mode for the current thread."""
        mode = RecordingMode(self, self.book.enter_thread())
        self._modes.append(mode)
        return mode

    def name(self, value: object, name: str, role: events.Role | None = None) -> bool:
        """Emit the user's name for a value. True where `value` is a tensor."""
        if not isinstance(value, torch.Tensor):
            return False
        with self.book.lock:
            known = self.book.tensors.get(id(value))
            if known is not None:
                self.book.sink.emit(events.Name(known.value, name, role))
        return True

    # what the mode tells of

    def before(
        self, here: Here, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> Gathered | None:
        """Look at the arguments of an op."""
        with self.book.lock:
            try:
                return self.ops.gather(here, call, args, kwargs, frame)
            except Exception as failure:
                self.book.sink.failed("recording an op", failure)
                return None

    def after(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """Tell of an op that ran."""
        self.book.guarded("an op", self.ops.ran, here, call, args, found, result, nodes, frame)

    def other(
        self, here: Here, call: Call, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> Any:
        """Run a call that is no op, and tell of what it did."""
        deed = call.deed
        if deed is Deed.GRAD_MODE:
            before = torch.is_grad_enabled()
            result = stand_in(frame)(func, args, kwargs)
            self.book.guarded("a grad mode", self.regions.switched, here, bool(args[0]), before, frame)
            return result
        result = stand_in(frame)(func, args, kwargs)
        if deed is Deed.EXIT:
            self.book.guarded("an exit", self.ops.left, here, call, args[0], frame)
        return result


def _take_off(modes: list[RecordingMode]) -> None:
    """Take the modes of this thread off PyTorch's stack; modes of the user's own above them stay in place."""
    above = []
    while torch._C._len_torch_function_stack():
        mode = torch._C._pop_torch_function_stack()
        if mode not in modes:
            above.append(mode)
    for mode in reversed(above):
        torch._C._push_on_torch_function_stack(mode)
