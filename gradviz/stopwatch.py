"""The stopwatch of a recording with times: real time that passed, charged to where the program was meanwhile.

A producer tells of an op just after it ran. So what passed since the event before, on the same thread, belongs to the
op: its own time, what Python did before it, and what the recording itself did for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import RLock, get_ident
from time import perf_counter_ns

from gradviz.events import Act, Clock, Event, Op, Region, RegionEnd, Signature, Sweep
from gradviz.interning import Row


class _Hand:
    """The stopwatch's hand of one thread.

    context   of the last op
    gradients time of gradients that were told of since the last op, by context: their sweep is told of next
    """

    __slots__ = ("context", "gradients", "since")

    def __init__(self, since: int) -> None:
        self.since = since
        self.context: int | None = None
        self.gradients: Counter[int] = Counter()


class Stopwatch:
    """Is shown every event, in order, on the thread that it happened on; `records` tells what it counted."""

    def __init__(self) -> None:
        self._hands: dict[int, _Hand] = {}
        self._spent: Counter[int] = Counter()
        self._gradients: set[int] = set()
        # Producers of two frameworks tell of their ops side by side. Reentrant: a finalizer may run an op in here.
        self._lock = RLock()

    def op_ran(self, context: int, signature: int) -> None:
        """Charge what passed to an op in `context`."""
        with self._lock:
            hand, passed = self._lap()
            if signature in self._gradients:
                hand.gradients[context] += passed
                return
            if hand.gradients:
                self._spent.update(hand.gradients)
                hand.gradients.clear()
            self._spent[context] += passed
            hand.context = context

    def saw(self, event: Event) -> tuple[Clock, ...]:
        """Charge what passed to `event`, where it takes time. Returns what is to be recorded after it.

        A step of an optimizer has a record of its own, and so has a sweep, with which goes what was counted so far: a
        killed program loses no more than one iteration.
        """
        with self._lock:
            match event:
                case Op():
                    self.op_ran(event.context, event.signature)
                case Signature(name="grad"):  # by which a producer tells, before a sweep, of the gradients it made
                    self._gradients.add(event.id)
                case Sweep():
                    hand, passed = self._lap()
                    passed += hand.gradients.total()
                    hand.gradients.clear()
                    return (Clock(event.context, passed, sweep=event.id), *self.records())
                case Act(kind="step", optimizer=int()):
                    return (Clock(event.context, self._lap()[1], optimizer=event.optimizer),)
                case Act():
                    self._spent[event.context] += self._lap()[1]
                case Region() | RegionEnd():
                    hand, passed = self._lap()
                    if hand.context is not None:
                        self._spent[hand.context] += passed
        return ()

    def records(self) -> Iterator[Clock]:
        """What ops took since this was last asked, one record for each context."""
        with self._lock:
            spent, self._spent = self._spent, Counter()
        for context in sorted(spent):
            yield Clock(context, spent[context])

    def _lap(self) -> tuple[_Hand, int]:
        """The hand of the current thread, and the nanoseconds since it was last looked at: none, the first time."""
        at = perf_counter_ns()
        hand = self._hands.get(get_ident())
        if hand is None:
            hand = self._hands[get_ident()] = _Hand(at)
        passed, hand.since = at - hand.since, at
        return hand, passed


class TimedRows(list[Row]):
    """Ops that are told of as the fields of their records, and other records; the stopwatch sees each as it comes."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self._watch = watch

    def append(self, row: Row) -> None:
        if isinstance(row, tuple):
            self._watch.op_ran(row[3], row[1])
            super().append(row)
        else:
            self.extend((row, *self._watch.saw(row)))
