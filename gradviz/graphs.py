"""The graph: what a sequence of events says, as records that refer to each other by id.

`Graph.build` folds events into a Graph. Nothing here knows how a graph is drawn or where the events came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter

from gradviz import events
from gradviz.errors import GraphError
from gradviz.events import Cause, End, Error, Event, Header, Input, Note, Role, Saved, Site, Sweep


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor at one version.

    op          id of the op that made it; `index` says as which of its outputs
    storage     id of the value that first allocated the memory it lives in
    version     how many in-place writes that storage had seen when this value was born
    requires_grad, leaf
                at the end of the recording (a leaf's flag can change); what held when an op ran is `Op.needs`
    name        the user's name for it, or empty; from `Name` events, else from the site's assignment target
    """

    id: int
    op: int
    index: int
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    storage: int
    version: int
    requires_grad: bool
    leaf: bool
    role: Role | None
    name: str


@dataclass(frozen=True, slots=True)
class Op:
    """One operation that was run; the fields of its `events.Signature` and `events.Context` are its own here."""

    id: int
    name: str
    node: str
    tracked: bool
    cause: Cause | None
    inputs: tuple[Input, ...]
    needs: tuple[bool, ...]
    outputs: tuple[int, ...]
    alias: int | None
    inplace: bool
    saved: tuple[Saved, ...]
    attrs: tuple[tuple[str, str], ...]
    site: int | None
    scope: str
    region: int | None
    thread: int
    forgotten: int

    @property
    def value_inputs(self) -> tuple[int, ...]:
        """The inputs that are values, by argument position, literals left out."""
        return tuple(item for item in self.inputs if type(item) is int)

    @property
    def is_source(self) -> bool:
        """True for an op that makes a leaf from nothing (`tensor`, `randn`)."""
        return not self.inputs and bool(self.outputs)


@dataclass(frozen=True, slots=True)
class Region:
    """The extent of one grad-mode switch; `ops` are those whose innermost region it is."""

    id: int
    kind: str
    enabled: bool
    site: int | None
    thread: int
    parent: int | None
    closed: bool
    ops: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """Gradient could have come to `value`, but the untracked op `op` that used it stops it.

    `position` is the argument position of the value in the op; `region` the region to blame, for grad-mode causes.
    """

    op: int
    position: int
    value: int
    cause: Cause
    site: int | None
    region: int | None


@dataclass(frozen=True, slots=True)
class Graph:
    """A recording, folded. Every mapping is ordered by id; ids are those of the events."""

    header: Header
    sites: Mapping[int, Site]
    values: Mapping[int, Value]
    ops: Mapping[int, Op]
    regions: Mapping[int, Region]
    cuts: tuple[Cut, ...]
    sweeps: tuple[Sweep, ...]
    errors: tuple[Error, ...]
    notes: tuple[Note, ...]
    end: End | None

    @classmethod
    def build(cls, events: Iterable[Event]) -> Graph:
        """Fold events, in the order in which they were emitted.

        Records of a kind that this version does not know are passed over. Raises `GraphError` where a record refers
        to nothing.
        """
        return _Folding(events).graph()


_MODES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)


