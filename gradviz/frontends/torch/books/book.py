"""The book of a recording: what has been told so far, under which numbers, and what each thread is doing.

Every part of the front end writes through it, holding its lock, so that an event comes after all that it refers to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch

from gradviz import events
from gradviz.frontends.torch.books.here import Here, Region
from gradviz.frontends.torch.books.identity import Kinds, Known, Tensors
from gradviz.frontends.torch.books.measuring import MeasuredTensors
from gradviz.frontends.torch.places.paths import Paths
from gradviz.ids import next_id, next_ids
from gradviz.interning import Interner, OpSink

T = TypeVar("T")

PENDING_LIMIT = 200
"""Most ops that wait to be written down together."""


class _Nowhere:
    """The sink of a recording that has ended."""

    def __init__(self) -> None:
        self.pending: list[Any] = []

    def emit(self, event: events.Event) -> None:
        pass

    def failed(self, what: str, failure: Exception) -> None:
        pass

    def missed(self, what: str, failure: Exception) -> None:
        pass

    def drain(self) -> None:
        self.pending.clear()


class Book:
    """The state that the parts of the front end share."""

    def __init__(self, sink: OpSink) -> None:
        self.sink: OpSink = sink
        self.lock = threading.RLock()
        self.interner = Interner.of(sink)
        self.numbers = self.interner.numbers
        self.paths = Paths(self.interner)
        values = getattr(sink, "values", False)
        self.tensors = MeasuredTensors(lambda measure: self.sink.emit(measure)) if values else Tensors()
        self.kinds = Kinds()
        self.threads: list[Here] = []
        self._signatures: dict[Hashable, int] = {}
        self.last_value = 0  # the last id that was given away
        self.unrecorded = 0
        self._local = threading.local()

    def here(self) -> Here | None:
        """The record of the current thread, None for one that is not recorded."""
        here: Here | None = getattr(self._local, "here", None)
        return here

    def enter_thread(self) -> Here:
        """The record of the current thread, begun here: 0 is the main one, the others count up as first seen."""
        here = self.here()
        if here is None:
            with self.lock:
                here = self._local.here = Here(self.numbers.thread())
                self.threads.append(here)
        return here

    def stand_at(self, here: Here) -> None:
        """Make `here` the record of the current thread."""
        self._local.here = here

    def guarded(self, what: str, step: Callable[..., object], *arguments: object) -> None:
        """Run a step of the recording's own; what it raises ends the recording and never reaches the program."""
        with self.lock:
            try:
                with torch._C.DisableTorchFunction():
                    step(*arguments)
            except Exception as failure:
                self.sink.failed(f"recording {what}", failure)

    def tried(self, what: str, step: Callable[..., object], *arguments: object) -> None:
        """Run a step that only adds to what is told, such as a name: if it fails, the recording goes on."""
        with self.lock:
            try:
                with torch._C.DisableTorchFunction():
                    step(*arguments)
            except Exception as failure:
                self.sink.missed(f"recording {what}", failure)

    def looked(self, what: str, look: Callable[..., T], *arguments: object) -> T | None:
        """What a look at the program's state gives, None where that failed, which ends the recording."""
        with self.lock:
            try:
                with torch._C.DisableTorchFunction():
                    return look(*arguments)
            except Exception as failure:
                self.sink.failed(f"recording {what}", failure)
                return None

    def signature(self, key: Hashable, make: Callable[[int], events.Signature]) -> int:
        """The number of the signature that `key` stands for, which `make` makes when it is first met."""
        known = self._signatures.get(key)
        if known is None:
            known = self.new_signature(make)
            self._signatures[key] = known
        return known

    def new_signature(self, make: Callable[[int], events.Signature]) -> int:
        """Emit a signature under a number of its own."""
        number = self.numbers.signature()
        self.sink.emit(make(number))
        return number

    def context(self, here: Here) -> int:
        """The context of what runs on a thread at this moment."""
        region, inside = here.region, here.inside
        if here.context < 0 or inside is not here.context_inside or region is not here.context_region:
            told = None if inside is None else inside.told
            if told is None or told[1] is not region or told[2] != here.thread:
                number = None if region is None else region.id or self.tell_region(here, region)
                scope = "" if inside is None else inside.scope
                told = self.interner.context(here.thread, scope, number), region, here.thread
                if inside is not None:
                    inside.told = told
            here.context = told[0]
            here.context_inside, here.context_region = inside, region
        return here.context

    def tell_region(self, here: Here, region: Region) -> int:
        """The id of a region, which is told of if it was not, and before it those around it."""
        untold = []
        around: Region | None = region
        while around is not None and not around.id:
            untold.append(around)
            around = around.parent
        for inner in reversed(untold):
            inner.id = self.numbers.region()
            parent = None if inner.parent is None else inner.parent.id
            self.sink.emit(events.Region(inner.id, inner.kind, inner.enabled, inner.site, here.thread, parent))
        return region.id

    def tell_op(
        self, here: Here, signature: int, site: int | None, inputs: Sequence[events.Input], count: int = 1
    ) -> int:
        """Emit an op of `count` outputs; returns the id of the first."""
        context = here.context
        if context < 0 or here.inside is not here.context_inside or here.region is not here.context_region:
            context = self.context(here)
        value = next_ids(count) if count > 1 else next_id()
        self.last_value = value + count - 1 if count > 1 else value
        pending = self.sink.pending
        pending.append((value, signature, site, context, tuple(inputs)))
        if len(pending) >= PENDING_LIMIT:
            self.sink.drain()
        return value

    def add_name(self, value: int, name: str, role: events.Role | None = None) -> None:
        """Emit a name for a value that was told of."""
        pending = self.sink.pending
        pending.append(events.Name(value, name, role))
        if len(pending) >= PENDING_LIMIT:
            self.sink.drain()

    def tell_name(self, known: Known, name: str, role: events.Role | None = None) -> None:
        """Emit the name of a tensor; for a source that is not told of yet, when it is."""
        known.target = name
        if known.value:
            self.add_name(known.value, name, role)
        else:
            known.birth = (*known.birth[:2], role)

    def close(self) -> None:
        """Let go of the sink: what was told can still be asked for, and nothing more is told."""
        self.sink = _Nowhere()
        self.interner = Interner(self.sink)

    def value_of_node(self, here: Here, node: Any, index: int) -> int | None:
        """The value that is output `index` of an autograd node, None where no recorded op made the node."""
        number = node._sequence_nr()
        for trail in (here.trail, *(other.trail for other in self.threads if other is not here)):
            value = trail.value_of(number, index)
            if value is not None:
                return value
        return None
