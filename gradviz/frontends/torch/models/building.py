"""Building: where in the user's source each module was made."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from torch import nn

from gradviz import events
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.sites import Spot, call_path
from gradviz.weakly import ByIdentity


class Building:
    """Takes note of the place where a module is made, and tells it when the module is given a name."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._places: ByIdentity[tuple[Spot, ...]] = ByIdentity()

    def install(self, patches: Patches) -> None:
        """Stand around the part of `__init__` that every module comes through."""
        patches.replace(nn.Module, "__init__", self._around_init)

    def _around_init(self, run: Any) -> Any:
        @like(run)
        def __init__(module: nn.Module, *args: Any, **kwargs: Any) -> None:
            try:
                run(module, *args, **kwargs)
            except BaseException as error:
                strip_own(error)
                raise
            if self._book.here() is not None:
                self._book.tried("a module", self._note, module, sys._getframe(1))

        return __init__

    def _note(self, module: nn.Module, frame: FrameType) -> None:
        self._places[module] = call_path(_maker(type(module), frame))

    def named(self, module: nn.Module, scope: str) -> None:
        """Tell where the module that runs as `scope` was made. One that is a copy of another is not told of."""
        path = self._places.get(module, ())
        if path:
            site = self._book.interner.site(path, True)
            self._book.sink.emit(events.Module(scope, type(module).__name__, site))


def _maker(kind: type, frame: FrameType) -> FrameType:
    """The frame that made an instance of `kind`, past the `__init__` of each of its classes, each of which ran once."""
    own = (getattr(vars(base).get("__init__"), "__code__", None) for base in kind.__mro__)
    inits = [code for code in own if code is not None]
    while frame.f_code in inits and frame.f_back is not None:
        inits.remove(frame.f_code)
        frame = frame.f_back
    return frame
