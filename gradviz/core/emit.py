"""From the core to events: what a recording hears while ops run, and what can still be told of a tensor afterwards.

Both come from the same records. A live recording is told of each Trace or Node as it is made; `snapshot` walks back
from a tensor through the records that are still linked. What happened before a recording began is walked back to when
it is first used.
"""

from __future__ import annotations

import linecache
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any, Protocol

import numpy as np

from gradviz import events
from gradviz.core.grad_mode import FIRST_LINE, Region, current
from gradviz.core.listeners import listeners
from gradviz.core.signatures import input_of, input_type, literal, outputs_of, saved_by
from gradviz.core.tensor import Tensor
from gradviz.core.trace import ALIAS, INNER, INPLACE, KEEPS_NODE, LEAF_GRAD, Node, Trace, next_id, seen
from gradviz.sites import Place, Spot, call_path, decode, spot_at

Key = tuple[Any, ...]
class Sink(Protocol):
    """Where events go."""

    def emit(self, event: events.Event) -> None: ...

    def failed(self, what: str, failure: Exception) -> None: ...


class Emitter:
    """Listens to the core and emits events into a sink; each site, signature and context is emitted once."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lock = threading.RLock()
        self._here = threading.local()
        self._threads = 0
        self._began = 0
        self._older: set[int] = set()
        self._sites: dict[Key, int] = {}
        self._paths: dict[tuple[tuple[Spot, ...], bool], int | None] = {}
        self._targets: list[str] = []
        self._signatures: dict[Key, int] = {}
        self._contexts: dict[Key, int] = {}
        self._regions: dict[int, int] = {}
        self._region_count = 0
        self._sweeps = 0
        self._leaf_names: dict[int, tuple[weakref.ref[Tensor], str]] = {}

    # ---- as a listener of the core

    def install(self) -> None:
        """Start to listen, in all threads."""
        self._began = next_id()
        listeners.append(self)

    def uninstall(self) -> None:
        """Stop listening."""
        if self in listeners:
            listeners.remove(self)

    def op_ran(self, step: Trace, frame: FrameType) -> None:
        """Emit an op that has just run."""
        self._guarded("an op", self._op, step, frame)

    def named(self, tensor: Tensor, frame: FrameType) -> None:
        """Emit the name that the result of several inner ops is assigned to."""
        self._guarded("a name", self._named, tensor, frame)

    def region_opened(self, region: Region, frame: FrameType) -> None:
        """Emit a switch of the grad mode."""
        self._guarded("a grad mode", self._region, region, frame)

    def region_closed(self, region: Region) -> None:
        """Emit its end."""
        self._guarded("a grad mode", self._region_end, region)

    def flag_set(self, leaf: Tensor, frame: FrameType) -> None:
        """Emit a change of a leaf's `requires_grad`."""
        self._guarded("requires_grad", self._flag, leaf, frame)

    def sweep_ran(self, sweep: Any, frame: FrameType) -> None:
        """Emit a backward pass."""
        self._guarded("a backward pass", self._sweep, sweep, frame)

    def name(self, value: object, name: str, role: events.Role | None = None) -> bool:
        """Emit the user's name for a value. True where `value` is a tensor of the core."""
        if not issubclass(type(value), Tensor):  # `isinstance` would ask a `__class__` of the object's own
            return False
        assert isinstance(value, Tensor)
        with self._lock:
            id = _value_id(value)
            if id >= self._began or id in self._older:
                self._sink.emit(events.Name(id, name, role))
        return True

    def _guarded(self, what: str, step: Callable[..., None], *arguments: Any) -> None:
        with self._lock:
            try:
                step(*arguments)
            except Exception as failure:
                self._sink.failed(f"recording {what}", failure)

    # ---- one method an event

    def _op(self, step: Trace, frame: FrameType) -> None:
        for link in step.links:
            origin, _ = seen(link, step.id)
            if origin is not None and origin.id < self._began:
                self.history((origin,))
        site = self._site(call_path(frame), bool(step.flags & INNER))
        region = None if step.region is None else self._region_id(step.region)
        self._emit_op(step, site, self._context(self._thread(), region))

    def _emit_op(self, step: Trace, site: int | None, context: int) -> None:
        inputs = tuple(input_of(link, step.id) for link in step.links)
        self._sink.emit(events.Op(step.id, self._signature(step), site, context, inputs, step.forgotten))

    def _named(self, tensor: Tensor, frame: FrameType) -> None:
        site = self._site(call_path(frame), False)
        if site is not None and self._targets[site]:
            self._sink.emit(events.Name(_value_id(tensor), self._targets[site]))

    def _flag(self, leaf: Tensor, frame: FrameType) -> None:
        self._know(leaf)
        site = self._site(call_path(frame), False)
        self._sink.emit(events.RequiresGrad(_value_id(leaf), leaf._requires_grad, site))

    def _region(self, region: Region, frame: FrameType) -> None:
        spots = call_path(frame)
        if region.lasti == FIRST_LINE and region.code is not None:
            spots = (spot_at(region.code, FIRST_LINE), *spots)
        self._region_id(region, self._site(spots, True), self._thread())

    def _region_id(self, region: Region, site: int | None = None, thread: int | None = None) -> int:
        known = self._regions.get(region.id)
        if known is not None:
            return known
        parent = None if region.parent is None else self._region_id(region.parent)
        if site is None and region.code is not None:
            site = self._site((spot_at(region.code, region.lasti),), True)
        self._region_count += 1
        known = self._regions[region.id] = self._region_count
        here = self._thread() if thread is None else thread
        self._sink.emit(events.Region(known, region.kind, region.enabled, site, here, parent))
        return known

    def _region_end(self, region: Region) -> None:
        known = self._regions.pop(region.id, None)
        if known is not None:
            self._sink.emit(events.RegionEnd(known))

    def _sweep(self, sweep: Any, frame: FrameType) -> None:
        for tensor in (*sweep.roots, *(sweep.inputs or ()), *(leaf for leaf, _ in sweep.fed)):
            self._know(tensor)
        site = self._site(call_path(frame), False)
        gradients = []
        for leaf, grad in sweep.fed:
            gradients.append(_gradient(_value_id(leaf), grad))
            name = self._leaf_name(leaf)
            if name:
                self.name(grad, f"{name}.grad")
        region = current()
        self._sweeps += 1
        self._sink.emit(
            events.Sweep(
                id=self._sweeps,
                kind=sweep.kind,
                roots=tuple(_value_id(root) for root in sweep.roots),
                site=site,
                context=self._context(self._thread(), None if region is None else self._region_id(region)),
                inputs=None if sweep.inputs is None else tuple(_value_id(tensor) for tensor in sweep.inputs),
                gradients=tuple(gradients),
                freed=not sweep.retain_graph,
                create_graph=sweep.create_graph,
                error=sweep.error,
            )
        )

    def _leaf_name(self, leaf: Tensor) -> str:
        """The name that a leaf had when it was first fed: later, an update in a loop may have called it `p`."""
        known = self._leaf_names.get(id(leaf))
        if known is None or known[0]() is not leaf:
            origin = leaf._origin
            known = weakref.ref(leaf), decode(origin.code, origin.lasti).target
            self._leaf_names[id(leaf)] = known
        return known[1]

    def _know(self, tensor: Tensor) -> None:
        origin, _ = _made_by(tensor)
        if origin.id < self._began:
            self.history((origin,))

    def history(self, origins: Iterable[Trace]) -> None:
        """Emit the ops that lead to `origins` and were not emitted yet, oldest first."""
        queue = [origin for origin in origins if origin.id < self._began and origin.id not in self._older]
        self._older.update(origin.id for origin in queue)
        for step in queue:
            for link in step.links:
                origin, _ = seen(link, step.id)
                if origin is not None and origin.id < self._began and origin.id not in self._older:
                    self._older.add(origin.id)
                    queue.append(origin)
        queue.sort(key=lambda step: step.id)
        for step in queue:
            site = self._site((spot_at(step.code, step.lasti),), bool(step.flags & INNER))
            region = None if step.region is None else self._region_id(step.region)
            self._emit_op(step, site, self._context(0, region))
            self._older.update(step.id + 1 + number for number in range(len(step.more)))

    # ---- what is emitted once

    def _site(self, path: tuple[Spot, ...], unnamed: bool) -> int | None:
        """The site at the inner end of a call path; `unnamed` where its result has no name of the user's."""
        known = self._paths.get((path, unnamed), -1)
        if known != -1:
            return known
        site: int | None = None
        target = ""
        for depth in range(len(path) - 1, -1, -1):
            spot = path[depth]
            innermost = depth == 0
            place = _place(spot)
            target = place.target or (target if place.returns else "")
            key: Key = (spot, site, target, innermost and unnamed)
            found = self._sites.get(key)
            if found is None:
                found = len(self._targets)
                self._sites[key] = found
                shown = "" if innermost and unnamed else target
                self._targets.append(shown)
                self._sink.emit(
                    events.Site(
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
            site = found
        self._paths[(path, unnamed)] = site
        return site

    def _signature(self, step: Trace) -> int:
        row = step.row
        key: Key = (
            row.key,
            step.tracked,
            step.cause,
            step.needs,
            step.flags & (ALIAS | INPLACE | LEAF_GRAD | KEEPS_NODE),
            step.shape,
            step.array_type,
            step.more,
            tuple(map(literal, step.static)),
            tuple(input_type(link) for link in step.links) if row.saved_names and step.tracked else (),
        )
        known = self._signatures.get(key)
        if known is None:
            known = self._signatures[key] = len(self._signatures)
            attrs = tuple(zip(row.static, key[8], strict=True))
            self._sink.emit(
                events.Signature(
                    id=known,
                    name=row.name,
                    node=type(step).__name__ if step.tracked else "",
                    tracked=step.tracked,
                    cause=step.cause,
                    needs=step.needs,
                    outputs=outputs_of(step),
                    alias=0 if step.flags & ALIAS and step.links else None,
                    inplace=bool(step.flags & INPLACE and step.links),
                    saved=saved_by(step) if isinstance(step, Node) else (),
                    attrs=tuple(pair for pair in attrs if pair[1]),
                )
            )
        return known

    def _context(self, thread: int, region: int | None) -> int:
        known = self._contexts.get((thread, region))
        if known is None:
            known = self._contexts[(thread, region)] = len(self._contexts)
            self._sink.emit(events.Context(known, thread, "", region))
        return known

    def _thread(self) -> int:
        """0 for the main thread; the others count up as they are first seen."""
        number: int | None = getattr(self._here, "number", None)
        if number is None:
            if threading.current_thread() is threading.main_thread():
                number = 0
            else:
                self._threads += 1
                number = self._threads
            self._here.number = number
        return number


class _List:
    """A sink that keeps events in a list; a failure is the caller's to see."""

    def __init__(self) -> None:
        self.events: list[events.Event] = []

    def emit(self, event: events.Event) -> None:
        self.events.append(event)

    def failed(self, what: str, failure: Exception) -> None:
        raise failure


def snapshot(tensors: Sequence[Tensor], names: Mapping[str, Tensor] | None = None) -> list[events.Event]:
    """The events that lead to `tensors`, from what the core remembers without a recording.

    names: the user's names for tensors, which go before those from assignments.
    """
    sink = _List()
    sink.emit(events.Header("core"))
    emitter = Emitter(sink)
    emitter._began = next_id()
    named = names or {}
    emitter.history(_made_by(tensor)[0] for tensor in (*tensors, *named.values()) if isinstance(tensor, Tensor))
    for name, tensor in named.items():
        emitter.name(tensor, name)
    for region in sorted(emitter._regions.values()):
        sink.emit(events.RegionEnd(region))
    sink.emit(events.End())
    return sink.events


def value_id(tensor: Tensor) -> int:
    """The id of the value that a tensor is at present."""
    tensor._refresh(strict=False)
    return _value_id(tensor)


def _value_id(tensor: Tensor) -> int:
    origin, number = _made_by(tensor)
    return origin.id + number


def _made_by(tensor: Tensor) -> tuple[Trace, int]:
    """The op that made a tensor what it is at present, and the output number."""
    origin, number = seen((tensor._origin, tensor._number), sys.maxsize)
    assert origin is not None
    return origin, number


def _place(spot: Spot) -> Place:
    code, lasti = spot
    if lasti == FIRST_LINE:
        return _first_line(code)
    return decode(code, lasti)


def _first_line(code: CodeType) -> Place:
    """The place of a decorated function: the line of its first decorator."""
    place = decode(code, 0)
    line = code.co_firstlineno
    text = linecache.getline(code.co_filename, line).rstrip("\r\n")[:200]
    return replace(place, line=line, end_line=line, column=-1, end_column=-1, target="", text=text, returns=False)


def _gradient(value: int, grad: Tensor) -> events.Gradient:
    flat = np.asarray(grad._data, dtype=np.float64).ravel()
    norm = math.sqrt(float(np.dot(flat, flat)))
    return events.Gradient(value, norm, zero=norm == 0.0, nan=math.isnan(norm))
