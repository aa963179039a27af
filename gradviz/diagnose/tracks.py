"""Tracks: the shortest ways from a tensor to the roots of a sweep, by gradient and past each cause that stops it.

Data is followed backwards from the roots, so the ways onward are known for every value at once. A number that left by
`item()` and came back as a plain argument is followed as well. An update of a parameter ends every way: what a step
makes of a weight is the same weight to its user.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from gradviz.diagnose.addends import returned_number
from gradviz.diagnose.blaming import blame, cut_of, cuts_by_op, kept_back_by_op
from gradviz.diagnose.facts import Facts
from gradviz.events import Cause
from gradviz.graphs import Cut, Op
from gradviz.query import gradient_inputs
from gradviz.roads import MANY, restarts

MODES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)
_BY_NATURE = (Cause.NONDIFFERENTIABLE, Cause.INTEGER)
"""Causes that nobody chose: beside a way that carries gradient they are not worth a word."""


@dataclass(frozen=True, slots=True)
class Track:
    """One way: the value it begins at, the ops on it, and the value that each of them hands on.

    cut    the op that a gradient on its way back from the root does not pass, nearest to the tensor; None for none.
           It is no cut of the graph's where the tensor was frozen for a while, and the op ran then
    alike  how many ops cut for the same cause and by the same line
    """

    start: int
    ops: tuple[int, ...]
    values: tuple[int, ...]
    cut: int | None = None
    alike: int = 1


@dataclass(frozen=True, slots=True)
class _Hop:
    """From a value onward: through `ops` to the value `to`, which is `left` steps from a root."""

    ops: tuple[int, ...]
    to: int
    left: int


class Tracks:
    """The ways that lead to `roots`. `values` by which ones gradient comes back are in `reached`."""

    def __init__(self, facts: Facts, roots: Collection[int]) -> None:
        self.facts = facts
        self.graph = facts.graph
        self.roots = tuple(roots)
        self.kept_back = facts.once(kept_back_by_op)
        self.reached = self._follow_gradient()
        self.hops, self.leads = self._follow_data()

    def has(self, values: Iterable[int]) -> bool:
        """The data of one of `values` comes to a root."""
        return any(value in self.hops or value in self.roots for value in values)

    def alive(self, values: Iterable[int]) -> Track | None:
        """The shortest way by which gradient comes back to one of `values`."""
        found = [value for value in values if value in self.reached]
        if not found:
            return None
        start = value = min(found, key=lambda item: (self.reached[item].left, item))
        return self._track(start, [], [], value, self.reached)

    def lost(self, values: Collection[int]) -> list[Track]:
        """For each cause that stops gradient on a way to `values` the shortest such way, the nearest cut first."""
        known = self.facts.once(cuts_by_op)
        before, cuts = self._leave(values)
        ways: dict[tuple[str, int | None], list[tuple[int, int, int]]] = {}
        for op, value in cuts:
            length = before[value][0] + self.leads[op].left
            frozen = op not in known and value not in gradient_inputs(self.graph, self.graph.ops[op])
            cause = ("frozen", frozen_at(self.facts, value)) if frozen else blame(self.facts, op)
            ways.setdefault(cause, []).append((length, op, value))
        tracks = []
        for members in ways.values():
            _, op, value = min(members)
            ops, through = self._back(before, value)
            hop = self.leads[op]
            start = ops[0][0] if ops else value
            track = self._track(
                start,
                [*(op for _, op in ops), *hop.ops],
                [*through, *(hop.to for _ in hop.ops)],
                hop.to,
                self.hops,
                cut=op,
                alike=len({other for _, other, _ in members if self._line(other) == self._line(op)}),
            )
            tracks.append(track)
        return sorted(tracks, key=lambda track: (self.is_by_nature(track), len(track.ops), track.ops))

    def by_data(self, values: Collection[int]) -> Track | None:
        """The shortest way that the data of `values` takes, whatever becomes of gradient there."""
        found = [value for value in values if value in self.hops]
        if not found:
            return None
        start = min(found, key=lambda item: (self.hops[item].left, item))
        return self._track(start, [], [], start, self.hops)

    def is_by_nature(self, track: Track) -> bool:
        """What cuts this way is an op without a derivative, and nothing that somebody wrote to cut it."""
        cut = cut_on(self.facts, track)
        return cut is not None and cut.cause in _BY_NATURE

    def count(self, values: Collection[int]) -> tuple[int, int]:
        """By how many ways gradient comes back to `values`, and by how many their data goes: at most a million."""
        walked, data = self._counts
        alive = sum(walked.get(value, 0) for value in values)
        return min(MANY, alive), min(MANY, max(alive, sum(data.get(value, 0) for value in values)))

    @cached_property
    def _counts(self) -> tuple[dict[int, int], dict[int, int]]:
        """The same for each value alone."""
        data = dict.fromkeys(self.roots, 1)
        walked = {root: int(self.graph.values[root].requires_grad) for root in self.roots}
        for id in sorted(self.leads, reverse=True):
            op = self.graph.ops[id]
            if op.cause in _BY_NATURE:
                continue
            hop = self.leads[id]
            outputs = op.outputs if len(hop.ops) == 1 else (hop.to,)
            onward = min(MANY, sum(data.get(item, 0) for item in outputs if not self._ends(op, item)))
            back = min(MANY, sum(walked.get(item, 0) for item in op.outputs))
            passing = set(self._passed_on(op)) if back else set()
            for item in dict.fromkeys(op.value_inputs):
                data[item] = min(MANY, data.get(item, 0) + onward)
                if item in passing:
                    walked[item] = min(MANY, walked.get(item, 0) + back)
        return walked, data

    def uses(self, values: Iterable[int]) -> dict[int, int]:
        """The ops that lead on from one of `values`, by id: how many of them stand on the same line."""
        ops = {op for value in values for op in self.facts.consumers.get(value, ()) if op in self.leads}
        lines: dict[tuple[str, int | None], int] = {}
        for op in ops:
            key = self._line(op)
            lines[key] = lines.get(key, 0) + 1
        return {op: lines[self._line(op)] for op in ops}

    def _line(self, op: int) -> tuple[str, int | None]:
        return self.graph.ops[op].name, self.graph.ops[op].site

    # walks

    def _passed_on(self, op: Op) -> tuple[int, ...]:
        """The values that a gradient at the output of `op` goes on to, but for what a custom function gives None."""
        items = gradient_inputs(self.graph, op)
        return items if not self.kept_back else tuple([i for i in items if (op.id, i) not in self.kept_back])

    def _follow_gradient(self) -> dict[int, _Hop]:
        reached = {root: _Hop((), root, 0) for root in self.roots if self.graph.values[root].requires_grad}
        pending = deque(reached)
        while pending:
            value = pending.popleft()
            op = self.graph.ops[self.graph.values[value].op]
            for item in self._passed_on(op):
                if item not in reached:
                    reached[item] = _Hop((op.id,), value, reached[value].left + 1)
                    pending.append(item)
        return reached

    def _follow_data(self) -> tuple[dict[int, _Hop], dict[int, _Hop]]:
        """The hop from each value, and from each op that data passes, on the shortest way to a root."""
        numbers = self.facts.once(_numbers)
        hops: dict[int, _Hop] = {}
        leads: dict[int, _Hop] = {}
        pending = deque((root, 0) for root in self.roots)
        while pending:
            value, left = pending.popleft()
            op = self.graph.ops[self.graph.values[value].op]
            if op.id in leads or self._ends(op, value):
                continue
            steps = [(op, _Hop((op.id,), value, left + 1))]
            steps += [(self.graph.ops[exit], _Hop((exit, op.id), value, left + 2)) for exit in numbers.get(op.id, ())]
            for step, hop in steps:
                leads[step.id] = hop
                for item in step.value_inputs:
                    if item not in hops and item not in self.roots:
                        hops[item] = hop
                        pending.append((item, hop.left))
        return hops, leads

    def _ends(self, op: Op, value: int) -> bool:
        """Behind the op that made `value` lies another life of it: an update, or a weight made anew with grad off.

        A view that is made with grad off requires grad as well, but it is no new tensor. A root that was made to
        require grad, since backward could not start at it, is what came of the data all the same.
        """
        if self.facts.renews(op):
            return True
        if value in self.roots and value in self._switched_on:
            return False
        anew = op.alias is None and (op.cause is None or op.cause in MODES)
        return anew and restarts(self.graph, op, value)

    @cached_property
    def _switched_on(self) -> frozenset[int]:
        return frozenset(flag.value for flag in self.graph.flags if flag.requires_grad)

    def _leave(
        self, values: Collection[int]
    ) -> tuple[dict[int, tuple[int, int | None, int]], list[tuple[int, int]]]:
        """Forward from `values` by ops that pass gradient on: how each value was come by, and the cuts that were met.

        How: the number of steps, the op and the value before it. A cut is told as its op and the value that it cuts.
        """
        known = self.facts.once(cuts_by_op)
        before: dict[int, tuple[int, int | None, int]] = {value: (0, None, value) for value in sorted(values)}
        cuts: list[tuple[int, int]] = []
        pending = deque(before)
        while pending:
            value = pending.popleft()
            for id in self.facts.consumers.get(value, ()):
                if id not in self.leads:
                    continue
                op = self.graph.ops[id]
                if (id, value) in self.kept_back:
                    cuts.append((id, value))
                elif value in gradient_inputs(self.graph, op):
                    for output in op.outputs:
                        if output in before or not (output in self.hops or output in self.roots):
                            continue
                        if op.tracked and not self.graph.values[output].requires_grad:
                            cuts.append((id, value))  # the indices beside the values, as `topk` gives them
                        else:
                            before[output] = (before[value][0] + 1, id, value)
                            pending.append(output)
                elif any(cut.value == value for cut in known.get(id, ())) or self._was_frozen(value):
                    cuts.append((id, value))
        return before, cuts

    def _was_frozen(self, value: int) -> bool:
        """A leaf requires grad at the end, yet did not for a while before."""
        return self.graph.values[value].requires_grad and frozen_at(self.facts, value) is not None

    def _back(
        self, before: dict[int, tuple[int, int | None, int]], value: int
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """The way from the start to `value`: each value with the op that uses it, and what those ops hand on."""
        steps: list[tuple[int, int]] = []
        through: list[int] = []
        while True:
            _, op, previous = before[value]
            if op is None:
                return steps[::-1], through[::-1]
            steps.append((previous, op))
            through.append(value)
            value = previous

    def _track(
        self,
        start: int,
        ops: list[int],
        values: list[int],
        value: int,
        hops: dict[int, _Hop],
        *,
        cut: int | None = None,
        alike: int = 1,
    ) -> Track:
        """The way so far, and then from `value` along `hops`."""
        while value not in self.roots:
            hop = hops[value]
            ops += hop.ops
            values += [hop.to] * len(hop.ops)
            value = hop.to
        return Track(start, tuple(ops), tuple(values), cut, alike)


def cut_on(facts: Facts, track: Track) -> Cut | None:
    """What cuts `track`; None where nothing does, or where what it begins with was frozen."""
    if track.cut is None:
        return None
    at = track.ops.index(track.cut)
    left = facts.graph.values.get(track.values[at])
    beside = facts.graph.ops[track.cut].tracked and left is not None and not left.requires_grad
    kept_back = (track.cut, track.values[at - 1] if at else track.start) in facts.once(kept_back_by_op)
    return cut_of(facts, track.cut) if beside or kept_back or track.cut in facts.once(cuts_by_op) else None


def frozen_at(facts: Facts, value: int) -> int | None:
    """Where the `requires_grad` of a leaf was switched off, the last time; None for never, or nowhere that is known."""
    return facts.once(_frozen).get(facts.tensor(value))


def _frozen(facts: Facts) -> dict[int, int]:
    flags = facts.graph.flags
    return {facts.tensor(flag.value): flag.site for flag in flags if not flag.requires_grad and flag.site is not None}


def dead_end(facts: Facts, values: Collection[int]) -> Track | None:
    """The shortest way that the data of `values` takes to where it ends, for a tensor that is behind no root.

    It ends at the last value that nothing used but what takes numbers out of the tensors, named and tracked if there
    is such a one. What took its numbers out ends the track, unless that was a look at a loss; the value at that end is
    the op's own id, which is no value's.
    """
    graph = facts.graph
    before: dict[int, tuple[int, int]] = {}
    pending = deque(sorted(values))
    ends: list[int] = []
    while pending:
        value = pending.popleft()
        users = [graph.ops[id] for id in facts.consumers.get(value, ())]
        onward = [op for op in users if op.outputs and not facts.renews(op)]
        if not onward and (value in before or users):
            ends.append(value)
        for op in onward:
            for output in op.outputs:
                if output not in before and output not in values:
                    before[output] = (op.id, value)
                    pending.append(output)
    ends = [id for id in ends if facts.name(id) or graph.values[id].requires_grad or facts.exit_of.get(id) is not None]
    if not ends:
        return None
    end = max(ends, key=lambda id: (bool(facts.name(id)) and graph.values[id].requires_grad, bool(facts.name(id)), id))
    ops: list[int] = []
    through: list[int] = []
    value = end
    while value in before:
        user, previous = before[value]
        ops.append(user)
        through.append(value)
        value = previous
    ops.reverse()
    through.reverse()
    exits = [id for id in facts.consumers.get(end, ()) if not graph.ops[id].outputs]
    if exits and not (graph.values[end].requires_grad and graph.ops[exits[-1]].name == "item"):
        ops.append(exits[-1])
        through.append(exits[-1])
    known = facts.once(cuts_by_op)
    cut = next((id for id in ops if id in known), None)
    return Track(value, tuple(ops), tuple(through), cut) if ops else None


def _numbers(facts: Facts) -> dict[int, list[int]]:
    """The ops that use, as a plain number, what another op took out of the program's tensors: user -> those ops."""
    users: dict[int, list[int]] = {}
    for op in facts.graph.ops.values():
        if not op.outputs and op.value_inputs:
            user = returned_number(facts, op.id)
            if user is not None:
                users.setdefault(user, []).append(op.id)
    return users
