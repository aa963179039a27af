"""Patches: the few places of PyTorch and of Python that must be replaced to see what no hook shows, and undone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class Patches:
    """Replacements of attributes, each of which is undone in turn."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        """Put `wrap(original)` in the place of `owner.name`."""
        own = name in vars(owner)
        original = vars(owner)[name] if own else getattr(owner, name)
        wrapper = wrap(original)
        setattr(owner, name, wrapper)

        def undo() -> None:
            # Whoever put a wrapper of their own around this one keeps it; this one passes through by then.
            if vars(owner).get(name) is wrapper:
                if own:
                    setattr(owner, name, original)
                else:
                    delattr(owner, name)

        self._undo.append(undo)

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


def like(original: Any) -> Callable[[Any], Any]:
    """A decorator that gives a wrapper the name and the documentation of `original`."""
    return functools.wraps(original)
