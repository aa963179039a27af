"""Columns: the ops and values of a recording as a few flat lists, and mappings that make records of them when asked.

Two million records of thirteen and seventeen fields keep the garbage collector busier than reading them took, and
whoever looks at a part of a large graph needs few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import lt
from typing import Any, Generic, TypeVar

from gradviz import events
from gradviz.collecting import uncollected
from gradviz.drafts import draft_of
from gradviz.events import Input, Role
from gradviz.graphs import Op, Value
from gradviz.targets import unpacked_target

R = TypeVar("R")

AT_ONCE = 20_000
"""Up to so many records are made at once: an ordinary dictionary is the quicker one to ask."""

_FEW = 16
"""Once one in so many was asked for, all are made."""


@dataclass(slots=True)
class Kind:
    """What ops of one signature share that ran at one site in one context.

    target   what the site assigns to, as written
    name     what that calls a lone result
    """

    signature: events.Signature
    site: int | None
    context: events.Context
    target: str
    name: str


@dataclass(slots=True)
class Columns:
    """The ops of a recording; a row is the place of one in `kinds` and `inputs`.

    rows       the row of each op that has outputs, by its id, which is that of its first output
    exits      the row of each op that has none
    others     the op behind each value that is no first output
    kinds      what each op shares with others
    inputs     its inputs
    forgotten  how many ops behind it were let go, where any were
    storages   the storage of a value that shares another's
    versions   how often its storage had been written, where it had
    names      what a value is called, where that is not what it was assigned to
    roles      what it is to the program, where that is known
    flags      whether it requires grad at the end, where that was set
    """

    rows: dict[int, int] = field(default_factory=dict)
    exits: dict[int, int] = field(default_factory=dict)
    others: dict[int, int] = field(default_factory=dict)
    kinds: list[Kind] = field(default_factory=list)
    inputs: list[tuple[Input, ...]] = field(default_factory=list)
    forgotten: dict[int, int] = field(default_factory=dict)
    storages: dict[int, int] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)
    flags: dict[int, bool] = field(default_factory=dict)

    def ops(self) -> Mapping[int, Op]:
        """Every op by id, in order."""
        ids = _in_order(self.rows, self.exits)
        if len(ids) <= AT_ONCE:
            return dict(zip(ids, self._ops(ids), strict=True))
        return _Ops(ids, self._holds_op, self._ops, self.inputs)

    def values(self) -> Mapping[int, Value]:
        """Every value by id, in order."""
        ids = _in_order(self.rows, self.others)
        if len(ids) <= AT_ONCE:
            return dict(zip(ids, self._values(ids), strict=True))
        return _Values(ids, self.holds_value, self._values, self)

    def row(self, op: int) -> int:
        """The row of an op. Raises `KeyError`."""
        row = self.rows.get(op)
        return self.exits[op] if row is None else row

    def maker(self, value: int) -> int:
        """The op that made a value. Raises `KeyError`."""
        return value if value in self.rows else self.others[value]

    def holds_value(self, id: object) -> bool:
        """Whether there is such a value."""
        return id in self.rows or id in self.others

    def name(self, value: int) -> str:
        """What a value is called. Raises `KeyError`."""
        name = self.names.get(value)
        if name is None:
            op = self.maker(value)
            kind = self.kinds[self.rows[op]]
            count = len(kind.signature.outputs)
            name = kind.name if count == 1 else unpacked_target(kind.target, value - op, count)
        return name

    def _holds_op(self, id: object) -> bool:
        return id in self.rows or id in self.exits

    def _ops(self, ids: Collection[int]) -> Iterator[Op]:
        """The records of the ops `ids`."""
        draft, kinds, inputs, forgotten = draft_of(Op), self.kinds, self.inputs, self.forgotten
        row_of = self.rows.get
        for id in ids:
            row = row_of(id)
            if row is None:
                row = self.exits[id]
            kind = kinds[row]
            signature, context = kind.signature, kind.context
            count = len(signature.outputs)
            made = draft(
                id, signature.name, signature.node, signature.tracked, signature.cause, inputs[row], signature.needs,
                (id,) if count == 1 else tuple(range(id, id + count)), signature.alias, signature.inplace,
                signature.saved, signature.attrs, kind.site, context.scope, context.region, context.thread,
                forgotten.get(id, 0),
            )
            made.__class__ = Op
            yield made

    def _values(self, ids: Collection[int]) -> Iterator[Value]:
        """The records of the values `ids`."""
        draft, rows, kinds = draft_of(Value), self.rows, self.kinds
        names, storages, versions, roles, flags = self.names, self.storages, self.versions, self.roles, self.flags
        for id in ids:
            op = id if id in rows else self.others[id]
            kind = kinds[rows[op]]
            outputs = kind.signature.outputs
            output = outputs[id - op]
            made = draft(
                id, op, id - op, output.shape, output.dtype, output.nbytes, storages.get(id, id), versions.get(id, 0),
                flags.get(id, output.requires_grad), output.leaf, roles.get(id),
                kind.name if len(outputs) == 1 and id not in names else self.name(id), output.device,
            )
            made.__class__ = Value
            yield made


class Records(dict[int, R], Generic[R]):
    """A mapping that makes a record when it is first asked for.

    To go over the ids makes none; to go over the records makes all of them, once.

    ids     every id, in order
    holds   whether an id is one of them
    make    the records of some of them
    """

    __slots__ = ("__weakref__", "_holds", "_ids", "_make")

    def __init__(
        self, ids: Collection[int], holds: Callable[[object], bool], make: Callable[[Collection[int]], Iterator[R]]
    ) -> None:
        super().__init__()
        self._ids: Collection[int] | None = ids
        self._holds: Callable[[object], bool] | None = holds
        self._make: Callable[[Collection[int]], Iterator[R]] | None = make

    @uncollected
    def _settle(self) -> None:
        """Make what is missing, bring all into order, and let go of what it was made from."""
        ids, make = self._ids, self._make
        if ids is None or make is None:
            return
        known = dict(super().items())
        super().clear()
        super().update(zip(ids, make(ids), strict=True))
        # Who has asked before has one that stays the same.
        super().update(known)
        self._ids = self._holds = self._make = None

    def __missing__(self, id: int) -> R:
        if self._ids is None or self._make is None:
            raise KeyError(id)
        if _FEW * super().__len__() > len(self._ids):
            # Who has asked for so many will ask for more, and together they cost a third.
            self._settle()
            return self[id]
        (record,) = self._make((id,))
        super().__setitem__(id, record)
        return record

    def __contains__(self, id: object) -> bool:
        return super().__contains__(id) or (self._holds is not None and self._holds(id))

    def __len__(self) -> int:
        return super().__len__() if self._ids is None else len(self._ids)

    def __iter__(self) -> Iterator[int]:
        return super().__iter__() if self._ids is None else iter(self._ids)

    def get(self, id: int, default: Any = None) -> Any:
        """The record, or `default`."""
        try:
            return self[id]
        except KeyError:
            return default

    # What a dictionary does in C sees only what is in it: before any of that, everything has to be.

    def keys(self) -> Any:
        self._settle()
        return super().keys()

    def values(self) -> Any:
        self._settle()
        return super().values()

    def items(self) -> Any:
        self._settle()
        return super().items()

    def copy(self) -> dict[int, R]:
        self._settle()
        return dict(super().items())

    def __reversed__(self) -> Iterator[int]:
        self._settle()
        return super().__reversed__()

    def __eq__(self, other: object) -> bool:
        self._settle()
        return super().__eq__(other)

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __repr__(self) -> str:
        self._settle()
        return super().__repr__()

    def __reduce__(self) -> Any:
        return dict, (self.copy(),)


class _Ops(Records[Op]):
    """The ops of a recording, and `inputs`, those of each in any order."""

    __slots__ = ("inputs",)

    def __init__(
        self,
        ids: Collection[int],
        holds: Callable[[object], bool],
        make: Callable[[Collection[int]], Iterator[Op]],
        inputs: Collection[tuple[Input, ...]],
    ) -> None:
        super().__init__(ids, holds, make)
        self.inputs = inputs


class _Values(Records[Value]):
    """The values of a recording, and the `columns` that tell of one without making its record, until all are made."""

    __slots__ = ("columns",)

    def __init__(
        self,
        ids: Collection[int],
        holds: Callable[[object], bool],
        make: Callable[[Collection[int]], Iterator[Value]],
        columns: Columns,
    ) -> None:
        super().__init__(ids, holds, make)
        self.columns: Columns | None = columns

    def _settle(self) -> None:
        super()._settle()
        self.columns = None


def _columns_of(values: Mapping[int, Value]) -> Columns | None:
    return values.columns if isinstance(values, _Values) else None


def maker_of(values: Mapping[int, Value]) -> Callable[[int], int]:
    """What tells the op that made one of `values`. Makes no record."""
    columns = _columns_of(values)
    return columns.maker if columns is not None else lambda value: values[value].op


def storage_of(values: Mapping[int, Value]) -> Callable[[int], int]:
    """What tells the storage of one of `values`. Makes no record."""
    columns = _columns_of(values)
    if columns is None:
        return lambda value: values[value].storage
    storages = columns.storages
    return lambda value: storages.get(value, value)


def form_of(values: Mapping[int, Value]) -> Callable[[int], tuple[tuple[int, ...], str]]:
    """What tells the shape and the dtype of an op's first output. Makes no record."""
    columns = _columns_of(values)
    if columns is None:
        return lambda op: (values[op].shape, values[op].dtype)
    rows, kinds = columns.rows, columns.kinds

    def form(op: int) -> tuple[tuple[int, ...], str]:
        output = kinds[rows[op]].signature.outputs[0]
        return output.shape, output.dtype

    return form


