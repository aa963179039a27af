"""Updates: the step by which an optimizer writes all weights of a model, one op each, drawn as one box."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from gradviz.graphs import Fold, Graph, Op

KIND = "updates"
"""The kind of such a fold."""

MANY = 4
"""So many weights at least that one line writes are one box."""


def find_updates(graph: Graph, ops: Iterable[Op], sources: Collection[int]) -> Iterator[Fold]:
    """A fold for each line that writes many leaves among `ops`, a turn of a loop.

    sources  ops that make leaves for this turn alone: the gradients go with the writes that use them
    """
    users: dict[int, set[int]] = {}
    written: dict[int | None, list[Op]] = {}
    for op in ops:
        for item in op.value_inputs:
            users.setdefault(graph.values[item].op, set()).add(op.id)
        if writes_leaf(graph, op):
            written.setdefault(op.site, []).append(op)
    for writers in written.values():
        if len(writers) >= MANY:
            own = [op.id for op in writers]
            used = {graph.values[item].op for op in writers for item in op.value_inputs}
            gradients = sorted(made for made in used.intersection(sources) if users[made].issubset(own))
            weights = sorted(made for made in used.difference(gradients) if graph.ops[made].is_source)
            names = {op.name for op in writers}
            title = names.pop() if len(names) == 1 else KIND
            yield Fold(KIND, title, ((*own, *gradients),), writers[0].scope, shared=tuple(weights))


def writes_leaf(graph: Graph, op: Op) -> bool:
    """The op writes a leaf that requires grad, and is no part of what is differentiated."""
    if op.tracked or not op.inplace or op.alias is None or len(op.outputs) != 1:
        return False
    made = graph.values[op.outputs[0]]
    return made.leaf and made.requires_grad


def without_updates(graph: Graph, updates: Sequence[Fold]) -> Graph:
    """`graph` as if `updates` had not run: what uses a written weight uses the weight. Not a graph to be drawn."""
    gone = {op for fold in updates for op in fold.ops}
    if gone.isdisjoint(graph.ops):
        return graph
    before: dict[int, int] = {}
    for id in sorted(gone & graph.ops.keys()):
        op = graph.ops[id]
        written = op.inputs[op.alias] if op.alias is not None else None
        if isinstance(written, int):
            before[op.outputs[0]] = before.get(written, written)
    ops = {
        op.id: replace(op, inputs=tuple([before.get(item, item) if type(item) is int else item for item in op.inputs]))
        if not before.keys().isdisjoint(op.value_inputs)
        else op
        for op in graph.ops.values()
        if op.id not in gone
    }
    return replace(graph, ops=ops)
