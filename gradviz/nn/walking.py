"""Walking: how a module finds the parameters, the buffers and the modules in it, and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, cast

from gradviz.core.tensor import Tensor

if TYPE_CHECKING:
    from gradviz.nn.module import Module
    from gradviz.nn.parameter import Parameter


class Walking:
    """The part of `Module` that goes through what it holds. What is held in two places comes once, at the first."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module under the name `prefix`, and every module in it, outer ones first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, cast("Module", self)
        for name, module in self._modules.items():
            if module is not None:
                inner = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, inner, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module, and every module in it."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are directly in this one, with their names."""
        memo = set()
        for name, module in self._modules.items():
            if module is not None and module not in memo:
                memo.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules that are directly in this one."""
        for _, module in self.named_children():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their names, such as `encoder.0.weight`, after `prefix`."""
        return self._members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters. recurse: those of the modules inside, too."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their names, after `prefix`."""
        return self._members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers. recurse: those of the modules inside, too."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def _members(self, place: str, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else ((prefix, self),)
        for inner, module in modules:
            for name, held in getattr(module, place).items():
                if held is None or id(held) in seen:
                    continue
                if once:
                    seen.add(id(held))
                yield (f"{inner}.{name}" if inner else name), held

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` with every module in this one, inner ones first, then with this one; returns this one."""
        for module in self.children():
            module.apply(fn)
        fn(cast("Module", self))
        return self

    def get_submodule(self, target: str) -> Module:
        """The module that a dotted name leads to; this one for an empty name. Raises AttributeError where none is."""
        module = cast("Module", self)
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            found = getattr(module, name)
            if not isinstance(found, Walking):
                raise AttributeError(f"`{name}` is not an nn.Module")
            module = cast("Module", found)
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter that a dotted name leads to. Raises AttributeError where none is."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in module._parameters:
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return cast("Parameter", module._parameters[name])

    def get_buffer(self, target: str) -> Tensor:
        """The buffer that a dotted name leads to. Raises AttributeError where none is."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return cast(Tensor, module._buffers[name])