def trained(values: Mapping[int, Value]) -> list[Value]:
    """The leaves that require grad, in order. Makes no other record."""
    columns = _columns_of(values)
    if columns is not None:
        rows, kinds = columns.rows, columns.kinds
        distinct = {id(kind): kind for kind in kinds}
        leafy = {key for key, kind in distinct.items() if any(output.leaf for output in kind.signature.outputs)}
        ops = [op for op, row in rows.items() if id(kinds[row]) in leafy]
        found = [value for op in ops for value in range(op, op + len(kinds[rows[op]].signature.outputs))]
        candidates = [values[value] for value in sorted(found)]
    else:
        candidates = list(values.values())
    return [value for value in candidates if value.leaf and value.requires_grad]


def kind_of(values: Mapping[int, Value]) -> Callable[[Op], int] | None:
    """What tells a number that ops share which did the same at one site in one context; None where nothing tells it."""
    columns = _columns_of(values)
    if columns is None:
        return None
    rows, exits, kinds = columns.rows, columns.exits, columns.kinds

    def kind(op: Op) -> int:
        row = rows.get(op.id)
        return id(kinds[exits[op.id] if row is None else row])  # a key, for as long as the columns are there

    return kind


def ops_behind(ops: Mapping[int, Op], values: Mapping[int, Value], roots: Collection[int]) -> set[int]:
    """The ops that `roots` came from by data. Makes no record of a recording that has columns."""
    columns = _columns_of(values)
    maker = maker_of(values)
    wanted: set[Input] = {maker(root) for root in roots}
    if columns is None:
        return _ops_behind(ops, values, wanted)
    rows, inputs, others = columns.rows, columns.inputs, columns.others
    found: set[int] = set()
    # Backwards: what goes into an op is older than the op.
    for id in sorted(rows, reverse=True):
        if id in wanted:
            found.add(id)
            items = inputs[rows[id]]
            wanted.update([others.get(item, item) for item in items] if others else items)  # type: ignore[arg-type]
    return found


