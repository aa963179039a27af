"""The emitter: listens to PyTorch in every thread of the program, and emits what happens there."""

from __future__ import annotations

import torch

from gradviz import events
from gradviz.errors import UsageError
from gradviz.frontends.torch.autograd.nodes import is_leaf
from gradviz.frontends.torch.autograd.unpacking import watch_hooks
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.engine.sweeps import Sweeps
from gradviz.frontends.torch.listening.elsewhere import Elsewhere
from gradviz.frontends.torch.listening.handing import Handing
from gradviz.frontends.torch.listening.listener import Listener
from gradviz.frontends.torch.listening.loading import Loading
from gradviz.frontends.torch.listening.mode import RecordingMode
from gradviz.frontends.torch.listening.threads import Threads
from gradviz.frontends.torch.listening.transforms import Transforms
from gradviz.frontends.torch.listening.unseen import Unseen
from gradviz.frontends.torch.models.attributes import Attributes
from gradviz.frontends.torch.models.building import Building
from gradviz.frontends.torch.models.evaluating import Evaluating
from gradviz.frontends.torch.models.gathering import Gathering
from gradviz.frontends.torch.models.holding import plain_attributes
from gradviz.frontends.torch.models.hooking import Hooking
from gradviz.frontends.torch.models.modules import Modules
from gradviz.frontends.torch.models.optimizers import Optimizers
from gradviz.frontends.torch.patching.patches import Patches
from gradviz.interning import OpSink
from gradviz.naming import name_values

OLDEST = (2, 4)
"""The oldest version of PyTorch that can be recorded."""


class Emitter:
    """One recording of PyTorch: `install` begins it, `uninstall` ends it and leaves PyTorch as it was."""

    def __init__(self, sink: OpSink) -> None:
        self.book = Book(sink)
        self.listener = listener = Listener(self.book)
        self.sweeps = Sweeps(self.book, listener.origins, lambda here: RecordingMode(listener, here))
        self.building = Building(self.book)
        self.modules = Modules(self.book, self.building.named)
        self.optimizers = Optimizers(self.book, listener.origins, listener.writes)
        self.unseen = Unseen(listener)
        self.transforms = Transforms(listener)
        self.elsewhere = Elsewhere(self.book, self.transforms.compiling)
        self.evaluating = Evaluating(self.book, listener.origins)
        self.attributes = Attributes(self.book, listener.origins)
        self.handing = Handing(self.book)
        self.gathering = Gathering(self.book)
        self.hooking = Hooking(self.book)
        self.loading = Loading(self.book)
        self.threads = Threads(self.enter_thread)
        self._patches = Patches()
        self._named: set[int] = set()
        self._opened: set[int] = set()
        self._modes: list[RecordingMode] = []

    def install(self) -> None:
        """Start to listen, in this thread and in those that it starts. Raises UsageError where PyTorch is too old."""
        version = torch.__version__.split("+")[0]
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise UsageError(f"PyTorch {version} is too old to be recorded", help=f"install PyTorch {oldest} or newer")
        watch_hooks(self._patches)
        self.sweeps.install(self._patches)
        self.handing.install(self._patches)  # before the threads, whose entry stands around it
        self.threads.install(self._patches)
        self.unseen.install(self._patches)
        self.transforms.install(self._patches)
        self.elsewhere.install(self._patches)
        self.optimizers.install(self._patches)
        self.modules.install(self._patches)
        self.building.install(self._patches)
        self.evaluating.install(self._patches)
        self.attributes.install(self._patches)
        self.gathering.install(self._patches)
        self.hooking.install(self._patches)
        self.loading.install(self._patches)
        self.enter_thread().__enter__()  # type: ignore[no-untyped-call]

    def uninstall(self) -> None:
        """Stop listening."""
        self._patches.undo()
        self.optimizers.uninstall()
        self.book.guarded("compiled code", self.elsewhere.uninstall)
        self.book.guarded("the coverage", self.sweeps.tell_coverage)
        for mode in self._modes:
            mode.listener = None
        _take_off(self._modes)
        self.book.close()

    def enter_thread(self) -> RecordingMode:
        """A mode for the current thread."""
        mode = RecordingMode(self.listener, self.book.enter_thread())
        self._modes.append(mode)
        return mode

    def name(self, value: object, name: str, role: events.Role | None = None) -> bool:
        """Emit the user's name for a value. True where `value` is a tensor."""
        with self.book.lock, torch._C.DisableTorchFunction():
            if isinstance(value, torch.nn.Module):
                for text, tensor, known_role in self.modules.values_of(value, name):
                    self._name_tensor(tensor, text, known_role)
                if id(value) not in self._opened and not name.endswith("()"):
                    self._opened.add(id(value))
                    name_values(plain_attributes(value, name), self.name)
            elif isinstance(value, torch.Tensor):
                self._name_tensor(value, name, role)
            elif not isinstance(value, torch.optim.Optimizer):
                return False
        return True

    def _name_tensor(self, tensor: torch.Tensor, name: str, role: events.Role | None) -> None:
        known = self.book.tensors.get(id(tensor))
        if known is None or not known.value or known.value in self._named:
            return
        self._named.add(known.value)
        if name.endswith("()"):  # a weak reference, which is no name for it
            self.book.sink.emit(events.Act("watched", (known.value,), after=self.book.last_value, text=name))
            return
        self.book.tell_name(known, name, role)
        gradient = tensor.grad if is_leaf(tensor) else None
        held = None if gradient is None else self.book.tensors.get(id(gradient))
        if held is not None and held.value:
            self.book.add_name(held.value, f"{name}.grad")

    def value_of(self, value: object) -> int | None:
        """The id of the value that a tensor is at present; None for one that was not recorded."""
        known = self.book.tensors.get(id(value)) if isinstance(value, torch.Tensor) else None
        return None if known is None else known.value or None


def _take_off(modes: list[RecordingMode]) -> None:
    """Take the modes of this thread off PyTorch's stack; modes of the user's own above them stay in place."""
    above = []
    while torch._C._len_torch_function_stack():
        mode = torch._C._pop_torch_function_stack()
        if mode not in modes:
            above.append(mode)
    for mode in reversed(above):
        torch._C._push_on_torch_function_stack(mode)
