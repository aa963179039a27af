"""The book of a recording: what has been told so far, under which numbers, and what each thread is doing.

Every part of the front end writes through it, holding its lock, so that an event comes after all that it refers to.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from gradviz import events
from gradviz.frontends.torch.identity import Kinds, Known, Tensors
from gradviz.frontends.torch.measuring import MeasuredTensors
from gradviz.frontends.torch.paths import Inside, Paths
from gradviz.ids import next_id, next_ids
from gradviz.interning import Interner, OpSink

T = TypeVar("T")

TRAIL_LIMIT = 1 << 20
"""Most ops of one thread whose autograd nodes can be told; beyond that the older half is let go."""

COUNTS = 1 << 12
"""One more than the most outputs of an op that `Trail` tells apart."""

PENDING_LIMIT = 200
"""Most ops that wait to be written down together."""


@dataclass(eq=False, slots=True)
class Region:
    """A grad-mode switch in effect on one thread; `cause` is what it does to an op, None where it turns grad on.

    `id` is 0 until the region is told of: one that a library opened and in which nothing ran is not.
    """

    kind: str
    enabled: bool
    cause: events.Cause | None
    parent: Region | None
    site: int | None
    id: int = 0


class Trail:
    """Which op made which autograd nodes of one thread, told by the nodes' sequence numbers, which only grow.

    Each entry is the number that follows an op's last node, and the op's id with the count of its outputs; an entry
    for no op covers the numbers that recorded ops left out. `end` is the number that follows the last entry's nodes.
    """

    def __init__(self) -> None:
        self.ends = array("q")
        self.ops = array("q")
        self.end = 0
        self._recalled: dict[int, int] = {}

    def add(self, start: int, end: int, op: int, count: int = 1) -> None:
        """The nodes numbered from `start` to before `end` belong to `op`, which has `count` outputs."""
        ends, ops = self.ends, self.ops
        if start != self.end:
            ends.append(start)
            ops.append(0)
        self.end = end
        ends.append(end)
        ops.append(op * COUNTS + count if count < COUNTS else _packed(op, count))
        if len(ops) > TRAIL_LIMIT:
            del ends[: TRAIL_LIMIT // 2], ops[: TRAIL_LIMIT // 2]
            ops[0] = 0

    def recall(self, number: int, op: int, count: int) -> None:
        """A node made before anybody looked belongs to `op`."""
        self._recalled[number] = _packed(op, count)

    def op_of(self, number: int) -> int | None:
        """The op whose node has this sequence number, None where no recorded op made it."""
        at = bisect_right(self.ends, number)
        packed = self.ops[at] if at < len(self.ops) else 0
        return packed // COUNTS or None

    def value_of(self, number: int, index: int) -> int | None:
        """The value that is output `index` of a node, as nearly as can be told where an op has several nodes."""
        at = bisect_right(self.ends, number)
        packed = self.ops[at] if at < len(self.ops) else 0
        packed = packed or self._recalled.get(number, 0)
        if not packed:
            return None
        op, count = divmod(packed, COUNTS)
        return op + index if index < count else op


def _packed(op: int, count: int) -> int:
    return op * COUNTS + min(count, COUNTS - 1)


class Here:
    """What one thread is doing: its number, its innermost grad-mode region, the module that it runs, its trail.

    quiet   above zero while what runs is not the user's: the engine, a custom function's forward
    fed     while the engine runs, the leaves that sweeps inside of it feed, such as a checkpoint's
    """

    __slots__ = ("context", "context_inside", "context_region", "fed", "inside", "quiet", "region", "thread", "trail")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.region: Region | None = None
        self.inside: Inside | None = None
        self.context = -1
        self.context_inside: Inside | None = None
        self.context_region: Region | None = None
        self.trail = Trail()
        self.quiet = 0
        self.fed: list[Known] = []

    def is_switched_off(self) -> bool:
        """Nothing is tracked at present because the engine runs, not because somebody wrote so: see `Within`."""
        return False


class _Nowhere:
    """The sink of a recording that has ended."""

    def __init__(self) -> None:
        self.pending: list[Any] = []

    def emit(self, event: events.Event) -> None:
        pass

    def failed(self, what: str, failure: Exception) -> None:
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
