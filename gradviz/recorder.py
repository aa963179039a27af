"""`gradviz.record`: who records, where the events go, and how a recording begins and ends.

    with gradviz.record("run.gvlog") as rec:
        loss = model(x)
        loss.backward()
    rec.graph()

Recordings nest: each one that is active gets every event of every thread. A recording never disturbs the program that
it watches: each of its own steps is guarded, and a failure ends the recording, not the program.
"""

from __future__ import annotations

import itertools
import os
import platform
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum, auto
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import gradviz
from gradviz.emitters import FRONT_ENDS, Emitter, Finder, FrontEnd
from gradviz.endings import ending, tell_ending
from gradviz.errors import UsageError
from gradviz.events import End, Event, Header, Note, Op, Site, Status
from gradviz.failures import Failure, failure_of
from gradviz.graphs import Graph
from gradviz.gvlog import LogWriter, read_log
from gradviz.imports import ImportWatch
from gradviz.interning import Interner, Row
from gradviz.naming import name_values, variables_of
from gradviz.ranks import path_of_rank
from gradviz.statements import Statements
from gradviz.stopwatch import Stopwatch, TimedRows


class _State(Enum):
    NEW = auto()
    OPEN = auto()
    CLOSED = auto()


_active: tuple[Recorder, ...] = ()
_begun: WeakValueDictionary[int, Recorder] = WeakValueDictionary()
_begin = itertools.count().__next__
_admission = threading.RLock()
_watches_forks = False


def record(path: str | os.PathLike[str] | None = None, *, times: bool = False, values: bool = False) -> Recorder:
    """Record what happens inside the `with` block: in memory or, with a path, in a log file that is written meanwhile.

    times    note how much real time passes where. Without it, two recordings of one program are the same
    values   note what numbers each op gives: how many zeros, NaNs and infinities, and how large the others are. Each
             tensor is looked at as a whole, which may take longer than making it

    Raises `UsageError` on entry where the file cannot be written. An exception that leaves the block is noted and goes
    on.
    """
    return Recorder(path, times=times, values=values)


def active() -> tuple[Recorder, ...]:
    """The recordings that run at this moment, outermost first."""
    return _active


def recordings() -> tuple[Recorder, ...]:
    """The recordings that run, innermost first, then those that have ended and are still held, the last one first."""
    ended = [recorder for _, recorder in sorted(_begun.items(), reverse=True) if recorder not in _active]
    return (*reversed(_active), *ended)


