"""The book of a recording: what has been told so far, under which numbers, and what each thread is doing.

Every part of the front end writes through it, holding its lock, so that an event comes after all that it refers to.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from gradviz import events
from gradviz.frontends.torch.identity import Kinds, Tensors
from gradviz.interning import Interner, Sink

T = TypeVar("T")

TRAIL_LIMIT = 1 << 20
"""Most ops of one thread whose autograd nodes can be told; beyond that the older half is let go."""


@dataclass(eq=False, slots=True)
class Region:
    """A grad-mode switch in effect on one thread; `cause` is what it does to an op, None where it turns grad on."""

    id: int
    enabled: bool
    cause: events.Cause | None
    parent: Region | None


class Trail:
    """Which op made which autograd nodes of one thread, told by the nodes' sequence numbers, which only grow."""

    def __init__(self) -> None:
        self._starts = array("q")
        self._ends = array("q")
        self._ops = array("q")

    def add(self, start: int, end: int, op: int) -> None:
        """The nodes numbered from `start` to before `end` belong to `op`."""
        self._starts.append(start)
        self._ends.append(end)
        self._ops.append(op)
        if len(self._ops) > TRAIL_LIMIT:
            for column in (self._starts, self._ends, self._ops):
                del column[: TRAIL_LIMIT // 2]

    def op_of(self, number: int) -> int | None:
        """The op whose node has this sequence number, None where no recorded op made it."""
        at = bisect_right(self._ends, number)
        if at < len(self._ops) and self._starts[at] <= number:
            return self._ops[at]
        return None


class Here:
    """What one thread is doing: its number, its innermost grad-mode region, its module scope, its trail.

    quiet   above zero while what runs is not the user's: an optimizer, a custom function's forward
    """

    __slots__ = ("quiet", "region", "scope", "scopes", "thread", "trail")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.region: Region | None = None
        self.scope = ""
        self.scopes: list[str] = []
        self.trail = Trail()
        self.quiet = 0


class Book:
    """The state that the parts of the front end share."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.lock = threading.RLock()
        self.interner = Interner(sink)
        self.tensors = Tensors()
        self.kinds = Kinds()
        self.threads: list[Here] = []
        self._numbers = 0
        self._signatures: dict[Hashable, int] = {}
        self._signature_count = 0
        self._next = 1
        self._regions = 0
        self._local = threading.local()

    def here(self) -> Here | None:
        """The record of the current thread, None for one that is not recorded."""
        here: Here | None = getattr(self._local, "here", None)
        return here

    def enter_thread(self) -> Here:
        """The record of the current thread, begun here: 0 is the main one, the others count up as they are first seen."""
        here = self.here()
        if here is None:
            with self.lock:
                main = threading.current_thread() is threading.main_thread()
                self._numbers += not main
                here = self._local.here = Here(0 if main else self._numbers)
                self.threads.append(here)
        return here

    def guarded(self, what: str, step: Callable[..., None], *arguments: object) -> None:
        """Run a step of the recording's own; what it raises ends the recording and never reaches the program."""
        with self.lock:
            try:
                step(*arguments)
            except Exception as failure:
                self.sink.failed(f"recording {what}", failure)

    def looked(self, what: str, look: Callable[..., T], *arguments: object) -> T | None:
        """What a look at the program's state gives, None where that failed, which ends the recording."""
        with self.lock:
            try:
                return look(*arguments)
            except Exception as failure:
                self.sink.failed(f"recording {what}", failure)
                return None

    def new_values(self, count: int) -> int:
        """The first of `count` consecutive ids."""
        first = self._next
        self._next += count
        return first

    @property
    def last_value(self) -> int:
        """The last id that was given away."""
        return self._next - 1

    def signature(self, key: Hashable, make: Callable[[int], events.Signature]) -> int:
        """The number of the signature that `key` stands for, which `make` makes when it is first met."""
        known = self._signatures.get(key)
        if known is None:
            known = self.new_signature(make)
            self._signatures[key] = known
        return known

    def new_signature(self, make: Callable[[int], events.Signature]) -> int:
        """Emit a signature under a number of its own."""
        number = self._signature_count
        signature = make(number)
        self._signature_count += 1
        self.sink.emit(signature)
        return number

    def context(self, here: Here) -> int:
        """The context of what runs on a thread at this moment."""
        return self.interner.context(here.thread, here.scope, None if here.region is None else here.region.id)

    def new_region(self) -> int:
        """The id of one more region."""
        self._regions += 1
        return self._regions
