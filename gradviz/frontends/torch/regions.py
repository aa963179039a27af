"""Regions: what switches grad mode, who opened it, and what it lies in."""

from __future__ import annotations

import inspect
import weakref
from types import CodeType, FrameType
from typing import Any

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


class Regions:
    """Opens and closes the regions of each thread."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._of_switch: weakref.WeakKeyDictionary[Any, Region] = weakref.WeakKeyDictionary()
        self._before: weakref.WeakKeyDictionary[Any, Region | None] = weakref.WeakKeyDictionary()

    def switched(self, here: Here, mode: bool, before: bool, frame: FrameType) -> None:
        """`torch._C._set_grad_enabled(mode)` was called at `frame`, where grad mode was `before`."""
        switch, method, outer = _switch_at(frame)
        kind = type(switch).__name__ if switch is not None else "set_grad_enabled"
        if method == "__exit__":
            self.close(here, switch)
        elif method == "__call__":
            self._unmake(here, switch)
        elif method == "__enter__" and kind == "set_grad_enabled":
            if switch not in self._of_switch:
                self._open(here, switch, kind, mode, outer)
        elif kind == "set_grad_enabled":
            self._set(here, switch, mode, before, outer)
        else:
            self._open(here, switch, kind, mode, outer)

    def entered_inference(self, here: Here, switch: Any, frame: FrameType) -> None:
        """`inference_mode` was entered at `frame`."""
        self._open(here, switch, "inference_mode", not switch.mode, frame)

    def close(self, here: Here, switch: Any) -> None:
        """What `switch` opened ends, and what was in effect before is so again."""
        outer = self._before.get(switch, _UNKNOWN) if switch is not None else _UNKNOWN
        if outer is _UNKNOWN:
            return
        region = self._of_switch.get(switch)
        here.region = outer
        if region is not None and region.id:
            self._book.sink.emit(events.RegionEnd(region.id))

    def _open(self, here: Here, switch: Any, kind: str, enabled: bool, frame: FrameType) -> None:
        path = opener_path(frame)
        cause = None if enabled else CAUSES.get(kind, Cause.NO_GRAD)
        region = Region(kind, enabled, cause, here.region, self._book.interner.site(path, True))
        if switch is not None:
            self._of_switch[switch] = region
            self._before[switch] = here.region
        here.region = region
        if path and (path[0][0] is frame.f_code or path[0][1] == FIRST_LINE):
            self._book.tell_region(here, region)

    def _set(self, here: Here, switch: Any, mode: bool, before: bool, frame: FrameType) -> None:
        """A switch that acts when it is made. One that takes back the one before it opens no region of its own."""
        outer = here.region
        beneath = outer.parent if outer is not None and outer.kind == "set_grad_enabled" else outer
        if outer is not beneath and (beneath is None or beneath.enabled) == mode:
            here.region = beneath
        elif mode != before:
            self._open(here, switch, "set_grad_enabled", mode, frame)
        if switch is not None:
            self._before[switch] = outer

    def _unmake(self, here: Here, switch: Any) -> None:
        """A switch that acted when it was made turns out to be a decorator."""
        if switch in self._before:
            self.close(here, switch)
            self._before.pop(switch, None)
            self._of_switch.pop(switch, None)


_UNKNOWN: Any = object()


def _switch_at(frame: FrameType) -> tuple[Any, str, FrameType]:
    """The grad-mode object behind a switch, the method of it that was called, and the frame that called that."""
    switch: Any = None
    method = ""
    place = frame
    while place.f_code.co_filename == grad_mode.__file__ and place.f_back is not None:
        if place.f_code.co_name not in ("clone", "__new__"):  # which make the switch, and are not its methods
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
