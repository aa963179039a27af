"""Handing over: work that a thread is given inside a region. Grad mode is a thread's own, so it does not follow."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import thread as futures
from types import FrameType
from typing import Any

from gradviz import events
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Region
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.sites import Spot, call_path

_ORIGIN = "_gradviz_origin"


class _Origin:
    """Where work was handed over, and the region there, in which grad was off."""

    __slots__ = ("path", "region")

    def __init__(self, path: tuple[Spot, ...], region: Region) -> None:
        self.path = path
        self.region = region


class Handing:
    """Tells of what threads and the workers of thread pools do for somebody who had switched grad off."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def install(self, patches: Patches) -> None:
        """Stand where work is handed over and where it is begun."""
        patches.replace(threading.Thread, "start", self._around_giving)
        patches.replace(threading.Thread, "_bootstrap_inner", self._around_taking)
        patches.replace(futures._WorkItem, "__init__", self._around_giving)
        patches.replace(futures._WorkItem, "run", self._around_taking)

    def _around_giving(self, run: Any) -> Any:
        @like(run)
        def give(work: Any, *args: Any, **kwargs: Any) -> None:
            here = self._book.here()
            region = None if here is None else here.region
            if here is not None and region is not None and not region.enabled and not _is_worker(work):
                self._book.guarded("a thread", self._note, here, work, region, sys._getframe(1))
            try:
                run(work, *args, **kwargs)
            except BaseException as error:
                strip_own(error)
                raise

        return give

    def _note(self, here: Any, work: Any, region: Region, frame: FrameType) -> None:
        self._book.tell_region(here, region)
        setattr(work, _ORIGIN, _Origin(call_path(frame), region))

    def _around_taking(self, run: Any) -> Any:
        @like(run)
        def take(work: Any, *args: Any, **kwargs: Any) -> Any:
            origin = vars(work).pop(_ORIGIN, None)
            if origin is None:
                return run(work, *args, **kwargs)
            self._book.guarded("a thread", self._tell, origin)
            try:
                return run(work, *args, **kwargs)
            finally:
                self._book.guarded("a thread", self._tell, None)

        return take

    def _tell(self, origin: _Origin | None) -> None:
        book = self._book
        here = book.here()
        if here is None:
            return
        if origin is None:
            book.sink.emit(events.Work(here.thread, after=book.last_value))
        else:
            site = book.interner.site(origin.path, True)
            book.sink.emit(events.Work(here.thread, site, origin.region.id, book.last_value))


def _is_worker(work: Any) -> bool:
    """A worker of a thread pool does what others hand over later."""
    return getattr(work, "_target", None) is futures._worker
