"""Regions: what switches grad mode, who opened it, and what it lies in."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import torch
from torch.autograd import grad_mode
from torch.utils import _contextlib

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here, Region
from gradviz.interning import FIRST_LINE
from gradviz.sites import Spot, call_path, is_user_file, spot_at
from gradviz.weakly import ByIdentity

CAUSES = {
    "no_grad": Cause.NO_GRAD, "inference_mode": Cause.INFERENCE_MODE, "set_grad_enabled": Cause.SET_GRAD_ENABLED,
}  # fmt: skip


@dataclass(eq=False, slots=True)
class Extent(Region):
    """A region with what becomes of it.

    held    it lasts until its switch is left: it is the extent of a `with` or of a decorated call
    ended   its switch was undone
    """

    held: bool = False
    ended: bool = False


class Regions:
    """Opens and closes the regions of each thread.

    As PyTorch does, a switch that is left brings back what was in effect when it was entered, whatever came since.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._of_switch: ByIdentity[Extent] = ByIdentity()
        self._before: ByIdentity[Region | None] = ByIdentity()
        self._undoing: dict[int, weakref.ref[Any]] = {}

    def switched(self, here: Here, mode: bool, before: bool, frame: FrameType) -> None:
        """`torch._C._set_grad_enabled(mode)` was called at `frame`, where grad mode was `before`."""
        switch, method, outer, is_clone = _switch_at(frame)
        kind = type(switch).__name__ if switch is not None else "set_grad_enabled"
        if method == "__exit__":
            self.close(here, switch)
        elif method == "__call__":  # a switch that acted when it was made turns out to be a decorator
            self.close(here, switch)
            self._before.pop(switch, None)
        elif kind != "set_grad_enabled":
            self._before[switch] = here.region
            self._open(here, switch, kind, mode, outer).held = True
        elif method == "__enter__":
            self._enter(here, switch, mode, outer)
        else:
            if switch is not None:
                self._before[switch] = here.region
            if not is_clone:  # a clone is entered next
                self._set(here, switch, mode, before, outer)

    def entered_inference(self, here: Here, switch: Any, frame: FrameType) -> None:
        """`inference_mode` was entered at `frame`."""
        self._before[switch] = here.region
        self._open(here, switch, "inference_mode", not switch.mode, frame).held = True

    def close(self, here: Here, switch: Any) -> None:
        """What `switch` opened ends, and what was in effect before is so again."""
        outer = self._before.get(switch, _UNKNOWN) if switch is not None else _UNKNOWN
        if outer is _UNKNOWN:
            return
        self._undoing.pop(id(switch), None)
        left = here.region
        self._return_to(here, outer)
        if torch.is_inference_mode_enabled() and not _infers(here.region):
            # Left out of turn, a grad mode does not take inference mode along.
            while left is not None and left.kind != "inference_mode":
                left = left.parent
            if left is not None:
                here.region = _twin(left, here.region)

    def _return_to(self, here: Here, outer: Region | None) -> None:
        """`outer` is in effect from here on; what lay inside of it ends."""
        kept = set(_chain(outer))
        for region in _chain(here.region):
            if region not in kept:
                self._end(region)
        if isinstance(outer, Extent) and outer.ended:
            parent = outer.parent
            while isinstance(parent, Extent) and parent.ended:
                parent = parent.parent
            outer = _twin(outer, parent)
        here.region = outer

    def _end(self, region: Region) -> None:
        if isinstance(region, Extent) and not region.ended:
            region.ended = True
            if region.id:
                self._book.sink.emit(events.RegionEnd(region.id))

    def _open(self, here: Here, switch: Any, kind: str, enabled: bool, frame: FrameType) -> Extent:
        path = opener_path(frame)
        cause = None if enabled else CAUSES.get(kind, Cause.NO_GRAD)
        region = Extent(kind, enabled, cause, here.region, self._book.interner.site(path, True))
        if switch is not None:
            self._of_switch[switch] = region
        here.region = region
        if path and (path[0][0] is frame.f_code or path[0][1] == FIRST_LINE):
            self._book.tell_region(here, region)
        return region

    def _set(self, here: Here, switch: Any, mode: bool, before: bool, frame: FrameType) -> None:
        """A switch that acts when it is made. One that takes back the one before it opens no region of its own."""
        outer = here.region
        if isinstance(outer, Extent) and outer.kind == "set_grad_enabled" and not outer.held:
            beneath = outer.parent
            if (beneath is None or beneath.enabled) == mode:
                here.region = beneath
                self._end_unless_entered(switch, outer)
                return
        if mode != before:
            self._open(here, switch, "set_grad_enabled", mode, frame)

    def _end_unless_entered(self, switch: Any, region: Extent) -> None:
        """End `region` when it is clear that `switch` is not the beginning of a `with`: when nobody holds it."""
        if switch is None:
            self._end(region)
            return
        number = id(switch)

        def let_go(_: object) -> None:
            if self._undoing.pop(number, None) is not None:
                self._book.guarded("a grad mode", self._end, region)

        self._undoing[number] = weakref.ref(switch, let_go)

    def _enter(self, here: Here, switch: Any, mode: bool, frame: FrameType) -> None:
        """A `set_grad_enabled` that acted when it was made is entered."""
        if self._undoing.pop(id(switch), None) is not None:
            undone = self._before[switch]
            if undone is not None and here.region is undone.parent:
                here.region = undone
            elif undone is not None:  # something else was switched in between
                self._end(undone)
        region = self._of_switch.get(switch, None)
        if region is None or region is not here.region:
            region = self._open(here, switch, "set_grad_enabled", mode, frame)
        region.held = True


def _chain(region: Region | None) -> Iterator[Region]:
    while region is not None:
        yield region
        region = region.parent


def _infers(region: Region | None) -> bool:
    return next((not around.enabled for around in _chain(region) if around.kind == "inference_mode"), False)


def _twin(region: Region, parent: Region | None) -> Extent:
    """A region that is in effect once more."""
    return Extent(region.kind, region.enabled, region.cause, parent, region.site, held=True)


_UNKNOWN: Any = object()


def _switch_at(frame: FrameType) -> tuple[Any, str, FrameType, bool]:
    """The grad-mode object behind a switch, the method of it that was called, and the frame that called that.

    Last, whether the object was made there as a copy of a decorator, to be entered for one call.
    """
    switch: Any = None
    method = ""
    is_clone = False
    place = frame
    while place.f_code.co_filename == grad_mode.__file__ and place.f_back is not None:
        if place.f_code.co_name == "clone":
            is_clone = True
        elif place.f_code.co_name != "__new__":
            switch = place.f_locals.get("self")
            method = place.f_code.co_name
        place = place.f_back
    return switch, method, place, is_clone


def opener_path(frame: FrameType) -> tuple[Spot, ...]:
    """The call path of what opened a region; where the user decorated a function, it begins there."""
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
    return code if isinstance(code, CodeType) and is_user_file(code.co_filename) else None
