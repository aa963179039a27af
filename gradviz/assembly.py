"""Assembly: events sorted out by kind and folded, op by op, into the records of a Graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields, make_dataclass, replace
from functools import cache
from itertools import pairwise
from operator import attrgetter
from typing import Any, TypeVar

from gradviz import events
from gradviz.errors import GraphError
from gradviz.events import (
    Act,
    Cause,
    End,
    Error,
    Event,
    Header,
    Measure,
    Module,
    Note,
    Optimizer,
    RequiresGrad,
    Site,
    Statement,
    Sweep,
    Work,
)
from gradviz.graphs import Cut, Graph, Op, Region, Time, Value
from gradviz.targets import single_target, unpacked_target

R = TypeVar("R")

_GRAD_MODE_CAUSES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)


def assemble(stream: Iterable[Event]) -> Graph:
    """`Graph.build`: fold `stream`, in the order in which its events were emitted."""
    folding = _Folding()
    folding.take(stream)
    return folding.graph()


class _Folding:
    """The graph in the making. What is said of a value after its birth is put aside, and applied at the end.

    written    how many in-place writes each storage has seen
    rewritten  the ops that wrote in place, by id
    """

    def __init__(self) -> None:
        self.header = Header("")
        self.sites: dict[int, Site] = {}
        self.targets: dict[int, str] = {}
        self.signatures: dict[int, events.Signature] = {}
        self.contexts: dict[int, events.Context] = {}
        self.regions: dict[int, events.Region] = {}
        self.closed: set[int] = set()
        self.values: dict[int, Value] = {}
        self.ops: dict[int, Op] = {}
        self.cuts: list[Cut] = []
        self.written: dict[int, int] = {}
        self.rewritten: list[int] = []
        self.names: dict[int, events.Name] = {}
        self.flags: list[events.RequiresGrad] = []
        self.optimizers: dict[int, Optimizer] = {}
        self.acts: list[Act] = []
        self.sweeps: list[Sweep] = []
        self.modules: list[Module] = []
        self.work: list[Work] = []
        self.statements: list[Statement] = []
        self.order: list[Optimizer | Act | RequiresGrad | Sweep] = []
        self.spent: Counter[tuple[int, int | None, int | None]] = Counter()
        self.measures: dict[int, Measure] = {}
        self.errors: list[Error] = []
        self.notes: list[Note] = []
        self.end: End | None = None

    def take(self, stream: Iterable[Event]) -> None:
        """Fold the events. This is the hot loop of reading a log: what can be looked up is not computed."""
        values, ops, written = self.values, self.ops, self.written
        targets, signatures, contexts = self.targets, self.signatures, self.contexts
        draft_value, draft_op = _draft(Value), _draft(Op)
        for event in stream:
            if type(event) is not events.Op:
                self._take_other(event)
                continue
            id, inputs, site = event.id, event.inputs, event.site
            try:
                signature, context = signatures[event.signature], contexts[event.context]
                target = "" if site is None else targets[site]
                for item in inputs:
                    if item.__class__ is int:
                        values[item]  # looked up for its KeyError
                origin = None if signature.alias is None else values[inputs[signature.alias]]  # type: ignore[index]
            except (KeyError, IndexError):
                raise GraphError(self._complaint(event)) from None
            outputs = signature.outputs
            count = len(outputs)
            for index, output in enumerate(outputs):
                value = id + index
                if value in values:
                    raise GraphError(f"two ops made value {value}")
                storage, version = value, 0
                name = target if count == 1 or site is None else unpacked_target(self.sites[site].target, index, count)
                if origin is not None and not index:
                    storage = origin.storage
                    if signature.inplace:
                        written[storage] = written.get(storage, 0) + 1
                        self.rewritten.append(id)
                    version = written.get(storage, 0)
                made = draft_value(
                    value, id, index, output.shape, output.dtype, output.nbytes, storage, version,
                    output.requires_grad, output.leaf, None, name, output.device,
                )
                made.__class__ = Value
                values[value] = made
            if id in ops:
                raise GraphError(f"two ops have id {id}")
            made = draft_op(
                id, signature.name, signature.node, signature.tracked, signature.cause, inputs, signature.needs,
                (id,) if count == 1 else tuple(range(id, id + count)), signature.alias, signature.inplace,
                signature.saved, signature.attrs, site, context.scope, context.region, context.thread,
                event.forgotten,
            )
            made.__class__ = Op
            ops[id] = made
            if signature.cause is not None and not signature.tracked:
                self.cuts += self._cuts_at(made)

    def _take_other(self, event: Event) -> None:
        match event:
            case Site():
                self._resolve(f"site {event.id}", site=event.caller)
                self.sites[event.id] = event
                self.targets[event.id] = single_target(event.target)
            case events.Signature():
                self.signatures[event.id] = event
            case events.Context():
                self._resolve(f"context {event.id}", region=event.region)
                self.contexts[event.id] = event
            case events.Region():
                self._resolve(f"region {event.id}", region=event.parent, site=event.site)
                self.regions[event.id] = event
            case events.RegionEnd():
                self._resolve("the end of a region", region=event.id)
                self.closed.add(event.id)
            case events.Name():
                self._resolve(f"the name `{event.name[:40]}`", values=[event.value])
                earlier = self.names.get(event.value)
                role = event.role or (earlier.role if earlier else None)
                self.names[event.value] = replace(event, role=role)
            case RequiresGrad():
                self._resolve("a change of `requires_grad`", values=[event.value], site=event.site)
                self.flags.append(event)
                self.order.append(event)
            case Optimizer():
                self._resolve(f"optimizer {event.id}", values=event.values, site=event.site)
                earlier_site = self.optimizers[event.id].site if event.id in self.optimizers else event.site
                self.optimizers[event.id] = replace(event, site=earlier_site)
                self.order.append(event)
            case Act():
                self._resolve(f"a `{event.kind[:40]}`", values=event.values, site=event.site)
                self.acts.append(event)
                self.order.append(event)
            case Module():
                self._resolve(f"module `{event.scope[:40]}`", site=event.site)
                self.modules.append(event)
            case Work():
                self._resolve("the work of a thread", site=event.site, region=event.region)
                self.work.append(event)
            case Statement():
                self._resolve(f"a `{event.kind[:40]}` statement", site=event.site)
                self.statements.append(event)
            case Sweep():
                given = [gradient.value for gradient in event.gradients]
                told = [*event.roots, *(event.inputs or ()), *given, *event.concerned]
                self._resolve(f"sweep {event.id}", values=told, site=event.site)
                self.sweeps.append(event)
                self.order.append(event)
            case events.Clock():
                if event.context not in self.contexts:
                    raise GraphError(f"a clock refers to context {event.context}, which does not exist")
                self.spent[event.context, event.sweep, event.optimizer] += event.nanoseconds
            case Measure():
                self._resolve("a measure", values=[event.value])
                self.measures[event.value] = event
            case Error():
                self._resolve("an error", values=event.values, site=event.site)
                self.errors.append(event)
            case Note():
                self.notes.append(event)
            case End():
                self.end = event
            case Header():
                self.header = event

    def graph(self) -> Graph:
        """What was folded so far."""
        values = self.values
        for id, flag in {event.value: event.requires_grad for event in self.flags}.items():
            values[id] = replace(values[id], requires_grad=flag)
        self._unname_partial_sums()
        for id, told in self.names.items():
            values[id] = replace(values[id], name=told.name, role=told.role)
        self._share_names()
        members: dict[int, list[int]] = {id: [] for id in self.regions}
        ops = _by_id(self.ops)
        for op in ops.values():
            if op.region is not None:
                members[op.region].append(op.id)
        regions = {
            id: Region(r.id, r.kind, r.enabled, r.site, r.thread, r.parent, id in self.closed, tuple(members[id]))
            for id, r in _by_id(self.regions).items()
        }
        self.cuts.sort(key=attrgetter("op", "position"))
        return Graph(
            self.header, _by_id(self.sites), _by_id(values), ops, regions, tuple(self.cuts), tuple(self.sweeps),
            tuple(self.errors), tuple(self.notes), self.end, tuple(_by_id(self.optimizers).values()), tuple(self.acts),
            tuple(self.flags), tuple(self._times()), tuple(self.modules), tuple(self.work), tuple(self.statements),
            tuple(self.order), _by_id(self.measures),
        )

    def _times(self) -> Iterator[Time]:
        """What the clocks showed, by context, the time of ops first."""
        for key in sorted(self.spent, key=lambda key: tuple(-1 if part is None else part for part in key)):
            context = self.contexts[key[0]]
            yield Time(context.scope, context.region, context.thread, self.spent[key], *key[1:])

    def _cuts_at(self, op: Op) -> Iterator[Cut]:
        """One cut for each input that a gradient could have come to."""
        assert op.cause is not None
        region = op.region if op.cause in _GRAD_MODE_CAUSES else None
        # To blame is the innermost region inside which grad mode is off.
        while region is not None and self.regions[region].enabled:
            region = self.regions[region].parent
        for position, (item, needed) in enumerate(zip(op.inputs, op.needs, strict=False)):
            if needed and isinstance(item, int):
                yield Cut(op.id, position, item, op.cause, op.site, region)

    def _unname_partial_sums(self) -> None:
        """Of the ops behind one `sum(losses)`, only the last one makes what the call is assigned to.

        They all stand at one site, and each takes up the result of the one before. The first adds Python's own 0.
        """
        sites = {id for id, site in self.sites.items() if site.target and _folds(site)}
        if not sites:
            return
        values = self.values
        for op in self.ops.values():
            if op.site in sites and op.outputs and "0" not in op.inputs:
                for item in op.value_inputs:
                    before = values[item]
                    if self.ops[before.op].site == op.site:
                        values[item] = replace(before, name="")

    def _share_names(self) -> None:
        """Give the versions of a value that is written in place one name: they are one variable.

        First come the names that the program was asked for, then the one that the first version was assigned to.
        """
        told = set(self.names)
        writes = [self.ops[id] for id in self.rewritten]
        pairs = [(item, op.id) for op in writes if isinstance(item := op.inputs[op.alias or 0], int)]
        for before, after in pairs:
            self._pass_on(before, after, after not in told)
            if before in told:
                told.add(after)
        for before, after in reversed(pairs):
            self._pass_on(after, before, after in told and before not in told)
            if after in told:
                told.add(before)

    def _pass_on(self, source: int, to: int, over: bool) -> None:
        """Give value `to` the name of `source`, if it has none or, with `over`, in place of its own; and its role."""
        giver, taker = self.values[source], self.values[to]
        name = (giver.name or taker.name) if over else (taker.name or giver.name)
        role = taker.role or giver.role
        if (name, role) != (taker.name, taker.role):
            self.values[to] = replace(taker, name=name, role=role)

    def _resolve(
        self, who: str, *, values: Iterable[int] = (), site: int | None = None, region: int | None = None
    ) -> None:
        """Raise `GraphError` where one of these does not exist."""
        if site is not None and site not in self.sites:
            raise GraphError(f"{who} refers to site {site}, which does not exist")
        if region is not None and region not in self.regions:
            raise GraphError(f"{who} refers to region {region}, which does not exist")
        for value in values:
            if value not in self.values:
                raise GraphError(f"{who} refers to value {value}, which does not exist")

    def _complaint(self, op: events.Op) -> str:
        """What `op` refers to in vain."""
        for kind, id, known in (
            ("signature", op.signature, self.signatures),
            ("context", op.context, self.contexts),
            ("site", op.site, self.sites),
        ):
            if id is not None and id not in known:
                return f"op {op.id} refers to {kind} {id}, which does not exist"
        for item in op.inputs:
            if isinstance(item, int) and item not in self.values:
                return f"op {op.id} uses value {item}, which no op before it made"
        return f"op {op.id} shares the storage of an argument that is no value"


def _folds(site: Site) -> bool:
    """Whether a site is a call of Python's own that runs one op after the other: `sum(losses)`."""
    return re.match(r"(sum|(math\.)?prod|(functools\.)?reduce)\(", site.text[max(site.column, 0) :]) is not None


def _by_id(records: dict[int, R]) -> dict[int, R]:
    """Ordered by id: threads that run side by side emit out of turn."""
    return records if all(before < after for before, after in pairwise(records)) else dict(sorted(records.items()))


@cache
def _draft(record: type) -> Any:
    """A writable twin of a frozen record: an instance is filled, then made a record by setting its `__class__`.

    A frozen dataclass stores every field through `object.__setattr__`. That took 4.9 s of the 7.6 s in which a million
    ops were folded; with the twins it is 2.5 s.
    """
    return make_dataclass(f"_{record.__name__}Draft", [field.name for field in fields(record)], slots=True)