class Recorder(AbstractContextManager["Recorder"]):
    """One recording: enter it once, leave it, then read `events` or `graph()`.

    path        the log file, or None for a recording in memory
    target      what is recorded, for the heading of a picture; by default the running script
    times       note how much real time passes where
    values      note what numbers each op gives, as its front ends do where this is true
    ops         how many operations were recorded so far, and of these
    sources     how many made a leaf from nothing
    pending     ops that a front end has told of and that are not kept yet, as the fields of their records, and names,
                acts and sweeps. A front end with many small ones may append to it, and call `drain` now and then
    failures    what went wrong inside the recording itself, one line each
    interner    what its front ends number together
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        target: str = "",
        times: bool = False,
        values: bool = False,
    ) -> None:
        self.path = None if path is None else os.fspath(path)
        self.values = values
        self.ops = self.sources = 0
        self._stopwatch = Stopwatch() if times else None
        self.pending: list[Row] = [] if self._stopwatch is None else TimedRows(self._stopwatch)
        self.failures: list[Failure] = []
        self.interner = Interner(self)
        self._target = target or _running_script()
        self._memory: list[Event] = []
        self._log: LogWriter | None = None
        self._state = _State.NEW
        self._began = False
        self._sites = 0
        self._statements = Statements()
        self._lost = 0
        self._forks = 0
        self._emitters: dict[str, Emitter] = {}
        self._finders: list[Finder] = []
        self._watches: list[ImportWatch] = []
        # Reentrant: a finalizer may run an op, and so emit, in the middle of an emission.
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<Recorder of `{self.path or 'memory'}`, {self._state.name.lower()}, {self.ops:,} ops>"

    @property
    def events(self) -> tuple[Event, ...]:
        """What was recorded so far, in order; read back from the file where there is one."""
        self.drain()
        if self.path is None:
            return tuple(self._memory)
        with self._lock:
            if self._log is not None:
                self._step("writing the log", self._log.flush)
        return tuple(read_log(self.path))

    def graph(self) -> Graph:
        """What was recorded so far, as a graph."""
        return Graph.build(self.events)

    def value_of(self, tensor: object) -> int | None:
        """The id of the value that a framework's tensor is, also after the end; None for one that is not known here."""
        with self._lock:
            found = (finder.value_of(tensor) for finder in self._finders)
            return next((value for value in found if value is not None), None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop(exception, namespace=variables_of(sys._getframe(1)))

    def start(self) -> None:
        """Begin to listen. Raises `UsageError` where the file cannot be written, or this was started before."""
        if self._state is not _State.NEW:
            raise UsageError("a recording can be entered once", help="make a new one with `gradviz.record()`")
        if self.path is not None:
            self.path = path_of_rank(self.path)
            self._log = _open_log(self.path)
        self._state = _State.OPEN
        _admit(self)
        for front_end in FRONT_ENDS:
            watch = ImportWatch(front_end.framework, partial(self._install, front_end))
            self._watches.append(watch)
            watch.start()

    def stop(
        self, exception: BaseException | None = None, *, namespace: Mapping[str, object] | None = None
    ) -> tuple[Status, int]:
        """Name the values that `namespace` holds, note how the program ended, and close. Returns status and exit code.

        `exception` is what ended the program: None for nothing, `SystemExit` and `KeyboardInterrupt` are not errors. A
        second call changes nothing.
        """
        status, exit_code = ending(exception)
        if self._state is not _State.OPEN:
            return status, exit_code
        for watch in self._watches:
            watch.stop()
        self._watches.clear()  # each holds on to this recording
        if namespace is not None:
            self._step("naming the values", partial(name_values, namespace, self._name))
        for emitter in reversed(self._emitters.values()):  # the last one may stand around the others
            self._step("the end of listening", emitter.uninstall)
        _dismiss(self)
        with self._lock:
            self.drain()
            if self._stopwatch is not None:
                for clock in self._stopwatch.records():
                    self.emit(clock)
            self._step("reading the source", self._tell_statements)
            self._note_end(exception)
            self.emit(End(status, exit_code))
            self._state = _State.CLOSED
            if self._log is not None:
                self._step("closing the log", self._log.close)
                self._log = None
        self._emitters.clear()
        return status, exit_code

    def emit(self, event: Event) -> None:
        """Take one event, from any thread."""
        with self._lock:
            if self._state is not _State.OPEN:
                return
            if self._lost:
                self._lost += 1
                return
            try:
                if not self._began:
                    self._keep(self._header())
                    self._began = True
                if self.pending:
                    self.drain()
                clocks = () if self._stopwatch is None else self._stopwatch.saw(event)
                self._keep(event)
                for clock in clocks:
                    self._keep(clock)
                self.ops += type(event) is Op
                self.sources += isinstance(event, Op) and not event.inputs
                if type(event) is Site:
                    self._sites += 1
                    self._statements.saw(event)
            except Exception as failure:
                self.failed("keeping an event", failure)

    def drain(self) -> None:
        """Keep what is pending. A header went before it: a site and a signature precede every op."""
        with self._lock:
            rows = self.pending[:]
            del self.pending[: len(rows)]  # and no more: a thread may append meanwhile
            if not rows or self._state is not _State.OPEN:
                return
            if self._lost:
                self._lost += len(rows)
                return
            try:
                if self._log is None:
                    self._memory += [Op(*row) if isinstance(row, tuple) else row for row in rows]
                else:
                    self._log.emit_rows(rows)
                inputs = [row[4] for row in rows if row.__class__ is tuple]
                self.ops += len(inputs)
                self.sources += inputs.count(())
            except Exception as failure:
                self.failed("keeping an event", failure)

    def failed(self, what: str, failure: Exception) -> None:
        """Take note that something could not be emitted. Nothing is kept after that: a graph has no holes."""
        with self._lock:
            self.drain()
            self._lost += 1
            self._note_failure(what, failure)

    def missed(self, what: str, failure: Exception) -> None:
        """Take note that something could not be told that leaves no hole, such as a name."""
        with self._lock:
            self._note_failure(what, failure)

    def _keep(self, event: Event) -> None:
        if self._log is None:
            self._memory.append(event)
        else:
            self._log.emit(event)

    def _header(self) -> Header:
        """Made when the first event comes: only then is it known which framework the program uses."""
        versions = {"gradviz": gradviz.__version__, "python": platform.python_version()}
        for package in ("numpy", "torch"):
            if package == "torch" and package not in self._emitters:
                continue  # not imported, or gradviz itself in its place
            version = getattr(sys.modules.get(package), "__version__", None)
            if version is not None:
                versions[package] = str(version)
        producers = [front_end.producer for front_end in FRONT_ENDS if front_end.producer in self._emitters]
        return Header("+".join(producers), self._target, tuple(sorted(versions.items())))

    def _install(self, front_end: FrontEnd) -> None:
        def install() -> None:
            emitter = import_module(front_end.emitter).Emitter(self)
            # Known before it listens, because the header names it and may be written by the first op of any thread.
            self._emitters[front_end.producer] = emitter
            try:
                emitter.install()
            except BaseException:
                del self._emitters[front_end.producer]
                raise
            if isinstance(emitter, Finder):
                self._finders.append(emitter)

        self._step(f"listening to {front_end.framework}", install)

    def _name(self, value: object, text: str) -> bool:
        return any(
            emitter.name(value, text)
            for emitter in self._emitters.values()
            if not text.endswith("()") or isinstance(emitter, Finder)  # the others know of no name but the last
        )

    def _tell_statements(self) -> None:
        for event in list(self._statements.tell(self._sites)):
            self.emit(event)

    def _note_end(self, exception: BaseException | None) -> None:
        """Say where the program ended, if not at its end, and what the recording lacks."""
        lost, self._lost = self._lost, 0
        for event in tell_ending(exception, self._sites):
            self.emit(event)
        if self._forks:
            self.emit(Note("unrecorded", "what a forked child process did is not recorded", self._forks))
        if self.failures:
            missing = f"; {lost:,} events are missing" if lost else ""
            text = f"the recording is not complete: {self.failures[0]}{missing}"
            self.emit(Note("failure", text, len(self.failures)))

    def _step(self, what: str, step: Callable[[], object]) -> None:
        """Run a step of the recording's own; what it raises is told, and both the program and the recording go on."""
        try:
            step()
        except Exception as failure:
            self._note_failure(what, failure)

    def _note_failure(self, what: str, failure: Exception) -> None:
        self.failures.append(failure_of(what, failure))

    def before_fork(self) -> None:
        """Leave nothing to the child that it could write a second time, and no lock that another thread holds."""
        self._lock.acquire()
        self.drain()
        if self._log is not None:
            self._step("writing the log", self._log.flush)

    def after_fork(self, *, child: bool) -> None:
        """Go on in the parent; in the child, neither listen nor touch the parent's log any more."""
        if child:
            self._state = _State.CLOSED
            self._log = None
            for watch in self._watches:
                watch.stop()
            for emitter in reversed(self._emitters.values()):
                self._step("the end of listening", emitter.uninstall)
        else:
            self._forks += 1
        self._lock.release()


def _running_script() -> str:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.basename(file) if isinstance(file, str) else ""


def _open_log(path: str) -> LogWriter:
    try:
        return LogWriter(path)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise UsageError(f"cannot write `{path}`: {reason}", help="choose another path for the log") from None


def _admit(recorder: Recorder) -> None:
    global _active, _watches_forks
    with _admission:
        _active = (*_active, recorder)
        _begun[_begin()] = recorder
        if not _watches_forks and hasattr(os, "register_at_fork"):
            _watches_forks = True
            os.register_at_fork(
                before=_before_fork,
                after_in_parent=partial(_after_fork, child=False),
                after_in_child=partial(_after_fork, child=True),
            )


def _dismiss(recorder: Recorder) -> None:
    global _active
    with _admission:
        _active = tuple(other for other in _active if other is not recorder)


def _before_fork() -> None:
    _admission.acquire()
    for recorder in _active:
        recorder.before_fork()


def _after_fork(*, child: bool) -> None:
    global _active
    for recorder in _active:
        recorder.after_fork(child=child)
    if child:
        _active = ()
    _admission.release()