class _Folding:
    """The events sorted by kind, then folded in the order of their ids, which threads may have emitted out of turn."""

    def __init__(self, stream: Iterable[Event]) -> None:
        self.header = Header("")
        self.sites: dict[int, Site] = {}
        self.signatures: dict[int, events.Signature] = {}
        self.contexts: dict[int, events.Context] = {}
        self.regions: dict[int, events.Region] = {}
        self.closed: set[int] = set()
        self.ran: list[events.Op] = []
        self.named: dict[int, events.Name] = {}
        self.flags: dict[int, bool] = {}
        self.sweeps: list[Sweep] = []
        self.errors: list[Error] = []
        self.notes: list[Note] = []
        self.end: End | None = None
        run, ran_kind = self.ran.append, events.Op
        for event in stream:
            if type(event) is ran_kind:
                run(event)
            else:
                self._take(event)

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
                earlier = self.named.get(event.value)
                if event.role is None and earlier is not None:
                    event = replace(event, role=earlier.role)
                self.named[event.value] = event
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
        values, ops, cuts = self._fold_ops()
        members: dict[int, list[int]] = {id: [] for id in self.regions}
        for op in ops.values():
            if op.region is not None:
                members[op.region].append(op.id)
        regions = {
            id: Region(
                id, region.kind, region.enabled, region.site, region.thread, region.parent,
                id in self.closed, tuple(members[id]),
            )
            for id, region in sorted(self.regions.items())
        }
        return Graph(
            self.header, dict(sorted(self.sites.items())), values, ops, regions, tuple(cuts), tuple(self.sweeps),
            tuple(self.errors), tuple(self.notes), self.end,
        )

    def _fold_ops(self) -> tuple[dict[int, Value], dict[int, Op], list[Cut]]:
        self.ran.sort(key=attrgetter("id"))
        values: dict[int, Value] = {}
        ops: dict[int, Op] = {}
        cuts: list[Cut] = []
        written: dict[int, int] = {}
        sites, signatures, contexts, named, flags = self.sites, self.signatures, self.contexts, self.named, self.flags
        for record in self.ran:
            id, inputs = record.id, record.inputs
            try:
                signature, context = signatures[record.signature], contexts[record.context]
                site = None if record.site is None else sites[record.site]
            except KeyError:
                raise GraphError(_unresolved(record, self)) from None
            for index, output in enumerate(signature.outputs):
                value = id + index
                storage, version, origin = value, 0, None
                if index == 0 and signature.alias is not None:
                    origin = values[inputs[signature.alias]]
                    storage = origin.storage
                    if signature.inplace:
                        written[storage] = written.get(storage, 0) + 1
                    version = written.get(storage, 0)
                name = _assigned(site.target, index, len(signature.outputs)) if site and site.target else ""
                role = None
                if origin is not None and signature.inplace:
                    name, role = name or origin.name, origin.role
                told = named.get(value)
                if told is not None:
                    name, role = told.name, told.role or role
                values[value] = Value(
                    value, id, index, output.shape, output.dtype, output.nbytes, storage, version,
                    flags.get(value, output.requires_grad), output.leaf, role, name,
                )
            ops[id] = Op(
                id, signature.name, signature.node, signature.tracked, signature.cause, inputs, signature.needs,
                tuple(range(id, id + len(signature.outputs))), signature.alias, signature.inplace, signature.saved,
                signature.attrs, record.site, context.scope, context.region, context.thread, record.forgotten,
            )
            if signature.cause is not None and not signature.tracked:
                region = self._blamed(context.region) if signature.cause in _MODES else None
                for position, needed in enumerate(signature.needs):
                    if needed:
                        cuts.append(Cut(id, position, inputs[position], signature.cause, record.site, region))
        return values, ops, cuts

    def _blamed(self, region: int | None) -> int | None:
        """The innermost region around `region`, itself included, inside which grad mode is off."""
        while region is not None and self.regions[region].enabled:
            region = self.regions[region].parent
        return region


def _assigned(target: str, index: int, count: int) -> str:
    """The name that an assignment to `target` gives the result `index` of `count`."""
    names = [part.strip() for part in target.split(",")]
    if len(names) == count:
        return names[index]
    return f"{target}[{index}]" if len(names) == 1 else ""


def _unresolved(record: events.Op, folding: _Folding) -> str:
    if record.signature not in folding.signatures:
        return f"op {record.id} refers to signature {record.signature}, which does not exist"
    if record.context not in folding.contexts:
        return f"op {record.id} refers to context {record.context}, which does not exist"
    return f"op {record.id} refers to site {record.site}, which does not exist"
