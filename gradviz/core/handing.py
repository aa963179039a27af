"""Handing over: work that a thread is given inside a region. Grad mode is a thread's own, so it does not follow."""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import thread as futures
from typing import TYPE_CHECKING, Any

from gradviz import events
from gradviz.core.grad_mode import Region, current
from gradviz.sites import Spot, call_path

if TYPE_CHECKING:
    from gradviz.core.emit import Emitter


class Handing:
    """Tells of what threads and the workers of thread pools do for somebody who had switched grad off."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._given: weakref.WeakKeyDictionary[Any, tuple[tuple[Spot, ...], Region]] = weakref.WeakKeyDictionary()
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Stand where work is handed over and where it is begun."""
        self._replace(threading.Thread, "start", self._around_giving)
        self._replace(threading.Thread, "_bootstrap_inner", self._around_taking)
        self._replace(futures._WorkItem, "__init__", self._around_giving)
        self._replace(futures._WorkItem, "run", self._around_taking)

    def uninstall(self) -> None:
        """Put everything back, but what somebody else has put something around."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: type, name: str, around: Callable[[Any], Any]) -> None:
        original = vars(owner)[name]
        wrapper = around(original)
        setattr(owner, name, wrapper)

        def undo() -> None:
            if vars(owner)[name] is wrapper:
                setattr(owner, name, original)

        self._undo.append(undo)

    def _around_giving(self, run: Any) -> Any:
        @functools.wraps(run)
        def give(work: Any, *args: Any, **kwargs: Any) -> None:
            region = current()
            if region is not None and not region.enabled and not _is_worker(work) and self._undo:
                self._given[work] = call_path(sys._getframe(1)), region
            run(work, *args, **kwargs)

        return give

    def _around_taking(self, run: Any) -> Any:
        @functools.wraps(run)
        def take(work: Any, *args: Any, **kwargs: Any) -> Any:
            given = self._given.pop(work, None)
            if given is None:
                return run(work, *args, **kwargs)
            self._emitter._guarded("a thread", self._tell, *given)
            try:
                return run(work, *args, **kwargs)
            finally:
                self._emitter._guarded("a thread", self._tell, None, None)

        return take

    def _tell(self, path: tuple[Spot, ...] | None, region: Region | None) -> None:
        emitter = self._emitter
        if not self._undo:  # the recording has ended meanwhile
            return
        thread, after = emitter._numbers.thread(), emitter._latest
        if path is None or region is None:
            emitter._sink.emit(events.Work(thread, after=after))
        else:
            site = emitter._interner.site(path, True)
            emitter._sink.emit(events.Work(thread, site, emitter._region_id(region), after))


def _is_worker(work: Any) -> bool:
    """A worker of a thread pool does what others hand over later."""
    return getattr(work, "_target", None) is futures._worker
