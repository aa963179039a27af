"""Assembly: events sorted out by kind and folded, op by op, into the records of a Graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, make_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any

from gradviz import events
from gradviz.errors import GraphError
from gradviz.events import Cause, End, Error, Event, Header, Note, Site, Sweep
from gradviz.graphs import Cut, Graph, Op, Region, Value

_GRAD_MODE_CAUSES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)


def assemble(stream: Iterable[Event]) -> Graph:
    """`Graph.build`: fold `stream`, in the order in which its events were emitted."""
    return _Folding(stream).graph()


class _Folding:
    """Events sorted out by kind, then folded by id: threads may emit out of turn, but an input's id is always lower."""

    def __init__(self, stream: Iterable[Event]) -> None:
        self.header = Header("")
        self.sites: dict[int, Site] = {}
        self.signatures: dict[int, events.Signature] = {}
        self.contexts: dict[int, events.Context] = {}
        self.regions: dict[int, events.Region] = {}
        self.closed: set[int] = set()
        self.ran: list[events.Op] = []
        self.names: dict[int, events.Name] = {}
        self.flags: dict[int, bool] = {}
        self.sweeps: list[Sweep] = []
        self.errors: list[Error] = []
        self.notes: list[Note] = []
        self.end: End | None = None
        for event in stream:
            if type(event) is events.Op:
                self.ran.append(event)
            else:
                self._take(event)
        self.ran.sort(key=attrgetter("id"))

    def _take(self, event: Event) -> None:
        match event:
            case Site():
                self.sites[event.id] = event
            case events.Signature():
                self.signatures[event.id] = event
            case events.Context():
                self.contexts[event.id] = event
            case events.Region():
                self.regions[event.id] = event
            case events.RegionEnd():
                self.closed.add(event.id)
            case events.Name():
                earlier = self.names.get(event.value)
                role = event.role or (earlier.role if earlier else None)
                self.names[event.value] = replace(event, role=role)
            case events.RequiresGrad():
                self.flags[event.value] = event.requires_grad
            case Sweep():
                self.sweeps.append(event)
            case Error():
                self.errors.append(event)
            case Note():
                self.notes.append(event)
            case End():
                self.end = event
            case Header():
                self.header = event

    def graph(self) -> Graph:
        self._check_surroundings()
        values, ops, cuts = self._run_ops()
        self._check_statements(values)
        self._name_earlier_versions(values, ops)
        members: dict[int, list[int]] = {id: [] for id in self.regions}
        for op in ops.values():
            if op.region is not None:
                members[op.region].append(op.id)
        regions = {
            id: Region(r.id, r.kind, r.enabled, r.site, r.thread, r.parent, id in self.closed, tuple(members[id]))
            for id, r in sorted(self.regions.items())
        }
        return Graph(
            self.header, dict(sorted(self.sites.items())), values, ops, regions, tuple(cuts), tuple(self.sweeps),
            tuple(self.errors), tuple(self.notes), self.end,
        )

    def _run_ops(self) -> tuple[dict[int, Value], dict[int, Op], list[Cut]]:
        """One pass over the ops, by id. It is the hot loop of reading a log: what can be looked up is not computed."""
        values: dict[int, Value] = {}
        ops: dict[int, Op] = {}
        cuts: list[Cut] = []
        written: dict[int, int] = {}
        targets = {id: _single_target(site.target) for id, site in self.sites.items()}
        signatures, contexts, names, flags = self.signatures, self.contexts, self.names, self.flags
        draft_value, draft_op = _draft(Value), _draft(Op)
        free = 0
        for record in self.ran:
            id, inputs, site = record.id, record.inputs, record.site
            try:
                signature, context = signatures[record.signature], contexts[record.context]
                target = "" if site is None else targets[site]
                for item in inputs:
                    if item.__class__ is int:
                        values[item]  # looked up for its KeyError
                origin = None if signature.alias is None else values[inputs[signature.alias]]  # type: ignore[index]
            except (KeyError, IndexError):
                raise GraphError(self._complaint(record, values)) from None
            if id < free:
                raise GraphError(f"two ops claim id {id}")
            outputs = signature.outputs
            count = len(outputs)
            free = id + (count or 1)
            for index, output in enumerate(outputs):
                value = id + index
                storage, version, role = value, 0, None
                name = target if count == 1 or site is None else _unpacked(self.sites[site].target, index, count)
                if origin is not None and not index:
                    storage = origin.storage
                    if signature.inplace:
                        written[storage] = written.get(storage, 0) + 1
                        name, role = name or origin.name, origin.role
                    version = written.get(storage, 0)
                if value in names:
                    name, role = names[value].name, names[value].role or role
                made = draft_value(
                    value, id, index, output.shape, output.dtype, output.nbytes, storage, version,
                    flags.get(value, output.requires_grad), output.leaf, role, name,
                )
                made.__class__ = Value
                values[value] = made
            made = draft_op(
                id, signature.name, signature.node, signature.tracked, signature.cause, inputs, signature.needs,
                (id,) if count == 1 else tuple(range(id, id + count)), signature.alias, signature.inplace,
                signature.saved, signature.attrs, site, context.scope, context.region, context.thread, record.forgotten,
            )
            made.__class__ = Op
            ops[id] = made
            if signature.cause is not None and not signature.tracked:
                cuts += self._cuts_at(made)
        return values, ops, cuts

    def _cuts_at(self, op: Op) -> Iterator[Cut]:
        """One cut for each input that a gradient could have come to."""
        assert op.cause is not None
        region = op.region if op.cause in _GRAD_MODE_CAUSES else None
        # To blame is the innermost region inside which grad mode is off.
        while region is not None and region in self.regions and self.regions[region].enabled:
            region = self.regions[region].parent
        for position, (item, needed) in enumerate(zip(op.inputs, op.needs, strict=False)):
            if needed and isinstance(item, int):
                yield Cut(op.id, position, item, op.cause, op.site, region)

    def _name_earlier_versions(self, values: dict[int, Value], ops: dict[int, Op]) -> None:
        """A value written in place is one variable: a version without a name has that of the next one."""
        for record in reversed(self.ran):
            if self.signatures[record.signature].inplace:
                op = ops[record.id]
                later, earlier = values[op.id], values[op.inputs[op.alias or 0]]  # type: ignore[index]
                if (later.name and not earlier.name) or (later.role and not earlier.role):
                    values[earlier.id] = replace(
                        earlier, name=earlier.name or later.name, role=earlier.role or later.role
                    )

    def _complaint(self, record: events.Op, values: Mapping[int, Value]) -> str:
        """What `record` refers to in vain."""
        for kind, id, known in (
            ("signature", record.signature, self.signatures),
            ("context", record.context, self.contexts),
            ("site", record.site, self.sites),
        ):
            if id is not None and id not in known:
                return f"op {record.id} refers to {kind} {id}, which does not exist"
        for item in record.inputs:
            if isinstance(item, int) and item not in values:
                return f"op {record.id} uses value {item}, which no op before it made"
        return f"op {record.id} shares the storage of an argument that is no value"

    def _check_surroundings(self) -> None:
        """Raise `GraphError` where a region, a context or a site refers to nothing."""
        for region in self.regions.values():
            _resolve(f"region {region.id}", "region", [region.parent], self.regions)
            _resolve(f"region {region.id}", "site", [region.site], self.sites)
        _resolve("the end of a region", "region", self.closed, self.regions)
        for context in self.contexts.values():
            _resolve(f"context {context.id}", "region", [context.region], self.regions)
        for site in self.sites.values():
            _resolve(f"site {site.id}", "site", [site.caller], self.sites)

    def _check_statements(self, values: Mapping[int, Value]) -> None:
        """Raise `GraphError` where something is said of a value that does not exist."""
        _resolve("a name", "value", self.names, values)
        _resolve("a change of requires_grad", "value", self.flags, values)
        for sweep in self.sweeps:
            told = [*sweep.roots, *(sweep.inputs or ()), *(gradient.value for gradient in sweep.gradients)]
            _resolve(f"sweep {sweep.id}", "value", told, values)
            _resolve(f"sweep {sweep.id}", "site", [sweep.site], self.sites)
        for error in self.errors:
            _resolve("an error", "value", error.values, values)
            _resolve("an error", "site", [error.site], self.sites)


