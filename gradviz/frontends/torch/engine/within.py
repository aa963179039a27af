"""Inside of a sweep: what the engine calls of the user's, which is no part of the forward pass, and how it is told.

The engine runs hooks, the backward of custom functions and the recomputation of checkpoints. PyTorch hands none of
their calls to a mode that was taken off for `backward()` itself, so another one is put on for the engine. What it sees
runs in a region of its own, of the kind `backward`: grad mode is off there because the engine turned it off, which is
nobody's cut.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

import torch

from gradviz import events
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here, Region
from gradviz.frontends.torch.places.frames import between
from gradviz.sites import Spot

_TORCH = os.path.join(os.path.dirname(os.path.abspath(torch.__file__)), "")
_AUTOGRAD = os.path.join(_TORCH, "autograd", "")


class Within(Here):
    """What the thread of a sweep is doing while the engine runs.

    It is of the thread that called the engine, and quiet in every other one: for devices and for sweeps nested deep the
    engine has threads of its own, where nodes are numbered anew. `missed` says that a call was seen there. `path` leads
    to the call of the engine.
    """

    __slots__ = ("_owner", "_quiet", "engine", "missed", "path")

    def __init__(self, outer: Here, path: tuple[Spot, ...], site: int | None) -> None:
        self._owner = threading.get_ident()
        self.missed = False
        self.path = path
        super().__init__(outer.thread)
        self.engine = Region(events.BACKWARD, enabled=False, cause=None, parent=outer.region, site=site)
        self.region = self.engine
        self.trail = outer.trail

    @property
    def quiet(self) -> int:
        """As for every thread; and above zero in all but its own."""
        if threading.get_ident() == self._owner:
            return self._quiet
        self.missed = True
        return 1

    @quiet.setter
    def quiet(self, count: int) -> None:
        self._quiet = count

    def is_switched_off(self) -> bool:
        """Nothing is tracked at present because the engine runs, not because somebody wrote so."""
        region = self.region
        while region is not None and region.enabled:
            region = region.parent
        return region is self.engine and not torch.is_grad_enabled()

    def origin(self) -> tuple[str, tuple[Spot, ...]]:
        """What the engine hands to a hook or to the backward of a custom function is a gradient."""
        return "grad", self.path


class Entering:
    """Takes the current thread from `outer` to the inside of a sweep, and back, however the sweep ends."""

    def __init__(self, book: Book, outer: Here, within: Within, mode: AbstractContextManager[Any]) -> None:
        self._book = book
        self._outer = outer
        self._within = within
        self._mode = mode

    def __enter__(self) -> None:
        self._book.stand_at(self._within)
        self._mode.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mode.__exit__(kind, error, trace)
        self._book.stand_at(self._outer)
        region = self._within.engine.id
        if region:
            self._book.guarded("a sweep", self._book.sink.emit, events.RegionEnd(region))


def is_library(frame: FrameType) -> bool:
    """Whether PyTorch itself called the engine, from `frame`, as a part of something else."""
    place: FrameType | None = frame
    while place is not None and (between(place.f_code) or place.f_code.co_filename.startswith(_AUTOGRAD)):
        place = place.f_back
    return place is not None and place.f_code.co_filename.startswith(_TORCH)
