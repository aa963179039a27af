"""Assembly: events sorted out by kind and folded, op by op, into the records of a Graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from typing import TypeVar

from gradviz import events
from gradviz.checks import drop_checks
from gradviz.collecting import uncollected
from gradviz.columns import Columns, Kind
from gradviz.errors import GraphError
from gradviz.events import (
    Act,
    Cause,
    End,
    Error,
    Event,
    Header,
    Input,
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
from gradviz.graphs import Cut, Graph, Region, Time
from gradviz.targets import single_target

R = TypeVar("R")

_HANDED_ON = "copy_slices"
"""The op by which a write into a view reaches what it is a view of: the same write, which is counted already."""

_GRAD_MODE_CAUSES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)


@uncollected
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
        self.signatures: dict[int, events.Signature] = {}
        self.contexts: dict[int, events.Context] = {}
        self.regions: dict[int, events.Region] = {}
        self.closed: set[int] = set()
        self.kinds: dict[tuple[int, int | None, int], Kind] = {}
        self.columns = Columns()
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
        columns, kinds = self.columns, self.kinds
        rows, exits, others = columns.rows, columns.exits, columns.others
        kind_of, inputs_of = columns.kinds, columns.inputs
        for event in stream:
            if type(event) is not events.Op:
                self._take_other(event)
                continue
            id, inputs = event.id, event.inputs
            key = event.signature, event.site, event.context
            try:
                kind = kinds[key] if key in kinds else self._kind(*key)
                for item in inputs:
                    if item not in rows and item.__class__ is int and item not in others:
                        raise KeyError(item)
                signature = kind.signature
                if signature.alias is not None:
                    self._share(id, inputs[signature.alias], signature.inplace, signature.name != _HANDED_ON)
            except (KeyError, IndexError):
                raise GraphError(self._complaint(event)) from None
            count = len(signature.outputs)
            for value in (id,) if count == 1 else range(id, id + count):
                if value in rows or value in others:
                    raise GraphError(f"two ops made value {value}")
                if value != id:
                    others[value] = id
            if id in exits or (not count and id in rows):
                raise GraphError(f"two ops have id {id}")
            (rows if count else exits)[id] = len(kind_of)
            kind_of.append(kind)
            inputs_of.append(inputs)
            if event.forgotten:
                columns.forgotten[id] = event.forgotten
            if signature.cause is not None and not signature.tracked:
                self.cuts += self._cuts_at(event, kind)

    def _kind(self, signature: int, site: int | None, context: int) -> Kind:
        """What ops of this kind have in common. Raises `KeyError` where they refer to nothing."""
        target = "" if site is None else self.sites[site].target
        kind = Kind(self.signatures[signature], site, self.contexts[context], target, single_target(target))
        self.kinds[signature, site, context] = kind
        return kind

    def _share(self, id: int, source: Input, inplace: bool, counts: bool) -> None:
        """Put value `id` where `source` lives. Raises `KeyError` where that is no value.

        counts: a change in place is a write of its own.
        """
        if not isinstance(source, int) or not self.columns.holds_value(source):
            raise KeyError(source)
        storage = self.columns.storages.get(source, source)
        if inplace:
            self.written[storage] = self.written.get(storage, 0) + counts
            self.rewritten.append(id)
        self.columns.storages[id] = storage
        if storage in self.written:
            self.columns.versions[id] = self.written[storage]

    def _take_other(self, event: Event) -> None:
        match event:
            case Site():
                self._resolve(f"site {event.id}", site=event.caller)
                self.sites[event.id] = event
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
        columns = self.columns
        columns.flags.update((event.value, event.requires_grad) for event in self.flags)
        self._unname_partial_sums()
        for id, told in self.names.items():
            columns.names[id] = told.name
            if told.role is not None:
                columns.roles[id] = told.role
        self._share_names()
        dropped = drop_checks(columns, self._referred())
        if dropped:
            self.cuts = [cut for cut in self.cuts if cut.op not in dropped]
            self.measures = {id: measure for id, measure in self.measures.items() if columns.holds_value(id)}
        ops = columns.ops()
        members = self._members(ops)
        regions = {
            id: Region(r.id, r.kind, r.enabled, r.site, r.thread, r.parent, id in self.closed, tuple(members[id]))
            for id, r in _by_id(self.regions).items()
        }
        self.cuts.sort(key=attrgetter("op", "position"))
        return Graph(
            self.header, _by_id(self.sites), columns.values(), ops, regions, tuple(self.cuts), tuple(self.sweeps),
            tuple(self.errors), tuple(self.notes), self.end, tuple(_by_id(self.optimizers).values()), tuple(self.acts),
            tuple(self.flags), tuple(self._times()), tuple(self.modules), tuple(self.work), tuple(self.statements),
            tuple(self.order), _by_id(self.measures),
        )

    def _referred(self) -> set[int]:
        """The values that something besides an op refers to."""
        found = {flag.value for flag in self.flags} | {*self.names}
        told: list[Act | Error | Optimizer] = [*self.acts, *self.errors, *self.optimizers.values()]
        found.update(value for one in told for value in one.values)
        for sweep in self.sweeps:
            found.update((*sweep.roots, *sweep.concerned, *(gradient.value for gradient in sweep.gradients)))
        return found

    def _members(self, ops: Iterable[int]) -> dict[int, list[int]]:
        """Of each region the ops that ran in it and in none inside it."""
        members: dict[int, list[int]] = {id: [] for id in self.regions}
        if members:
            rows, exits, kinds = self.columns.rows, self.columns.exits, self.columns.kinds
            for id in ops:
                region = kinds[rows[id] if id in rows else exits[id]].context.region
                if region is not None:
                    members[region].append(id)
        return members

    def _times(self) -> Iterator[Time]:
        """What the clocks showed, by context, the time of ops first."""
        for key in sorted(self.spent, key=lambda key: tuple(-1 if part is None else part for part in key)):
            context = self.contexts[key[0]]
            yield Time(context.scope, context.region, context.thread, self.spent[key], *key[1:])

    def _cuts_at(self, op: events.Op, kind: Kind) -> Iterator[Cut]:
        """One cut for each input that a gradient could have come to."""
        cause = kind.signature.cause
        assert cause is not None
        region = kind.context.region if cause in _GRAD_MODE_CAUSES else None
        # To blame is the innermost region inside which grad mode is off.
        while region is not None and self.regions[region].enabled:
            region = self.regions[region].parent
        for position, (item, needed) in enumerate(zip(op.inputs, kind.signature.needs, strict=False)):
            if needed and isinstance(item, int):
                yield Cut(op.id, position, item, cause, op.site, region)

    def _unname_partial_sums(self) -> None:
        """Of the ops behind one `sum(losses)`, only the last one makes what the call is assigned to.

        They all stand at one site, and each takes up the result of the one before. The first adds Python's own 0.
        """
        sites = {id for id, site in self.sites.items() if site.target and _folds(site)}
        if not sites:
            return
        columns = self.columns
        for row in columns.rows.values():
            site, inputs = columns.kinds[row].site, columns.inputs[row]
            if site in sites and "0" not in inputs:
                for item in inputs:
                    if isinstance(item, int) and columns.kinds[columns.rows[columns.maker(item)]].site == site:
                        columns.names[item] = ""

    def _share_names(self) -> None:
        """Give the versions of a value that is written in place one name: they are one variable.

        First come the names that the program was asked for, then the one that the first version was assigned to.
        """
        told = set(self.names)
        columns = self.columns
        pairs: list[tuple[int, int]] = []
        for id in self.rewritten:
            row = columns.rows[id]
            item = columns.inputs[row][columns.kinds[row].signature.alias or 0]
            if isinstance(item, int):
                pairs.append((item, id))
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
        columns = self.columns
        given, own = columns.name(source), columns.name(to)
        name = (given or own) if over else (own or given)
        if name != own:
            columns.names[to] = name
        if to not in columns.roles and source in columns.roles:
            columns.roles[to] = columns.roles[source]

    def _resolve(
        self, who: str, *, values: Iterable[int] = (), site: int | None = None, region: int | None = None
    ) -> None:
        """Raise `GraphError` where one of these does not exist."""
        if site is not None and site not in self.sites:
            raise GraphError(f"{who} refers to site {site}, which does not exist")
        if region is not None and region not in self.regions:
            raise GraphError(f"{who} refers to region {region}, which does not exist")
        for value in values:
            if not self.columns.holds_value(value):
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
            if isinstance(item, int) and not self.columns.holds_value(item):
                return f"op {op.id} uses value {item}, which no op before it made"
        return f"op {op.id} shares the storage of an argument that is no value"


def _folds(site: Site) -> bool:
    """Whether a site is a call of Python's own that runs one op after the other: `sum(losses)`."""
    return re.match(r"(sum|(math\.)?prod|(functools\.)?reduce)\(", site.text[max(site.column, 0) :]) is not None


def _by_id(records: dict[int, R]) -> dict[int, R]:
    """Ordered by id: threads that run side by side emit out of turn."""
    return records if all(before < after for before, after in pairwise(records)) else dict(sorted(records.items()))
