"""Interning: the sites and contexts of a recording, each emitted once, before the first record that refers to it."""

from __future__ import annotations

import linecache
import threading
from dataclasses import replace
from typing import Protocol, TypeAlias, runtime_checkable

from gradviz.events import Context, Event, Input, Site
from gradviz.ids import Numbers
from gradviz.sites import TEXT_LIMIT, Place, Spot, decode

FIRST_LINE = -2
"""In place of an instruction's offset: a decorated function as such, whose place is the line of its first decorator."""


Row: TypeAlias = Event | tuple[int, int, int | None, int, tuple[Input, ...]]
"""An op as the first five fields of its record, `Op(*fields)`: making that takes as long as writing it. Or a record of
what comes between ops: a name, an act, a sweep."""


class Sink(Protocol):
    """Where a producer's events go."""

    def emit(self, event: Event) -> None: ...

    def failed(self, what: str, failure: Exception) -> None: ...

    def missed(self, what: str, failure: Exception) -> None: ...


@runtime_checkable
class OpSink(Sink, Protocol):
    """A sink that takes ops, as the fields of their records, and what comes between them, for `drain` to keep."""

    pending: list[Row]

    def drain(self) -> None: ...


class Interner:
    """Numbers the sites and contexts of one recording, in the order in which they are first used.

    A sink that more than one producer may write to has an `interner` of its own, which they share.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.numbers = Numbers()
        # Inside of it only the sink's own lock is taken. Reentrant: a finalizer may run an op in the middle of this.
        self._lock = threading.RLock()
        self._paths: dict[tuple[tuple[Spot, ...], bool], int | None] = {}
        self._assigned: dict[tuple[Spot, ...], str] = {}
        self._sites: dict[tuple[Place, int | None, str, bool], int] = {}
        self._contexts: dict[tuple[int, str, int | None], int] = {}
        self.targets: list[str] = []

    @classmethod
    def of(cls, sink: Sink) -> Interner:
        """The one that the producers of `sink` share."""
        shared = getattr(sink, "interner", None)
        return shared if isinstance(shared, cls) else cls(sink)

    def site(self, path: tuple[Spot, ...], unnamed: bool = False) -> int | None:
        """The site at the inner end of a call path, None for an empty one.

        unnamed: what is made there is not what the user's code assigns to the target, so the site tells none.
        """
        try:
            return self._paths[path, unnamed]
        except KeyError:
            with self._lock:
                site = self._paths[path, unnamed] = self._emit_sites(path, unnamed)
            return site

    def target(self, path: tuple[Spot, ...]) -> str:
        """The variable that the value of a call at the inner end of a path is assigned to, or empty."""
        known = self._assigned.get(path)
        if known is None:
            known = ""
            for spot in reversed(path):
                place = place_of(spot)
                known = place.target or (known if place.returns else "")
            self._assigned[path] = known
        return known

    def _emit_sites(self, path: tuple[Spot, ...], unnamed: bool) -> int | None:
        site: int | None = None
        target = ""
        for depth in range(len(path) - 1, -1, -1):
            spot = path[depth]
            place = place_of(spot)
            target = place.target or (target if place.returns else "")
            nameless = unnamed and depth == 0
            key = (place, site, target, nameless)  # two instructions may stand for one place
            found = self._sites.get(key)
            if found is None:
                found = len(self.targets)
                shown = "" if nameless else target
                # Emitted before it is known: a KeyboardInterrupt in between must not leave a number without a record.
                self.sink.emit(
                    Site(
                        id=found,
                        file=place.file,
                        line=place.line,
                        end_line=place.end_line,
                        column=place.column,
                        end_column=place.end_column,
                        function=place.function,
                        target=shown,
                        text=place.text,
                        caller=site,
                    )
                )
                self.targets.append(shown)
                self._sites[key] = found
            site = found
        return site

    def context(self, thread: int, scope: str, region: int | None) -> int:
        """The context of what runs in `thread`, in module `scope`, with `region` innermost."""
        key = (thread, scope, region)
        known = self._contexts.get(key)
        if known is None:
            with self._lock:
                known = self._contexts.get(key)  # another thread may have been first
                if known is None:
                    known = len(self._contexts)
                    self.sink.emit(Context(known, thread, scope, region))
                    self._contexts[key] = known
        return known


def place_of(spot: Spot) -> Place:
    """What a spot means in the source; the line of its first decorator where it stands for a decorated function."""
    code, lasti = spot
    if lasti != FIRST_LINE:
        return decode(code, lasti)
    line = code.co_firstlineno
    text = linecache.getline(code.co_filename, line).rstrip("\r\n")[:TEXT_LIMIT]
    place = decode(code, 0)
    return replace(place, line=line, end_line=line, column=-1, end_column=-1, target="", text=text, returns=False)
