"""Rows: about how many boxes stand under each other in the picture of a graph."""

from __future__ import annotations

from gradviz.fold.joining import stand_for
from gradviz.graphs import Graph


def count_rows(graph: Graph) -> int:
    """How many boxes the longest road through the graph has, as it is folded."""
    standing = stand_for(graph.folds)
    rows: dict[int, int] = {}
    for op in graph.ops.values():
        if op.id in standing.twins:
            continue
        box = standing.shown(op.id)
        row = rows.get(box, 1)
        for value in op.value_inputs:
            made = graph.values[value].op
            source = standing.shown(made)
            if source != box and not standing.is_carried(made, op.id):
                row = max(row, rows.get(source, 1) + 1)
        rows[box] = row
    return max(rows.values(), default=0)