def _ops_behind(ops: Mapping[int, Op], values: Mapping[int, Value], wanted: set[Input]) -> set[int]:
    found: set[int] = set()
    for id in sorted(ops, reverse=True):
        if id in wanted:
            found.add(id)
            wanted.update(values[item].op for item in ops[id].inputs if item.__class__ is int)
    return found


def count_acting(ops: Mapping[int, Op]) -> int:
    """How many of `ops` are more than the making of a leaf. Makes no record.

    At the edge of a part of a graph, a tracked op has no inputs.
    """
    if isinstance(ops, _Ops):
        return sum(1 for inputs in ops.inputs if inputs)
    return sum(1 for op in ops.values() if op.inputs or op.tracked)


def used_of(ops: Mapping[int, Op], values: Collection[int]) -> frozenset[int]:
    """Those of `values` that `ops` use. Makes no record."""
    rows = ops.inputs if isinstance(ops, _Ops) else [op.inputs for op in ops.values()]
    return frozenset(values).intersection(chain.from_iterable(rows)) if values else frozenset()


def _in_order(first: dict[int, int], second: dict[int, int]) -> Collection[int]:
    """The ids of both, ascending: threads that run side by side emit out of turn."""
    if not second and all(map(lt, first, islice(first, 1, None))):
        return first
    return sorted([*first, *second])
