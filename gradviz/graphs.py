"""The graph: what a sequence of events says, as records that refer to each other by id.

`Graph.build` folds events into a Graph, `Graph.validate` checks what every graph promises, `Graph.subset` takes a part.
Nothing here knows how a graph is drawn or where the events came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

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
    Role,
    Saved,
    Site,
    Statement,
    Sweep,
    Work,
)


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
    device: str = "cpu"


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
        return tuple([item for item in self.inputs if type(item) is int])

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
class Time:
    """Real time that passed in one place: in a module scope and a region of a thread, or in a sweep or steps there.

    `sweep` and `optimizer` are their ids, None for the time of ops.
    """

    scope: str
    region: int | None
    thread: int
    nanoseconds: int
    sweep: int | None = None
    optimizer: int | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """What one turn of a fold hands on to the next, called `name`.

    `enters` is the value that goes into the first turn, None where that one makes it itself; `leaves` the one that
    comes out of the last.
    """

    name: str
    enters: int | None
    leaves: int


LOOPS = frozenset({"steps", "iterations"})
"""Kinds of folds whose turns a loop ran."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Ops that a picture shows as one. The graph that has the fold is otherwise as it was.

    kind     what makes them one: `scope`, `function`, `siblings`, `parallel`, `views`, `steps`, `iterations`,
             `updates`, `leaves`
    title    what the box or the frame is called, without how often
    turns    the ops of each turn, those that make leaves for it alone among them. Several turns are equally long, and
             the ops at one position do the same, on values of the same shapes
    scope    the module scope or the functions that all of it ran in, or empty
    module   what kind of module that is (`TransformerEncoderLayer`), or empty
    option   the option of the command line that opens it (`--expand h.0`)
    carried  what goes from turn to turn
    open     the first turn is drawn op by op, in a frame, and stands for the others; otherwise all of it is one box
    shared   ops that make leaves which belong to it as much as to other folds; its uses of them are not drawn
    """

    kind: str
    title: str
    turns: tuple[tuple[int, ...], ...]
    scope: str = ""
    module: str = ""
    option: str = "--all"
    carried: tuple[Carried, ...] = ()
    open: bool = False
    shared: tuple[int, ...] = ()

    @property
    def id(self) -> int:
        """Its first op."""
        return self.turns[0][0]

    @property
    def times(self) -> int:
        """How many turns it has."""
        return len(self.turns)

    @property
    def ops(self) -> tuple[int, ...]:
        """The ops of all turns."""
        return self.turns[0] if len(self.turns) == 1 else tuple(chain.from_iterable(self.turns))

    @property
    def size(self) -> int:
        """How many ops it has."""
        return len(self.turns) * len(self.turns[0])


@dataclass(frozen=True, slots=True)
class Graph:
    """A recording, folded. Every mapping is ordered by id; ids are those of the events.

    flags       the changes of `requires_grad` after a leaf's birth, in order
    modules     which module runs as which scope
    work        what was handed to which thread
    statements  statements of the source that a reader may want to point at
    order       what happened besides ops, as it happened: each record of an optimizer, an act, a flag, a sweep
    times       empty where the recording was not asked for them
    measures    what numbers a value holds, by the value's id; empty where the recording was not asked for values
    folds       which ops are to be drawn as one, by the first of them; see `gradviz.fold`

    onward      values of a part of a graph that are used outside of it, and nowhere in it

    `modules` to `times` are those of the whole recording; a part of a graph has none, and no folds.
    """

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
    optimizers: tuple[Optimizer, ...] = ()
    acts: tuple[Act, ...] = ()
    flags: tuple[RequiresGrad, ...] = ()
    times: tuple[Time, ...] = ()
    modules: tuple[Module, ...] = ()
    work: tuple[Work, ...] = ()
    statements: tuple[Statement, ...] = ()
    order: tuple[Optimizer | Act | RequiresGrad | Sweep, ...] = field(default=(), compare=False)
    measures: Mapping[int, Measure] = field(default_factory=dict)
    folds: tuple[Fold, ...] = ()
    onward: frozenset[int] = frozenset()

    @classmethod
    def build(cls, events: Iterable[Event]) -> Graph:
        """Fold events, in the order in which they were emitted.

        Records of a kind that this version does not know are passed over. Raises `GraphError` where a record refers
        to nothing, or where two ops claim one id.
        """
        # Imported here because both modules build on the records above.
        from gradviz.assembly import assemble

        return assemble(events)

    def __repr__(self) -> str:
        from gradviz.outlining import outline  # it builds on the records above

        return outline(self)

    def validate(self) -> None:
        """Raise `GraphError`, naming the first invariant that does not hold; return quietly where all of them do."""
        from gradviz.invariants import broken_invariants

        for complaint in broken_invariants(self):
            raise GraphError(complaint)

    def subset(self, ops: Iterable[int]) -> Graph:
        """The part of the graph that consists of `ops`, as a valid graph of its own.

        What an op of the part uses but the part does not make comes along: the value, and its op as it stands at the
        edge, without inputs and outside every region and scope, as if the value had been there from the start. An op
        that makes leaves from nothing stays what it is. Regions and sites stay where something refers to them; a sweep
        stays where `ops` made all of its roots. Raises `KeyError` for an id that is no op's.
        """
        from gradviz.columns import used_of  # both build on the records above
        from gradviz.hooked import later_versions

        chosen = {id: self.ops[id] for id in sorted(set(ops))}
        kept = dict(chosen)
        for op in chosen.values():
            for value in op.value_inputs:
                maker = self.ops[self.values[value].op]
                if maker.id not in kept:
                    kept[maker.id] = maker if maker.is_source else _at_edge(maker)
        kept = dict(sorted(kept.items()))
        values = {value: self.values[value] for op in kept.values() for value in op.outputs}
        loose = values.keys() - set(chain.from_iterable(op.inputs for op in kept.values()))
        regions = _regions_of(kept, self.regions)
        sweeps = tuple(
            _within(sweep, values)
            for sweep in self.sweeps
            if all(self.values[root].op in chosen for root in sweep.roots)
        )
        errors = tuple(replace(e, values=tuple(v for v in e.values if v in values)) for e in self.errors)
        optimizers = tuple(replace(o, values=tuple(v for v in o.values if v in values)) for o in self.optimizers)
        versions = later_versions(self)
        acts = tuple(
            replace(act, values=tuple(v for v in told if v in values))
            for act, told in ((act, versions.get(act, act.values)) for act in self.acts)
            if act.optimizer is not None or any(v in values for v in told)
        )
        flags = tuple(flag for flag in self.flags if flag.value in values)
        users: list[Op | Region | Sweep | Error | Optimizer | Act | RequiresGrad] = [*kept.values(), *regions.values()]
        users += [*sweeps, *errors, *optimizers, *acts, *flags]
        return replace(
            self,
            sites=_sites_of([user.site for user in users], self.sites),
            values=values,
            ops=kept,
            regions=regions,
            cuts=tuple(cut for cut in self.cuts if cut.op in chosen),
            sweeps=sweeps,
            errors=errors,
            optimizers=optimizers,
            acts=acts,
            flags=flags,
            times=(),
            modules=(),
            work=(),
            statements=(),
            order=(),
            measures={id: measure for id, measure in self.measures.items() if id in values},
            folds=(),
            onward=used_of(self.ops, loose) | self.onward.intersection(loose),
        )


def _at_edge(op: Op) -> Op:
    """`op` without its past."""
    return replace(
        op, inputs=(), needs=(), cause=None, alias=None, inplace=False, saved=(), scope="", region=None, forgotten=0
    )


def _regions_of(ops: Mapping[int, Op], regions: Mapping[int, Region]) -> dict[int, Region]:
    """The regions that `ops` ran in and those around them, with only those ops as members."""
    members: dict[int, list[int]] = {}
    for op in ops.values():
        if op.region is not None:
            members.setdefault(op.region, []).append(op.id)
    for id in list(members):
        parent = regions[id].parent
        while parent is not None and parent not in members:
            members[parent] = []
            parent = regions[parent].parent
    return {id: replace(regions[id], ops=tuple(members[id])) for id in sorted(members)}


def _sites_of(ids: Iterable[int | None], sites: Mapping[int, Site]) -> dict[int, Site]:
    """The sites `ids`, and those of the calls that led there."""
    kept: set[int] = set()
    for id in ids:
        while id is not None and id not in kept:
            kept.add(id)
            id = sites[id].caller
    return {id: sites[id] for id in sorted(kept)}


def _within(sweep: Sweep, values: Mapping[int, Value]) -> Sweep:
    """`sweep` as it concerns `values` alone."""
    return replace(
        sweep,
        inputs=None if sweep.inputs is None else tuple(value for value in sweep.inputs if value in values),
        gradients=tuple(gradient for gradient in sweep.gradients if gradient.value in values),
        concerned=tuple(value for value in sweep.concerned if value in values),
    )
