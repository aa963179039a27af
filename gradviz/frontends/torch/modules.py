"""Modules: which one an op ran in, and what the program calls the parameters of each."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import torch
from torch import nn

from gradviz import events
from gradviz.events import Role
from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.calling import strip_own
from gradviz.frontends.torch.patches import Patches, like
from gradviz.sites import call_path, decode, is_user_file


class Modules:
    """Follows calls of modules in each thread.

    A module that is called while no other one runs is a root: its scope is the variable that the caller holds it by, or
    its class. Those inside it are called by the path that leads there: `model.encoder.layer.3`.
    """

    def __init__(self, book: Book, named: Callable[[nn.Module, str], None]) -> None:
        self._book = book
        self._named = named
        self._paths: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()

    def install(self, patches: Patches) -> None:
        """Stand around the calls of all modules. PyTorch's hooks would put entries of theirs into tracebacks."""
        patches.replace(nn.Module, "__call__", self._around_call)

    def _around_call(self, run: Any) -> Any:
        @like(run)
        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            here = self._book.here()
            if here is None or here.quiet:
                return run(module, *args, **kwargs)
            frame = sys._getframe(1)
            self._book.guarded("a module", self._enter, here, module, frame)
            try:
                result = run(module, *args, **kwargs)
            except BaseException as error:
                self._leave(here)
                strip_own(error)
                raise
            self._leave(here)
            self._book.guarded("a module", self._name_result, result, frame)
            return result

        return call

    def _enter(self, here: Here, module: nn.Module, frame: FrameType) -> None:
        path = self._paths.get(module)
        if path is None:
            path = self._find(here, module, frame)
        here.scopes.append(path)
        here.scope = path

    def _find(self, here: Here, module: nn.Module, frame: FrameType) -> str:
        if here.scopes:
            for root in list(self._paths):
                for name, inner in root.named_modules():
                    if inner is module and name:
                        return self._name_all(root, self._paths[root])[module]
        name = _variable(frame) or type(module).__name__
        return self._name_all(module, name)[module]

    def _name_all(self, root: nn.Module, name: str) -> weakref.WeakKeyDictionary[nn.Module, str]:
        for inner, module in root.named_modules():
            if module not in self._paths:
                self._paths[module] = f"{name}.{inner}" if inner else name
                self._named(module, self._paths[module])
        for text, tensor, role in self.values_of(root, name):
            known = self._book.tensors.get(id(tensor))
            if known is not None and not known.target:
                self._book.tell_name(known, text, role)
        return self._paths

    def values_of(self, module: nn.Module, name: str) -> Iterator[tuple[str, torch.Tensor, Role]]:
        """The parameters and buffers of a module that the program calls `name`, each with its own name."""
        for text, parameter in module.named_parameters(name):
            yield text, parameter, Role.PARAMETER
        for text, buffer in module.named_buffers(name):
            yield text, buffer, Role.BUFFER

    def _leave(self, here: Here) -> None:
        if here.scopes:
            here.scopes.pop()
        here.scope = here.scopes[-1] if here.scopes else ""

    def _name_result(self, result: Any, frame: FrameType) -> None:
        """What the user's code gets from a module of a library goes by the name that it is assigned to."""
        known = self._book.tensors.get(id(result)) if isinstance(result, torch.Tensor) else None
        if known is None or not known.value or not is_user_file(frame.f_code.co_filename):
            return
        target = self._book.interner.target(call_path(frame))
        if target and target != "_" and "," not in target:
            self._book.sink.emit(events.Name(known.value, target))


def _variable(frame: FrameType) -> str:
    """How the user's code that calls a module writes it, `net` or `self.net`; empty where it is not so simple.

    Read from the source: a look into a function's variables would keep them alive for as long as it runs.
    """
    if not is_user_file(frame.f_code.co_filename):
        return ""
    place = decode(frame.f_code, frame.f_lasti)
    found = re.match(r"[^\W\d][\w.]*(?=\()", place.text[max(place.column, 0) :])
    return found.group() if found else ""
