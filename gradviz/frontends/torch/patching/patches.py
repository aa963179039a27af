"""Patches: the few places of PyTorch and of Python that must be replaced to see what no hook shows, and undone."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from gradviz.frontends.torch.patching.calling import OWN_FOLDER


class Patches:
    """Replacements of attributes, each of which is undone in turn."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        """Put `wrap(original)` in the place of `owner.name`."""
        own = name in vars(owner)
        original = vars(owner)[name] if own else getattr(owner, name)
        wrapper = wrap(original)
        _stand_aside(wrapper)
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


def _stand_aside(wrapper: Any) -> None:
    """Let the frames of a wrapper not count where `warnings.warn(..., stacklevel=5)` looks for the line to blame.

    Python passes over frames of its import system there, which it knows by these two words in the name of their file.
    """
    function = getattr(wrapper, "__func__", wrapper)
    function.__code__ = function.__code__.replace(co_filename=_ASIDE)


_ASIDE = os.path.join(OWN_FOLDER, "patching", "aside", "importlib", "_bootstrap.py")


def like(original: Any) -> Callable[[Any], Any]:
    """A decorator that gives a wrapper the name and the documentation of `original`."""
    return functools.wraps(original)
