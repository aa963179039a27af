"""The fast lane: an op that goes as one before it went, as most do, is told of without a closer look.

What is told of an op depends on where it was called, on its row, on the kinds of its inputs and on its plain arguments.
An op that is met for the first time takes the road of `Emitter`, which looks at everything. What came of it is kept as
a plan. Both roads tell the same of an op.
"""

from __future__ import annotations

from gradviz import events
from gradviz.core.trace import HOOKED, LATE, PART, SEVERAL, Node, Trace, Untracked, told_of
from gradviz.interning import OpSink
from gradviz.sites import Spot

PLAN_LIMIT = 4096
"""Most places that are remembered; a program that compiles code in a loop must not grow for it."""
WAYS_LIMIT = 8
"""Most plans for one place; the oldest makes room."""
PENDING_LIMIT = 200
"""Most ops that wait to be written down together."""
_EARLY = 20
"""Of the first ops, one in so many may wait: a program that dies at once is the one whose last op is looked for."""

_SLOW = HOOKED | LATE | PART | SEVERAL
_TOLD = frozenset({"called", "region", "whole"})
"""What is rare in a record and told of as of any other."""
_PLAIN = frozenset({int, float, bool, str, type(None)})

Path = tuple[Spot, ...]


def _is_plain(item: object) -> bool:
    """Whether an argument is a number, a text or the like, or a tuple of these, so that its text says all of it."""
    return type(item) in _PLAIN or (isinstance(item, tuple) and all(type(part) in _PLAIN for part in item))


class Plan:
    """What came of an op: the signature and the site that it was told with, and what the next one must be like.

    kinds   for each input that is told of its shape and dtype; None for a plain number
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
        self.kinds = tuple((link.shape, link.array_type) if isinstance(link, Trace) else None for link in told)
        self.name = step.op_name
        self.signature, self.site = signature, site

    def fits(self, step: Trace) -> bool:
        """Whether what is told of `step` is what the plan says."""
        return (
            step.row is self.row
            and step.shape is self.shape
            and step.flags == self.flags
            and step.array_type is self.kind
            and step.needs == self.needs
            and step.cause is self.cause
            and (step.static is self.static or repr(step.static) == self.text)
            and len(step.links) == self.links
            and (step.rare is None or step.op_name == self.name)
        )


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

    def plan_of(self, step: Trace, path: Path) -> tuple[Plan, tuple[events.Input, ...]] | None:
        """The plan for an op and what is told of its inputs; None where it needs a closer look."""
        if step.flags & _SLOW or step.id < self.began or (step.rare is not None and not step.rare.keys() <= _TOLD):
            return None
        for plan in self._plans.get(path, ()):
            if plan.fits(step):
                inputs = self._inputs(step, plan)
                if inputs is not None:
                    return plan, inputs
        return None

    def _inputs(self, step: Trace, plan: Plan) -> tuple[events.Input, ...] | None:
        inputs: list[events.Input] = []
        flags = self._flags
        links, needs = (step.links, step.needs) if step.rare is None else told_of(step)
        if len(links) != len(plan.kinds):
            return None
        for link, kind, need in zip(links, plan.kinds, needs, strict=True):
            if kind is None:
                if type(link) is not float and type(link) is not int:
                    return None
                inputs.append(repr(link))
                continue
            if not isinstance(link, (Untracked, Node)) or link.flags & _SLOW:
                return None
            shape, array_type = kind
            value = link.id
            if link.shape is not shape or link.array_type is not array_type or flags.get(value, need) != need:
                return None
            if value < self.began and value not in self._older:
                return None
            inputs.append(value)
        return tuple(inputs)

    def tell(self, step: Trace, plan: Plan, context: int, inputs: tuple[events.Input, ...]) -> None:
        """Tell of an op by its plan."""
        self.add((step.id, plan.signature, plan.site, context, inputs))

    def add(self, row: events.Name | tuple[int, int, int | None, int, tuple[events.Input, ...]]) -> None:
        """Put the fields of an op, or a name, into the sink's queue."""
        pending = self._sink.pending
        pending.append(row)
        self._told += 1
        if len(pending) >= PENDING_LIMIT or len(pending) > self._told // _EARLY:
            self._sink.drain()

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