def _resolve(who: str, kind: str, ids: Iterable[int | None], known: Mapping[int, object]) -> None:
    for id in ids:
        if id is not None and id not in known:
            raise GraphError(f"{who} refers to {kind} {id}, which does not exist")


@cache
def _draft(record: type) -> Any:
    """A writable twin of a frozen record: an instance is filled, then made a record by setting its `__class__`.

    A frozen dataclass stores every field through `object.__setattr__`. That took 4.9 s of the 7.6 s in which a million
    ops were folded; with the twins it is 2.5 s.
    """
    return make_dataclass(f"_{record.__name__}Draft", [field.name for field in fields(record)], slots=True)


def _single_target(target: str) -> str:
    """The name that an assignment to `target` gives a lone result: none for an unpacked tuple, none for `_`."""
    return "" if target == "_" or len(_split(target)) > 1 else target


def _unpacked(target: str, index: int, count: int) -> str:
    """The name that an assignment to `target` gives result `index` of `count`: `a` of `a, b`, or `r[0]` of `r`."""
    parts = _split(target)
    if parts == [""]:
        return ""
    if len(parts) == 1:
        return f"{target}[{index}]"
    star = next((at for at, part in enumerate(parts) if part.startswith("*")), None)
    if star is not None:
        rest = count - len(parts) + 1
        parts[star:star + 1] = [f"{parts[star][1:]}[{at}]" for at in range(rest)]
    return parts[index] if len(parts) == count and parts[index] != "_" else ""


def _split(target: str) -> list[str]:
    """The parts of an assignment target: `a, b[i, j]` has two."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(target):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append(target[start:at].strip())
            start = at + 1
    rest = target[start:].strip()
    return [*parts, rest] if rest or not parts else parts
