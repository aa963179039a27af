"""Walking: the parts of a module, its parameters and its buffers, by what the base class keeps in the instance.

A class of the user's may say otherwise of `named_modules`, of `==` or of `hash`, or may not be ready for the question
yet: none of its code runs here. PyTorch's modules and gradviz's own keep the same three dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def is_module(value: Any) -> bool:
    """Whether a value can hold parts; its class tells."""
    return hasattr(type(value), "named_modules")


def parts(module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The module, which the program calls `name`, and all modules inside, each once, as `named_modules` has them."""
    seen: set[int] = set()
    pending = [(name, module)]
    while pending:
        path, part = pending.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        yield path, part
        inner = [(_joined(path, own), one) for own, one in _kept(part, "_modules").items()]
        pending.extend(reversed(inner))


def parameters(module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The parameters of a module and of those inside, each once, as `named_parameters` has them."""
    return _tensors(module, name, "_parameters")


def buffers(module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The buffers of a module and of those inside, each once, as `named_buffers` has them."""
    return _tensors(module, name, "_buffers")


def attributes(module: Any) -> dict[str, Any]:
    """What the instance itself keeps, by attribute; nothing where it keeps nothing, as a proxy does."""
    try:
        found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return found


def plain_tensors(module: Any, name: str, kind: type[T]) -> Iterator[tuple[str, T]]:
    """The tensors of class `kind` that a module and those inside keep as attributes, registered nowhere, each once."""
    seen: set[int] = set()
    for path, part in parts(module, name):
        for own, value in list(attributes(part).items()):
            if issubclass(type(value), kind) and id(value) not in seen:
                seen.add(id(value))
                yield _joined(path, own), value


def is_own_name(name: str, path: str) -> bool:
    """Whether a method of the module that keeps `path`, as `net.scale`, calls it `name`: `self.scale`."""
    return name == f"self.{path.rpartition('.')[2]}"


def _tensors(module: Any, name: str, place: str) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for path, part in parts(module, name):
        for own, tensor in _kept(part, place).items():
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield _joined(path, own), tensor


def _kept(module: Any, place: str) -> Mapping[str, Any]:
    """One of the three dictionaries, as it is now; empty where the module has none yet."""
    return dict(attributes(module).get(place, {}).items())


def _joined(path: str, own: str) -> str:
    return f"{path}.{own}" if path else own
