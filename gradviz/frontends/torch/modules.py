"""Modules: which one an op ran in, and what the program calls the parameters of each."""

from __future__ import annotations

import sys
import weakref
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks

from gradviz import events
from gradviz.events import Role
from gradviz.frontends.torch.book import Book
from gradviz.frontends.torch.frames import place_of_call
from gradviz.sites import is_user_file

_MODULE_FILE = hooks.__file__


class Modules:
    """Follows calls of modules in each thread.

    A module that is called while no other one runs is a root: its scope is the variable that the caller holds it by, or
    its class. Those inside it are called by the path that leads there: `model.encoder.layer.3`.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._paths: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._handles: list[Any] = []

    def install(self) -> None:
        """Hook into the calls of all modules."""
        self._handles = [
            hooks.register_module_forward_pre_hook(self._before),
            hooks.register_module_forward_hook(self._after, always_call=True),
        ]

    def uninstall(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _before(self, module: nn.Module, args: Any) -> None:
        here = self._book.here()
        if here is not None:
            self._book.guarded("a module", self._enter, here, module, sys._getframe(1))

    def _enter(self, here: Any, module: nn.Module, frame: FrameType) -> None:
        path = self._paths.get(module)
        if path is None:
            path = self._find(here, module, frame)
        here.scopes.append(path)
        here.scope = path

    def _find(self, here: Any, module: nn.Module, frame: FrameType) -> str:
        if here.scopes:
            for root in list(self._paths):
                for name, inner in root.named_modules():
                    if inner is module and name:
                        return self._name_all(root, self._paths[root])[module]
        name = _variable(module, frame) or type(module).__name__
        return self._name_all(module, name)[module]

    def _name_all(self, root: nn.Module, name: str) -> weakref.WeakKeyDictionary[nn.Module, str]:
        for inner, module in root.named_modules():
            self._paths.setdefault(module, f"{name}.{inner}" if inner else name)
        self.name_values(root, name)
        return self._paths

    def name_values(self, module: nn.Module, name: str) -> None:
        """Tell the names of the parameters and buffers of a module that the program calls `name`."""
        for role, pairs in (
            (Role.PARAMETER, module.named_parameters(name)), (Role.BUFFER, module.named_buffers(name)),
        ):  # fmt: skip
            for text, tensor in pairs:
                known = self._book.tensors.get(id(tensor))
                if known is not None and known.target != text and known.value:
                    known.target = text
                    self._book.sink.emit(events.Name(known.value, text, role))

    def _after(self, module: nn.Module, args: Any, result: Any) -> None:
        here = self._book.here()
        if here is not None:
            self._book.guarded("a module", self._leave, here, result, sys._getframe(1))

    def _leave(self, here: Any, result: Any, frame: FrameType) -> None:
        if here.scopes:
            here.scopes.pop()
        here.scope = here.scopes[-1] if here.scopes else ""
        known = self._book.tensors.get(id(result)) if isinstance(result, torch.Tensor) else None
        if known is None or not known.value or here.quiet:
            return
        outer = frame
        while outer.f_code.co_filename == _MODULE_FILE and outer.f_back is not None:
            outer = outer.f_back
        if is_user_file(outer.f_code.co_filename):
            path, _ = place_of_call(outer)
            target = self._book.interner.target(path)
            if target and target != "_" and "," not in target:
                self._book.sink.emit(events.Name(known.value, target))


def _variable(module: nn.Module, frame: FrameType) -> str:
    """The variable by which the user's code that calls `module` holds it, or empty."""
    outer: FrameType | None = frame
    while outer is not None and not is_user_file(outer.f_code.co_filename):
        outer = outer.f_back
    if outer is None:
        return ""
    for names in (outer.f_locals, outer.f_globals):
        for name, held in list(names.items()):
            if held is module:
                return name
    return ""
