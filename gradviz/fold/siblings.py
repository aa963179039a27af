"""Siblings: parts of a call that follow each other and are equal by structure, whatever they are called.

Two parts are equal if their ops have the same names and wiring, on values of as many dimensions, and if the leaves of
their own have the same shapes: experts are equal however many rows each of them gets. Parts may be calls (the layers of
a model), or patterns of calls and ops that repeat (`Linear, ReLU`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from gradviz.fold.calls import Call, walk
from gradviz.graphs import Fold, Graph, Op

LONGEST = 64
"""How many items of a call a repeated pattern has at most."""

_TRIED = 4
"""How many distances to the next equal item are tried as the length of a pattern."""


@dataclass(slots=True, eq=False)
class Run:
    """Items of a call from `start` on that repeat: so many turns of so many items each.

    turns   the ops of each turn, aligned
    """

    call: Call
    start: int
    length: int
    turns: tuple[tuple[int, ...], ...]
    chained: bool

    @property
    def first(self) -> list[int | Call]:
        """The items of the first turn."""
        return self.call.items[self.start : self.start + self.length]

    def fold(self, *, open: bool) -> Fold:
        """The run as a fold."""
        items = self.call.items[self.start : self.start + self.length * len(self.turns)]
        calls = [item for item in items if isinstance(item, Call)]
        if calls:
            first, last = _numbered(calls[0]), _numbered(calls[-1])
            title = f"{first.last_name}-{last.last_name}"
            scope, option = first.name if self.length == 1 else self.call.name, f"--expand {first.name}"
        else:
            title, scope = self.call.last_name, self.call.name
            option = f"--expand {scope}" if scope else "--all"
        kind = "siblings" if self.chained else "parallel"
        return Fold(kind, title or "equal parts", self.turns, scope, option=option, open=open)


class Siblings:
    """Finds runs in the calls of one graph.

    marked  ops that differ from what is not marked
    apart   calls that equal only those that have the same text here, or none where it is empty
    times   how often the loops that an op stands for ran: it equals only those whose loops ran as often
    """

    def __init__(
        self,
        graph: Graph,
        root: Call,
        marked: Collection[int],
        apart: Mapping[Call, str],
        times: Mapping[int, tuple[int, ...]],
    ) -> None:
        self._graph = graph
        self._marked = frozenset(marked)
        self._times = times
        self._forms: dict[Hashable, int] = {}
        self._of_call: dict[Call, int] = {}
        self._of_op: dict[int, int] = {}
        self._kinds: dict[tuple[object, ...], int] = {}
        for call in reversed(list(walk(root))):
            form: list[Hashable] = [
                self._of_call[item] if isinstance(item, Call) else self._form(item) for item in call.items
            ]
            if call in apart:
                form.append(apart[call] or call.name)
            self._of_call[call] = self._number(tuple(form))

    def runs(self, call: Call) -> list[Run]:
        """The runs among the items of `call`, in order; they have no item in common."""
        items = call.items
        forms = [self._of_call[item] if isinstance(item, Call) else -self._of_op[item] - 1 for item in items]
        following = _next_equal(forms)
        own = self._own_sources(call)
        found: list[Run] = []
        at = 0
        while at < len(items):
            best = self._longest(forms, following, at)
            run = self._verified(call, at, *best, own) if best is not None else None
            if run is None:
                at += 1
            else:
                found.append(run)
                at += run.length * len(run.turns)
        return found

    def _number(self, form: Hashable) -> int:
        return self._forms.setdefault(form, len(self._forms))

    def _form(self, id: int) -> int:
        """A number that ops of the same kind share."""
        op, values = self._graph.ops[id], self._graph.values
        ranks = tuple([len(values[output].shape) for output in op.outputs])
        seen = (id in self._marked, self._times.get(id))
        form = (op.name, op.tracked, op.cause, len(op.inputs), op.alias, op.inplace, ranks, seen)
        number = self._of_op[id] = self._kinds.setdefault(form, len(self._kinds))
        return number

    def _longest(self, forms: Sequence[int], following: Sequence[int], at: int) -> tuple[int, int] | None:
        """Length and number of turns of the pattern from `at` on that covers most."""
        best: tuple[int, int] | None = None
        next_one = at
        for _ in range(_TRIED):
            next_one = following[next_one]
            length = next_one - at
            if not next_one or length > LONGEST or 2 * length > len(forms) - at:
                break
            end = at + length
            while end < len(forms) and forms[end] == forms[end - length]:
                end += 1
            times = (end - at) // length
            if times > 1 and (best is None or times * length > best[0] * best[1]):
                best = (length, times)
        return best

    def _own_sources(self, call: Call) -> dict[int, list[int]]:
        """For each item of `call` that is an op, the sources of the call that it uses first."""
        sources = set(call.sources)
        found: dict[int, list[int]] = {}
        if not sources:
            return found
        for item in call.items:
            if isinstance(item, Call):
                continue
            for value in self._graph.ops[item].value_inputs:
                made = self._graph.values[value].op
                if made in sources:
                    sources.discard(made)
                    found.setdefault(item, []).append(made)
        return found

    def _verified(self, call: Call, start: int, length: int, times: int, own: dict[int, list[int]]) -> Run | None:
        """The first turns that are equal in all that counts, if there are two or more."""
        turns: list[tuple[int, ...]] = []
        first: list[Hashable] = []
        begin = start
        for number in range(times):
            items = call.items[start + number * length : start + (number + 1) * length]
            ops, sources = self._members(items, own)
            form = self._wiring(ops, sources)
            if form != first:
                if len(turns) > 1:
                    break
                if not any(isinstance(item, Call) for item in items) and not self._has_weights(sources):
                    return None  # the same ops on the same leaves, time after time, are steps
                turns, first, begin = [], form, start + number * length
            turns.append((*ops, *sources))
        if len(turns) < 2:
            return None
        return Run(call, begin, length, tuple(turns), self._is_chained(turns))

    def _has_weights(self, sources: Sequence[int]) -> bool:
        values = self._graph.values
        return any(values[output].requires_grad for op in sources for output in self._graph.ops[op].outputs)

    def _members(self, items: Sequence[int | Call], own: dict[int, list[int]]) -> tuple[list[int], list[int]]:
        """The ops of the items as they ran, and the sources that are theirs alone."""
        ops: list[int] = []
        sources: list[int] = []
        for item in items:
            if isinstance(item, Call):
                for call in walk(item):
                    ops += [inner for inner in call.items if not isinstance(inner, Call)]
                    sources += call.sources
            else:
                ops.append(item)
                sources += own.get(item, ())
        ops.sort()
        return ops, self._used_first(ops, sources)

    def _used_first(self, ops: Sequence[int], sources: Sequence[int]) -> list[int]:
        left = set(sources)
        order = []
        for op in ops:
            for value in self._graph.ops[op].value_inputs:
                made = self._graph.values[value].op
                if made in left:
                    left.discard(made)
                    order.append(made)
        return order

    def _wiring(self, ops: Sequence[int], sources: Sequence[int]) -> list[Hashable]:
        """The structure of a turn: for each op what it is and where its inputs come from, by place."""
        graph = self._graph
        places = {op: place for place, op in enumerate((*ops, *sources))}
        outside: dict[int, int] = {}
        form: list[Hashable] = []
        for id in ops:
            op = graph.ops[id]
            inputs: list[Hashable] = []
            for item, needs in zip(op.inputs, op.needs, strict=True):
                if isinstance(item, str):
                    inputs.append("")
                    continue
                value = graph.values[item]
                place = places.get(value.op)
                if place is None:  # whether gradient goes further is a matter of what is outside
                    inputs.append((-1 - outside.setdefault(item, len(outside)), len(value.shape)))
                else:
                    inputs.append((place, value.index, needs))
            region = graph.regions.get(op.region) if op.region is not None else None
            form.append((self._of_op[id], region.kind if region is not None else "", tuple(inputs)))
        for id in sources:
            op = graph.ops[id]
            values = [graph.values[output] for output in op.outputs]
            kinds = tuple([(v.shape, v.dtype, v.requires_grad, v.role) for v in values])
            form.append((op.name, kinds, id in self._marked))
        return form

    def _is_chained(self, turns: Sequence[tuple[int, ...]]) -> bool:
        before = set(turns[0])
        values = self._graph.values
        return any(values[item].op in before for op in turns[1] for item in _inputs(self._graph.ops[op]))


def _numbered(call: Call) -> Call:
    """`call` or, where it is a list of modules of which one ran, that one: it has the number."""
    if len(call.items) == 1 and isinstance(call.items[0], Call):
        inner = call.items[0]
        if inner.name.rpartition(".")[2].isdigit() and not call.name.rpartition(".")[2].isdigit():
            return inner
    return call


def _inputs(op: Op) -> tuple[int, ...]:
    return op.value_inputs


def _next_equal(forms: Sequence[int]) -> list[int]:
    """For each place the next one that holds the same, or 0."""
    following = [0] * len(forms)
    last: dict[int, int] = {}
    for at, form in enumerate(forms):
        if form in last:
            following[last[form]] = at
        last[form] = at
    return following
