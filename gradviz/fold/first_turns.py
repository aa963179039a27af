"""First turns: a rolled graph as it is drawn, without the turns that others stand for, and folds of that graph.

What folds a graph by its modules need not know of loops: it gets the first turns only, and what it folds has the other
turns added afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gradviz.fold.joining import Standing
from gradviz.graphs import Fold, Graph, Op


def first_turns(graph: Graph, standing: Standing) -> Graph:
    """`graph` with the ops alone that stand for themselves; what another op made comes from the one that stands for it.

    Not a graph to be drawn: values and sweeps are those of all turns.
    """
    if not standing.twins:
        return graph
    ops = {op.id: _rewired(graph, op, standing) for op in graph.ops.values() if op.id not in standing.twins}
    return replace(graph, ops=ops, folds=())


def times_of(rolled: Iterable[Fold]) -> dict[int, tuple[int, ...]]:
    """How often each loop ran that an op is drawn once for, by the ops of first turns."""
    times: dict[int, tuple[int, ...]] = {}
    for loop in rolled:
        for op in loop.turns[0]:
            times[op] = (*times.get(op, ()), loop.times)
    return times


def with_all_turns(graph: Graph, folds: Iterable[Fold], rolled: Iterable[Fold]) -> Iterator[Fold]:
    """Each of `folds` with all turns of those of `rolled` that lie in it as a whole.

    What lies in a loop shares its weights with the other turns, so they are no part of it: they stay outside of the
    loop, and the fold is told to share them. Left out is a fold whose turns are no longer equally long, because loops
    in them ran more or less often.
    """
    loops = sorted(rolled, key=lambda fold: fold.size)  # inner ones first
    cores = [tuple(op for op in loop.turns[0] if graph.ops[op].inputs) for loop in loops]
    starting: dict[int, list[int]] = {}
    around: dict[int, int] = {}
    for number, loop in enumerate(loops):
        starting.setdefault(cores[number][0], []).append(number)
        for op in loop.ops:
            around.setdefault(op, number)
    for fold in folds:
        turns = []
        for turn in fold.turns:
            own = dict.fromkeys(turn)
            for number in sorted(number for op in turn if op in starting for number in starting[op]):
                if own.keys() >= set(cores[number]):
                    own.update(dict.fromkeys(loops[number].ops))
            turns.append(tuple(own))
        homes = {around.get(op) for turn in turns for op in turn if graph.ops[op].inputs}
        weights: set[int] = set()
        if len(homes) == 1 and None not in homes:
            weights = {op for turn in turns for op in turn if around.get(op) not in homes}
            turns = [tuple(op for op in turn if op not in weights) for turn in turns]
        if len({len(turn) for turn in turns}) == 1:
            yield replace(fold, turns=tuple(turns), shared=tuple(sorted({*fold.shared, *weights})))


def _rewired(graph: Graph, op: Op, standing: Standing) -> Op:
    """`op` fed by ops that stand for themselves."""
    inputs = list(op.inputs)
    for position, item in enumerate(op.inputs):
        made = graph.values[item].op if isinstance(item, int) else None
        if made in standing.twins and made is not None and isinstance(item, int):
            model = made
            while model in standing.twins:
                model = standing.twins[model]
            if model < op.id:
                inputs[position] = graph.ops[model].outputs[item - made]
    return op if inputs == list(op.inputs) else replace(op, inputs=tuple(inputs))
