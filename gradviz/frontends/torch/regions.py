"""Regions: what switches grad mode, who opened it, and what it lies in."""

from __future__ import annotations

import inspect
import weakref
from types import CodeType, FrameType
from typing import Any

import torch
from torch.autograd import grad_mode
from torch.utils import _contextlib

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.book import Book, Here, Region
from gradviz.interning import FIRST_LINE
from gradviz.sites import Spot, call_path, spot_at

CAUSES = {
    "no_grad": Cause.NO_GRAD, "inference_mode": Cause.INFERENCE_MODE, "set_grad_enabled": Cause.SET_GRAD_ENABLED,
}  # fmt: skip

_FILES = frozenset({grad_mode.__file__, _contextlib.__file__})


class Regions:
    """Opens and closes the regions of each thread."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._of_switch: weakref.WeakKeyDictionary[Any, Region] = weakref.WeakKeyDictionary()

    def switched(self, here: Here, mode: bool, before: bool, frame: FrameType) -> None:
        """`torch._C._set_grad_enabled(mode)` was called at `frame`."""
        switch, method, outer = _switch_at(frame)
        if method == "__exit__":
            self.close(here, switch)
        elif method == "__call__":
            self.undo(here, switch)
        elif (method == "__init__" and mode == before) or (method == "__enter__" and type(switch).__name__ == "set_grad_enabled" and switch in self._of_switch):
            return
        else:
            kind = type(switch).__name__ if switch is not None else "set_grad_enabled"
            if kind == "set_grad_enabled" and method != "__enter__" and self._returns(here, mode):
                return
            self.open(here, switch, kind, mode, outer)

    def _returns(self, here: Here, mode: bool) -> bool:
        """A function-style switch takes back the one before it, and no region of its own begins."""
        region = here.region
        if region is None or (region.cause is not Cause.SET_GRAD_ENABLED and not region.enabled):
            return False
        return False

    def open(self, here: Here, switch: Any, kind: str, enabled: bool, frame: FrameType) -> None:
        """A region begins at `frame`."""
        path = opener_path(frame)
        book = self._book
        parent = here.region
        cause = None if enabled else CAUSES.get(kind, Cause.NO_GRAD)
        region = Region(book.new_region(), enabled, cause, parent)
        site = book.interner.site(path, True)
        parent_id = None if parent is None else parent.id
        book.sink.emit(events.Region(region.id, kind, enabled, site, here.thread, parent_id))
        here.region = region
        if switch is not None:
            self._of_switch[switch] = region

    def close(self, here: Here, switch: Any) -> None:
        """The region that `switch` opened ends, and what was in effect before it is again."""
        region = self._of_switch.get(switch) if switch is not None else None
        if region is None:
            return
        here.region = region.parent
        self._book.sink.emit(events.RegionEnd(region.id))

    def undo(self, here: Here, switch: Any) -> None:
        """A switch that acted when it was made turns out to be a decorator."""
        region = self._of_switch.pop(switch, None)
        if region is not None:
            here.region = region.parent
            self._book.sink.emit(events.RegionEnd(region.id))


def _switch_at(frame: FrameType) -> tuple[Any, str, FrameType]:
    """The grad-mode object behind a switch, the method of it that was called, and the frame that called that."""
    switch: Any = None
    method = ""
    place = frame
    while place.f_code.co_filename == grad_mode.__file__ and place.f_back is not None:
        switch = place.f_locals.get("self")
        method = place.f_code.co_name
        place = place.f_back
    return switch, method, place


def opener_path(frame: FrameType) -> tuple[Spot, ...]:
    """The call path of what opened a region: where a decorator did, it begins at the decorated function."""
    path = call_path(frame)
    code = _decorated(frame)
    return path if code is None else (spot_at(code, FIRST_LINE), *path)


def _decorated(frame: FrameType) -> CodeType | None:
    if frame.f_code.co_filename != _contextlib.__file__:
        return None
    function = frame.f_locals.get("func")
    if function is None:
        return None
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code if isinstance(code, CodeType) else None


def is_enabled() -> bool:
    """Grad mode as autograd sees it."""
    return torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
