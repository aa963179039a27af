"""Weakly: what is known of an object for as long as it lives, by which object it is.

The dictionaries of `weakref` ask the object's class for `==` and `hash`. A class of the user's may give any answer, or
raise an error.
"""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

V = TypeVar("V")
D = TypeVar("D")


class ByIdentity(Generic[V]):
    """A value for each of several objects; it goes when its object goes."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], V]] = {}

    def __setitem__(self, owner: object, value: V) -> None:
        number, forget = id(owner), self._entries.pop
        # Called before the object's memory is given back, so no other one can have its `id` yet.
        self._entries[number] = weakref.ref(owner, lambda _: forget(number, None)), value

    def __getitem__(self, owner: object) -> V:
        return self._entries[id(owner)][1]

    def __contains__(self, owner: object) -> bool:
        return id(owner) in self._entries

    def items(self) -> list[tuple[Any, V]]:
        """The objects that are alive, with what is known of each, in the order in which they were met."""
        found = [(entry[0](), entry[1]) for entry in list(self._entries.values())]
        return [(owner, value) for owner, value in found if owner is not None]

    def get(self, owner: object, default: D) -> V | D:
        """What is known of an object, or `default`."""
        entry = self._entries.get(id(owner))
        return default if entry is None else entry[1]

    def pop(self, owner: object, default: D) -> V | D:
        """The same, and forget it."""
        entry = self._entries.pop(id(owner), None)
        return default if entry is None else entry[1]
