"""Modules: which one an op ran in, and what the program calls the parameters of each."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn

from gradviz import walking
from gradviz.callees import callee
from gradviz.events import Role
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.frontends.torch.places.paths import Base, Inside
from gradviz.targets import unpacked_target


class Modules:
    """Follows calls of modules in each thread.

    A module that is called while no other one runs is a root: its scope is what the caller calls it, or its class.
    Those inside it are called by the path that leads there: `model.encoder.layer.3`. `named` is told of each module
    and its path.
    """

    def __init__(self, book: Book, named: Callable[[nn.Module, str], None]) -> None:
        self._book = book
        self._tell = named
        self._scopes: dict[int, _Scope] = {}
        pop = self._scopes.pop

        def forget(scope: _Scope) -> None:
            pop(scope.module_id, None)  # also while Python shuts down, when the names of this module are gone

        self._forget = forget

    def install(self, patches: Patches) -> None:
        """Stand around the calls of all modules. PyTorch's hooks would put entries of theirs into tracebacks."""
        patches.replace(nn.Module, "__call__", self._around_call)

    def _around_call(self, run: Any) -> Any:
        @like(run)
        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            here = self._book.here()
            if here is None or here.quiet:
                return run(module, *args, **kwargs)
            # A frame that held itself would keep the arguments alive: of this one, only its `id` and its code.
            mark, code = id(sys._getframe()), sys._getframe().f_code
            outer = here.inside
            scope = self._enter(here, module, sys._getframe(1), code, mark)
            inside = here.inside
            try:
                result = run(module, *args, **kwargs)
            except BaseException as error:
                here.inside = outer
                strip_own(error)
                raise
            here.inside = outer
            if scope is not None and inside is not None:
                scope.idle.append(inside)
                if inside.base.targets:
                    self._name_result(inside.base, result)
            return result

        return call

    def _enter(self, here: Here, module: nn.Module, frame: FrameType, code: CodeType, mark: int) -> _Scope | None:
        """Note that a module begins to run; returns its scope, None where that failed."""
        book = self._book
        try:
            scope = self._scopes.get(id(module))
            if scope is None:
                with book.lock, torch._C.DisableTorchFunction():
                    scope = self._find(here, module, frame)
            base = book.paths.base(here.inside, frame)
            try:
                inside = scope.idle.pop()  # no other thread gets the same one
            except IndexError:
                inside = None
            if inside is not None and inside.base is base:
                inside.mark = mark
            else:
                inside = Inside(scope.name, base, code, mark)
            here.inside = inside
        except Exception as failure:
            book.sink.missed("recording a module", failure)
            return None
        return scope

    def _find(self, here: Here, module: nn.Module, frame: FrameType) -> _Scope:
        if here.inside is not None:
            for scope in list(self._scopes.values()):
                root = scope()
                for name, inner in () if root is None else walking.parts(root):
                    if inner is module and name and root is not None:
                        return self._name_all(root, scope.name, module)
        found = callee(frame, module)
        scope = self._name_all(module, found.name or type(module).__name__, module)
        if found.around is not None:
            self._name_values(found.around, found.around_name)
        return scope

    def _name_all(self, root: nn.Module, name: str, wanted: nn.Module) -> _Scope:
        """Give `root` and the modules in it their scopes; returns that of `wanted`."""
        for path, module in walking.parts(root, name):
            if id(module) not in self._scopes:
                scope = _Scope(module, self._forget)
                scope.module_id = id(module)
                scope.name = path
                scope.idle = []
                self._scopes[id(module)] = scope
                self._tell(module, scope.name)
        self._name_values(root, name)
        return self._scopes[id(wanted)]

    def _name_values(self, root: nn.Module, name: str) -> None:
        """Name what a module holds that the program calls `name`, where it has no name but a method's `self.x`."""
        for text, tensor, role in self.values_of(root, name):
            known = self._book.tensors.get(id(tensor))
            if known is not None and (not known.target or walking.is_own_name(known.target, text)):
                self._book.tell_name(known, text, role)
        for text, tensor in walking.plain_tensors(root, name, torch.Tensor):
            known = self._book.tensors.get(id(tensor))
            if known is not None and walking.is_own_name(known.target, text):
                self._book.tell_name(known, text)

    def values_of(self, module: nn.Module, name: str) -> Iterator[tuple[str, torch.Tensor, Role]]:
        """The parameters and buffers of a module that the program calls `name`, each with its own name."""
        for text, parameter in walking.parameters(module, name):
            yield text, parameter, Role.PARAMETER
        for text, buffer in walking.buffers(module, name):
            yield text, buffer, Role.BUFFER

    def _name_result(self, base: Base, result: Any) -> None:
        """What the user's code gets from a module of a library goes by the name that it is assigned to."""
        book = self._book
        try:
            for part, name in _named(base, result):
                known = book.tensors.get(id(part)) if name else None
                if known is not None and known.value:
                    book.add_name(known.value, name)
        except Exception as failure:
            book.sink.missed("recording a module", failure)


class _Scope(weakref.ref):  # type: ignore[type-arg]
    """What the program calls a module; it goes when the module goes.

    idle   what was noted of calls of it that have ended
    """

    __slots__ = ("idle", "module_id", "name")

    module_id: int
    name: str
    idle: list[Inside]


def _named(base: Base, result: Any) -> Iterator[tuple[torch.Tensor, str]]:
    """The tensors of a module's result, each with what it is assigned to: `out`, `h` and `c` of `out, (h, c) = ...`."""
    if isinstance(result, torch.Tensor):
        yield result, base.single
        return
    pending = [(result, base.targets)]
    while pending:
        parts, targets = pending.pop()
        if not isinstance(parts, (tuple, list)):
            continue
        for index, part in enumerate(parts):
            name = unpacked_target(targets, index, len(parts))
            if isinstance(part, torch.Tensor):
                yield part, name
            else:
                pending.append((part, name.strip("()[]") if name.startswith(("(", "[")) else name))
