"""The graph: what a sequence of events says, as records that refer to each other by id.

`Graph.build` folds events into a Graph. Nothing here knows how a graph is drawn or where the events came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
        """Fold events, in the order in which they were emitted. Raises `GraphError` where one refers to nothing."""
        raise NotImplementedError
