"""Asking: by which edges gradient came where a backward pass was asked for some tensors only.

`autograd.grad(loss, h)` and `backward(inputs=[h])` run no node that does not lead to `h`, so no gradient comes to what
else went into `loss`, nor to what is behind `h`.
"""

from __future__ import annotations

from gradviz.events import Sweep
from gradviz.graphs import Graph, Op
from gradviz.query import gradient_inputs


def edges_taken(graph: Graph) -> frozenset[tuple[int, int]] | None:
    """The edges, as op and input, that gradient came by; None where every pass was asked for every leaf."""
    if all(sweep.inputs is None for sweep in graph.sweeps):
        return None
    return frozenset(edge for sweep in graph.sweeps for edge in _taken(graph, sweep))


def _taken(graph: Graph, sweep: Sweep) -> list[tuple[int, int]]:
    """The edges of one pass."""
    oldest = 0 if sweep.inputs is None else min(sweep.inputs, default=max(graph.values, default=0) + 1)
    met: dict[int, Op] = {}
    pending = [graph.values[root].op for root in sweep.roots]
    while pending:
        op = graph.ops[pending.pop()]
        if op.id not in met:
            met[op.id] = op
            # What is older than all that was asked for does not lead to any of it.
            pending += [graph.values[item].op for item in gradient_inputs(graph, op) if item >= oldest]
    wanted = set(sweep.inputs) if sweep.inputs is not None else None
    taken: list[tuple[int, int]] = []
    leading = set(sweep.roots)
    if wanted is not None:
        for id in sorted(met):  # what an op was made of comes before it
            if any(item in wanted for item in gradient_inputs(graph, met[id])):
                wanted.update(met[id].outputs)
    for id in sorted(met, reverse=True):
        if not leading.isdisjoint(met[id].outputs):
            edges = [(id, item) for item in gradient_inputs(graph, met[id]) if wanted is None or item in wanted]
            leading.update(item for _, item in edges)
            taken += edges
    return taken
