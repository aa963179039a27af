"""Joining: folds added to a graph, so that no op lies in two of them and what is drawn has no circle."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, cycle, repeat

from gradviz.graphs import Fold, Graph


@dataclass(slots=True)
class Standing:
    """What stands for each folded op.

    within  op -> the id of the closed fold whose box shows it
    twins   op of a later turn of an open fold -> the op of the first turn that is drawn for it
    turns   op -> the fold and the turn it lies in, where the fold has several; the outermost one counts
    inner   op -> the same of the folds within that one, outer ones first
    """

    within: dict[int, int] = field(default_factory=dict)
    twins: dict[int, int] = field(default_factory=dict)
    turns: dict[int, tuple[int, int]] = field(default_factory=dict)
    inner: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def shown(self, op: int) -> int:
        """The op in whose place `op` is drawn: the first op of a closed fold, a twin, or itself."""
        while op in self.twins:
            op = self.twins[op]
        return self.within.get(op, op)

    def is_carried(self, made: int, used: int) -> bool:
        """What the op `made` gives to the op `used` goes from one turn of a fold to another turn of it."""
        while True:
            tail, head = self.turns.get(made), self.turns.get(used)
            if tail is None or head is None or tail[0] != head[0]:
                return False
            if tail[1] != head[1]:
                return True
            if made in self.inner and used in self.inner:
                for one, other in zip(self.inner[made], self.inner[used], strict=False):
                    if one != other:
                        return one[0] == other[0]
            if made not in self.twins or used not in self.twins:
                return False
            made, used = self.twins[made], self.twins[used]


def stand_for(folds: Iterable[Fold]) -> Standing:
    """What stands for each op of `folds`."""
    standing = Standing()
    # An outer fold is larger than one within its first turn.
    for fold in sorted(folds, key=lambda fold: (-fold.size, fold.id)):
        turns = fold.turns
        if fold.times > 1:
            # In columns: a loop that does one thing a million times has a million turns.
            lengths = repeat(len(turns[0]))
            places = chain.from_iterable(map(repeat, zip(repeat(fold.id), range(fold.times)), lengths))
            if standing.turns.keys().isdisjoint(fold.ops):
                standing.turns.update(zip(fold.ops, places, strict=True))
            else:
                for op, place in zip(fold.ops, places, strict=True):
                    if op in standing.turns:
                        standing.inner.setdefault(op, []).append(place)
                    else:
                        standing.turns[op] = place
        if not fold.open:
            standing.within.update(dict.fromkeys(fold.ops, fold.id))
        elif fold.times > 1:
            later = chain.from_iterable(turns[1:])
            standing.twins.update(zip(later, cycle(turns[0])))
    return standing


def join_folds(graph: Graph, folds: Iterable[Fold]) -> Graph:
    """`graph` with `folds` as well.

    Of two that have ops in common the larger stays, and both where the smaller lies in the first turn of the larger and
    that one is open. A fold by which data would go out of what is drawn as one and come back into it is left out.
    """
    candidates = sorted((*graph.folds, *folds), key=lambda fold: (-fold.size, fold.id, not fold.open))
    while True:
        kept = _without_overlap(candidates)
        circular = _in_circles(graph, kept)
        if not circular:
            return replace(graph, folds=tuple(sorted(kept, key=lambda fold: (fold.id, -fold.size))))
        left_out = {id(fold) for fold in circular}
        candidates = [fold for fold in candidates if id(fold) not in left_out]


def _without_overlap(candidates: Sequence[Fold]) -> list[Fold]:
    """Those that stay, of candidates that come by size."""
    kept: list[Fold] = []
    owner: dict[int, int] = {}
    last = len(candidates) - 1
    for number, fold in enumerate(candidates):
        ops = fold.ops
        if not owner.keys().isdisjoint(ops):
            owners = {owner.get(op) for op in ops}
            around = owners.pop()
            if owners or around is None:
                continue
            home = kept[around]
            if not home.open or fold.size == home.size or not set(home.turns[0]).issuperset(ops):
                continue
        if number < last:
            owner.update(dict.fromkeys(ops, len(kept)))
        kept.append(fold)
    return kept


def _in_circles(graph: Graph, folds: Sequence[Fold]) -> list[Fold]:
    """The folds that lie on a circle of what is drawn."""
    if _are_stretches(graph, folds):
        return []
    standing = stand_for(folds)
    onward, waits = _edges(graph, standing)
    ready = [node for node in onward if not waits[node]]
    while ready:
        for head in onward.pop(ready.pop()):
            waits[head] -= 1
            if not waits[head]:
                ready.append(head)
    # What is left lies on a circle or behind one; a second walk from the other end leaves only what lies between two.
    coming: dict[int, int] = dict.fromkeys(onward, 0)
    backward: dict[int, list[int]] = {node: [] for node in onward}
    for node, heads in onward.items():
        for head in heads:
            coming[node] += 1
            backward[head].append(node)
    ready = [node for node, count in coming.items() if not count]
    left = set(onward)
    while ready:
        node = ready.pop()
        left.discard(node)
        for tail in backward[node]:
            coming[tail] -= 1
            if not coming[tail]:
                ready.append(tail)
    return [fold for fold in folds if any(standing.shown(op) in left for op in fold.turns[0])]


def _edges(graph: Graph, standing: Standing) -> tuple[dict[int, list[int]], dict[int, int]]:
    """What is drawn as the ops: for each the ones that data goes on to, and how many wires come to it."""
    shown = {op: standing.shown(op) for op in graph.ops}
    onward: dict[int, list[int]] = {node: [] for node in shown.values()}
    waits: dict[int, int] = dict.fromkeys(onward, 0)
    for op in graph.ops.values():
        head = shown[op.id]
        for item in op.inputs:
            if type(item) is int:
                made = graph.values[item].op
                tail = shown[made]
                if tail == head or standing.is_carried(made, op.id):
                    continue
                onward[tail].append(head)
                waits[head] += 1
    return onward, waits


def _are_stretches(graph: Graph, folds: Sequence[Fold]) -> bool:
    """Each fold took all ops from its first to its last in time, so no data can have gone out and come back.

    Ops that make leaves from nothing have no time: nothing goes into them.
    """
    ordered: list[int] = []
    idle: set[int] = set()
    for op in graph.ops.values():
        if op.inputs:
            ordered.append(op.id)
        else:
            idle.add(op.id)
    for fold in folds:
        ops = fold.ops
        own = ops if idle.isdisjoint(ops) else [op for op in ops if op not in idle]
        if own and bisect_left(ordered, max(own)) - bisect_left(ordered, min(own)) + 1 != len(own):
            return False
    return True
