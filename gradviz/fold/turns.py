"""Turns: which stretches of the ops of a thread are one block over and over, handing values on from turn to turn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gradviz.columns import form_of, kind_of
from gradviz.events import Input, Role
from gradviz.fold.asides import find_asides, leaving_ops
from gradviz.fold.repeating import find_runs
from gradviz.graphs import Graph, Op

LEAST = 3
"""So many turns at least are drawn as one."""

KEPT = 64
"""Of blocks up to so long it is kept where they begin best."""

SPAN = 1 << 40
"""No op is so far from another."""

_SYMMETRIC = frozenset({"add", "mul"})
_OWNED = frozenset({Role.PARAMETER, Role.BUFFER})


@dataclass(slots=True)
class Track:
    """The ops of one thread that have inputs, in order.

    places  where each stands
    feeds   for each op what each input is to it: the distance to the op that made it, plus SPAN times which of its
            results it is; below zero, by `outer`, for a value that no op of the track made; None for a literal
    users   the first op that uses a value of the second kind
    """

    ops: list[Op]
    places: dict[int, int]
    feeds: list[tuple[int | None, ...]]
    users: dict[int, int]


def outer(item: int) -> int:
    """What stands in `Track.feeds` for a value that no op of the track made, and, given that, the value."""
    return -1 - item


class Turns(NamedTuple):
    """`times` turns of `length` ops each, from place `start` of a track on."""

    track: Track
    start: int
    length: int
    times: int

    @property
    def ops(self) -> Sequence[Op]:
        """The ops of all turns."""
        return self.track.ops[self.start : self.start + self.length * self.times]

    def turn(self, number: int) -> Sequence[Op]:
        """The ops of one turn."""
        first = self.start + number * self.length
        return self.track.ops[first : first + self.length]


def find_turns(graph: Graph, apart: Collection[int] = ()) -> Iterator[Turns]:
    """The stretches in which the same lines did the same LEAST times or more; inner loops before those around them.

    Turns are the same where each op has an equal at the same place in the turn before: in name, scope and shapes, from
    the same line, and fed by the equals of what feeds it, by the same value, or by one that is new each time. A new
    parameter each time is another layer, not another turn. The ops `apart` have no equal. What a loop does beside its
    work is no part of its turns, and a loop of its own if it repeats.

    Only the first turn may get from outside what the later ones hand on.
    """
    threads: dict[int, list[Op]] = {}
    for op in graph.ops.values():
        if op.inputs:
            threads.setdefault(op.thread, []).append(op)
    leaving = leaving_ops(graph)
    for thread in sorted(threads):
        ops = threads[thread]
        tokens = _tokens(graph, ops, frozenset(apart))
        asides = find_asides(graph, ops, tokens, leaving)
        for beside in (False, True) if asides else (False,):
            chosen, marks = ops, tokens
            if asides:
                chosen = [op for op in ops if (op.id in asides) is beside]
                marks = [token for op, token in zip(ops, tokens, strict=True) if (op.id in asides) is beside]
            matcher = _Matcher(graph, _track(graph, chosen), marks)
            for run in find_runs(marks, LEAST, matcher.head):
                yield from matcher.split(run.start, run.length, run.times)


def _tokens(graph: Graph, ops: Sequence[Op], apart: frozenset[int]) -> list[int]:
    """For each op a number that it shares with those that do the same at the same line, with the same result."""
    regions: dict[int | None, object] = {None: None}
    for region in graph.regions.values():
        regions[region.id] = (region.kind, region.site, region.enabled)
    numbers: dict[object, int] = {}
    form, measures = form_of(graph.values), graph.measures
    tokens: list[int] = []
    # Most ops of a large recording are of a few kinds, which alone tell all of this.
    kind = kind_of(graph.values) if not measures else None
    known: dict[int, int] = {}
    for op in ops:
        alike = kind(op) if kind is not None and not op.forgotten and op.id not in apart else None
        if alike in known:
            tokens.append(known[alike])
            continue
        shape: object = None
        if op.outputs:
            shape = form(op.id) if len(op.outputs) == 1 else _shapes(graph, op)
        key: object = (op.site, op.name, op.scope, op.tracked, op.cause, op.forgotten, regions[op.region], shape)
        if measures:
            held = [measures[output] for output in op.outputs if output in measures]
            key = (key, tuple([(bool(measure.nans), bool(measure.infs)) for measure in held]))
        if op.id in apart:
            key = op.id
        token = numbers.setdefault(key, len(numbers))
        if alike is not None:
            known[alike] = token
        tokens.append(token)
    return tokens


def _track(graph: Graph, ops: list[Op]) -> Track:
    places = {op.id: place for place, op in enumerate(ops)}
    values = graph.values
    users: dict[int, int] = {}

    def otherwise(item: Input, place: int, op: Op) -> int | None:
        """What feeds an op that is no first output of the track."""
        if not isinstance(item, int):
            return None
        value = values[item]
        made = places.get(value.op)
        if made is not None:
            return place - made + SPAN * value.index
        users.setdefault(item, op.id)
        return -1 - item

    feeds = [
        tuple([place - places[item] if item in places else otherwise(item, place, op) for item in op.inputs])
        for place, op in enumerate(ops)
    ]
    return Track(ops, places, feeds, users)


class _Matcher:
    """Compares the ops of a track by their places in it.

    tokens  a number for each op, equal for those that do the same
    heads   where the blocks seen so far begin best, by all that this depends on
    unlike  pairs of feeds that are not alike, wherever they stand
    """

    def __init__(self, graph: Graph, track: Track, tokens: Sequence[int]) -> None:
        self.graph = graph
        self.track = track
        self.ops = track.ops
        self.feeds = track.feeds
        self.tokens = tokens
        self.chains: dict[int, tuple[int, ...]] = {}
        self.heads: dict[tuple[object, ...], int] = {}
        self.unlike: set[tuple[tuple[int | None, ...], tuple[int | None, ...]]] = set()

    # where a block begins

    def head(self, places: Sequence[int], length: int) -> int:
        """The place after which the source goes back to an earlier line, and across which the fewest values go."""
        first = places[0]
        if length > KEPT or first < length:
            return self._head(places, length)
        # A loop within another comes by here once for each turn of that one.
        offsets = tuple([place - first for place in places])
        near = slice(first - length, first + 2 * length)
        key = (length, offsets, tuple(self.tokens[near]), tuple(self.feeds[near]))
        head = self.heads.get(key)
        if head is None:
            head = self.heads[key] = self._head(places, length)
        return head

    def _head(self, places: Sequence[int], length: int) -> int:
        crossing = self._crossing(places[0], length)
        ranks = [(not self._goes_back(place), crossing[place - places[0]], at) for at, place in enumerate(places)]
        return min(ranks)[2]

    def _crossing(self, first: int, length: int) -> list[int]:
        """For each place of the block that begins at `first`, how many values from before are used from there on."""
        start, end = first - length, first + 2 * length
        used: dict[int, int] = {}
        for place in range(start, min(end, len(self.ops))):
            for fed in self.feeds[place]:
                if fed is not None and 0 < fed % SPAN <= place - start and fed > 0:
                    used[place - fed % SPAN] = place
        changes = [0] * (length + 2)
        for made, last in used.items():
            low, high = max(made + 1 - first, 0), min(last - first, length - 1)
            if low <= high:
                changes[low] += 1
                changes[high + 1] -= 1
        crossing: list[int] = []
        count = 0
        for change in changes[:length]:
            count += change
            crossing.append(count)
        return crossing

    def _goes_back(self, place: int) -> bool:
        """To come from the op before to this one, the program jumped back in the source, as a loop does."""
        before, after = self.ops[place - 1].site, self.ops[place].site
        if before is None or after is None or before == after:
            return before == after
        outer, inner = self._chain(before), self._chain(after)
        for one, other in zip(outer, inner, strict=False):
            if one != other:
                left, right = self.graph.sites[one], self.graph.sites[other]
                if (left.file, left.function) != (right.file, right.function):
                    return True
                # By its end, because of an expression the inner parts run first.
                return (right.end_line or right.line, right.end_column) < (left.end_line or left.line, left.end_column)
        return True

    def _chain(self, site: int) -> tuple[int, ...]:
        """The calls that led to the site, outermost first, and itself."""
        chain = self.chains.get(site)
        if chain is None:
            steps = [site]
            caller = self.graph.sites[site].caller
            while caller is not None:
                steps.append(caller)
                caller = self.graph.sites[caller].caller
            chain = self.chains[site] = tuple(reversed(steps))
        return chain

    # which turns are the same

    def split(self, start: int, length: int, times: int) -> Iterator[Turns]:
        """The stretch in parts in each of which all turns are the same."""
        first = 0
        for turn in range(1, times + 1):
            if turn < times and self._is_same(start + first * length, start + turn * length, length):
                continue
            if turn - first >= LEAST:
                yield Turns(self.track, start + first * length, length, turn - first)
            first = turn

    def _is_same(self, first: int, start: int, length: int) -> bool:
        """The turn at `start` does what the one before it does; `first` is where the turns began."""
        feeds, unlike = self.feeds, self.unlike
        if feeds[start : start + length] == feeds[start - length : start]:
            return True
        for place in range(start, start + length):
            fed, model = feeds[place], feeds[place - length]
            if fed == model:
                continue
            if len(fed) != len(model) or (fed, model) in unlike:
                return False
            if self._is_fed_in_order(range(len(fed)), place, first, start, length):
                continue
            # `0 + x` is told as `x + 0`.
            swaps = len(fed) == 2 and self.ops[place].name in _SYMMETRIC
            if not swaps or not self._is_fed_in_order((1, 0), place, first, start, length):
                if not swaps and self._is_always_unlike(fed, model):
                    unlike.add((fed, model))
                return False
        return True

    def _is_always_unlike(self, fed: Sequence[int | None], model: Sequence[int | None]) -> bool:
        """A weight goes in where another one did, and was there before any turn was."""
        for one, other in zip(fed, model, strict=True):
            if one is not None and other is not None and one != other and one < 0 and other < 0:
                value, before = self.graph.values[outer(one)], self.graph.values[outer(other)]
                if value.storage != before.storage and self._is_another_layer(value.id, 0):
                    return True
        return False

    def _is_fed_in_order(self, order: Sequence[int], place: int, first: int, start: int, length: int) -> bool:
        """Each input of an op in the turn at `start` is fed as that input of its equal which `order` says."""
        fed, model = self.feeds[place], self.feeds[place - length]
        for position, other in enumerate(order):
            if fed[position] != model[other] and not self._is_fed_alike(place, position, other, first, start, length):
                return False
        return True

    def _is_fed_alike(self, place: int, position: int, at: int, first: int, start: int, length: int) -> bool:
        """An input of an op in the turn at `start` is to it what input `at` of its equal is to the turn before.

        Here it is known that the two do not come from ops that are equals of each other.
        """
        one, other = self.feeds[place][position], self.feeds[place - length][at]
        if other is not None and other > 0 and other % SPAN <= place - length - first:
            return False
        if one is not None and one > 0 and one % SPAN <= place - first:
            return place - one % SPAN < min(first + length, start)  # the first turn began what comes from inside
        item, model = self.ops[place].inputs[position], self.ops[place - length].inputs[at]
        if type(item) is not int or type(model) is not int:
            return item.__class__ is model.__class__
        value, before = self.graph.values[item], self.graph.values[model]
        if item == model:
            return True
        if (value.shape, value.dtype) != (before.shape, before.dtype):
            return False
        return value.storage == before.storage or not self._is_another_layer(item, start)

    def _is_another_layer(self, item: int, start: int) -> bool:
        """The value is a parameter that was there before the turn was."""
        value = self.graph.values[item]
        if value.role in _OWNED:
            return True
        return value.leaf and value.requires_grad and value.op < self.ops[start].id


def _shapes(graph: Graph, op: Op) -> tuple[object, ...]:
    return tuple([(graph.values[output].shape, graph.values[output].dtype) for output in op.outputs])
