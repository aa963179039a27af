"""Asides: what a loop does now and then besides its work, such as to print the loss or to evaluate a model.

Nothing comes back from it: all that is made there leaves for Python. So a loop is the same loop with it and without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gradviz.graphs import Graph, Op


def find_asides(graph: Graph, ops: Sequence[Op], tokens: Sequence[int], leaving: frozenset[int]) -> set[int]:
    """Those of the ops `leaving` that ran less often than what feeds them, and what came of them.

    tokens   a number for each of `ops`, equal for those that do the same
    """
    if not leaving:
        return set()
    counts = Counter(tokens)
    token_of = dict(zip((op.id for op in ops), tokens, strict=True))
    asides: set[int] = set()
    for op, token in zip(ops, tokens, strict=True):
        if op.id not in leaving:
            continue
        makers = [graph.values[item].op for item in op.value_inputs]
        if any(maker in asides or counts[token_of.get(maker, -1)] > counts[token] for maker in makers):
            asides.add(op.id)
    return asides


def leaving_ops(graph: Graph) -> frozenset[int]:
    """The ops whose results, if they have any, go to Python and nowhere else."""
    if all(op.outputs for op in graph.ops.values()):
        return frozenset()
    used: set[int] = set()
    staying = {root for sweep in graph.sweeps for root in sweep.roots}
    leaving: set[int] = set()
    for op in reversed(list(graph.ops.values())):
        inputs = op.value_inputs
        if staying.isdisjoint(op.outputs) and (not op.outputs or not used.isdisjoint(op.outputs)):
            leaving.add(op.id)
        else:
            staying.update(inputs)
        used.update(inputs)
    return frozenset(leaving)
