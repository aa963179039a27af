"""Folding: a large graph made small by its meaning, so that a picture of it fits a page; graph -> graph.

A fold is a remark on a graph and changes nothing in it: `Graph.folds` says which ops a picture draws as one box or as
one frame, and the ops, the values, the cuts and the sweeps stay what they are. So whatever is counted, found or
followed in a folded graph is the same as in the graph itself, and `unfold` gives that graph back.

Each way to fold is a room of its own: a function that takes a graph and gives back the same graph with more folds.
`joining.join_folds` adds them, and keeps what all of them promise:

- an op lies in one fold at most, except that the first turn of an open fold may have folds in it;
- what is drawn has no circle: between two turns of a fold data flows, but not from a fold out and back into it.
"""

from __future__ import annotations

from dataclasses import replace

from gradviz.graphs import Graph

__all__ = ["unfold"]


def unfold(graph: Graph) -> Graph:
    """The graph as it was before anything in it was folded."""
    return replace(graph, folds=()) if graph.folds else graph
