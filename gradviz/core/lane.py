"""The fast lane: an op that goes as one before it went, as most do, is told of without a closer look.

What is told of an op depends on where it was called, on its row, on the kinds of its inputs and on its plain arguments.
An op that is met for the first time takes the road of `Emitter`, which looks at everything. What came of it is kept as
a plan. Both roads tell the same of an op.
"""

from __future__ import annotations

import math
from time import monotonic
from typing import Any, TypeAlias

from gradviz import events
from gradviz.core.trace import HOOKED, LATE, PART, SEVERAL, Faint, Link, Node, Trace, Untracked, origin_of, told_of
from gradviz.events import Sweep
from gradviz.interning import OpSink, Row
from gradviz.sites import Spot

PLAN_LIMIT = 4096
"""Most places that are remembered; a program that compiles code in a loop must not grow for it."""
WAYS_LIMIT = 8
"""Most plans for one place; the oldest makes room."""
PENDING_LIMIT = 200
"""Most ops that wait to be written down together."""
PENDING_SECONDS = 0.5
"""A sweep that comes so long after the last time has them written: the next one may take as long."""
_EARLY = 20
"""Of the first ops, one in so many may wait: a program that dies at once is the one whose last op is looked for."""

_SLOW = HOOKED | LATE | PART | SEVERAL
_TOLD = frozenset({"called", "region", "whole"})
"""What is rare in a record and told of as of any other."""
_PLAIN = frozenset({int, float, bool, str, type(None)})

Path = tuple[Spot, ...]
Kind: TypeAlias = tuple[tuple[int, ...], Any] | None
"""Shape and numpy type of an input, or `ANY` where the signature does not depend on it; None for a plain number."""
ANY: Kind = ((), None)


def _is_plain(item: object) -> bool:
    """Whether an argument is a number, a text or the like, or a tuple of these, so that its text says all of it."""
    return type(item) in _PLAIN or (isinstance(item, tuple) and all(type(part) in _PLAIN for part in item))


class Plan:
    """What came of an op: the signature and the site that it was told with, and what the next one must be like.

    kinds   for each input that is told of its kind
    text    of the plain arguments
    """

    __slots__ = (
        "cause",
        "flags",
        "kind",
        "kinds",
        "links",
        "name",
        "needs",
        "row",
        "shape",
        "signature",
        "site",
        "static",
        "text",
    )

    def __init__(self, step: Trace, signature: int, site: int | None) -> None:
        self.row, self.needs, self.flags, self.cause = step.row, step.needs, step.flags, step.cause
        self.shape, self.kind = step.shape, step.array_type
        self.static = step.static
        self.text = repr(step.static)
        self.links = len(step.links)
        told, _ = told_of(step)
        keeps = step.tracked and self.row.saved_names  # what the node keeps is told with its type
        self.kinds: tuple[Kind, ...] = tuple(
            None if origin is None else (origin.shape, origin.array_type) if keeps else ANY
            for origin, _ in map(origin_of, told)
        )
        self.name = step.op_name
        self.signature, self.site = signature, site


class Lane:
    """The plans of one recording.

    began   ids below it are of ops from before; those in `older` were told of all the same, and `flags` has what was
            told of the leaves among them
    """

    def __init__(self, sink: OpSink, older: set[int], flags: dict[int, bool]) -> None:
        self.began = 0
        self._sink = sink
        self._older = older
        self._flags = flags
        self._plans: dict[Path, list[Plan]] = {}
        self._told = 0
        self._drained = -math.inf

    def plan_of(self, step: Trace, path: Path) -> tuple[Plan, tuple[events.Input, ...]] | None:
        """The plan for an op and what is told of its inputs; None where it needs a closer look."""
        plans = self._plans.get(path)
        if plans is None or step.id < self.began:
            return None
        rare, flags, links, needs = step.rare, step.flags, step.links, step.needs  # to read a record takes longest
        if rare is not None and not rare.keys() <= _TOLD:
            return None
        for plan in plans:  # of none with a slow flag
            if (
                step.row is plan.row
                and flags == plan.flags
                and step.shape is plan.shape
                and step.array_type is plan.kind
                and needs == plan.needs
                and step.cause is plan.cause
                and (step.static is plan.static or repr(step.static) == plan.text)
                and len(links) == plan.links
                and (rare is None or step.op_name == plan.name)
            ):
                told = (links, needs) if rare is None else told_of(step)
                inputs = self._inputs(*told, plan.kinds)
                if inputs is not None:
                    return plan, inputs
        return None

    def _inputs(
        self, links: tuple[Link, ...], needs: tuple[bool, ...], kinds: tuple[Kind, ...]
    ) -> tuple[events.Input, ...] | None:
        """What is told of an op's inputs, None where one is not of its kind or was not told of as it is."""
        if len(links) != len(kinds):
            return None
        inputs: list[events.Input] = []
        for link, kind, need in zip(links, kinds, needs):  # noqa: B905 - of one length, and this is the inner loop
            if kind is None:
                if link.__class__ is not float and link.__class__ is not int:
                    return None
                inputs.append(repr(link))
                continue
            if link.__class__ is Faint:
                link, _ = origin_of(link)
            elif link.__class__ is not Untracked and not isinstance(link, Node):
                return None
            if link.flags & _SLOW:
                return None
            if kind is not ANY and (link.shape is not kind[0] or link.array_type is not kind[1]):
                return None
            value = link.id
            if value < self.began and (value not in self._older or self._flags.get(value, need) != need):
                return None
            inputs.append(value)
        return tuple(inputs)

    def add(self, row: Row) -> None:
        """Put the fields of an op, or a small record, into the sink's queue."""
        pending = self._sink.pending
        pending.append(row)
        self._told += 1
        if len(pending) >= PENDING_LIMIT or len(pending) > self._told // _EARLY or (
            row.__class__ is Sweep and monotonic() - self._drained >= PENDING_SECONDS
        ):
            self._sink.drain()
            self._drained = monotonic()

    def keep(self, step: Trace, path: Path, signature: int, site: int | None) -> None:
        """Plan for ops that are like one that was looked at closely."""
        told = step.rare is None or step.rare.keys() <= _TOLD
        if not told or step.flags & _SLOW or None in step.links or step.row.key == "copy_slices":
            return
        if not all(map(_is_plain, step.static)):  # an array among them would live as long as the recording
            return
        if len(self._plans) >= PLAN_LIMIT:
            self._plans.clear()
        plans = self._plans.setdefault(path, [])
        plans.append(Plan(step, signature, site))
        del plans[:-WAYS_LIMIT]
