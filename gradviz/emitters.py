"""Emitters: what a recording asks of a front end, and the front ends that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gradviz.events import Role


class Emitter(Protocol):
    """What a front end installs: it listens to its framework and emits what happens there."""

    def install(self) -> None: ...

    def uninstall(self) -> None: ...

    def name(self, value: object, name: str, role: Role | None = None) -> bool: ...


@runtime_checkable
class Finder(Protocol):
    """What an emitter is besides, where a tensor of its framework does not know its own history."""

    def value_of(self, value: object) -> int | None:
        """The id of the value that a tensor is at present; None for one that was not recorded. Emits nothing."""
        ...


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """One framework that can be recorded.

    `producer` is its name in the header; once `framework` is imported, `Emitter(sink)` of module `emitter` listens.
    """

    producer: str
    framework: str
    emitter: str


FRONT_ENDS = (
    FrontEnd("core", "gradviz.core", "gradviz.core.emit"),
    FrontEnd("torch", "torch", "gradviz.frontends.torch.emit"),
)
