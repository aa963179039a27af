"""Views: ops one behind the other that change the shape or the dtype of a tensor and no more, drawn as one step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from gradviz.graphs import Fold, Graph, Op

VIEWS = frozenset(
    {
        "view", "reshape", "transpose", "permute", "contiguous", "flatten", "unflatten", "squeeze", "unsqueeze",
        "expand", "expand_as", "view_as", "reshape_as", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "T", "mT",
        "ravel", "to", "type", "float", "double", "half", "bfloat16", "astype", "broadcast_to", "unsafe_view",
    }
)  # fmt: skip
"""Ops that hand on each number that goes in as a number that comes out."""


def uses(graph: Graph) -> dict[int, int]:
    """How often each value is used: by ops, as the root of a sweep, or by an error."""
    counts = dict.fromkeys(graph.values, 0)
    for op in graph.ops.values():
        for item in op.inputs:
            if type(item) is int:
                counts[item] += 1
    for values in (*(sweep.roots for sweep in graph.sweeps), *(error.values for error in graph.errors)):
        for value in values:
            if value in counts:
                counts[value] += 1
    return counts


def view_chains(
    graph: Graph, ops: Iterable[int], used: Mapping[int, int], marked: Collection[int] = ()
) -> Iterator[Fold]:
    """A fold for each chain of two or more views among `ops`, which come in order; none has a `marked` op in it."""
    chains: dict[int, list[int]] = {}
    for id in ops:
        op = graph.ops[id]
        if id in marked or not is_view(op):
            continue
        source = op.value_inputs[0]
        before = graph.values[source].op
        chain = chains.pop(before, None) if used[source] == 1 and _goes_on(graph, before, op) else None
        chains[id] = [*chain, id] if chain is not None else [id]
    for chain in sorted(chains.values()):
        if len(chain) > 1:
            yield Fold("views", f"view ({len(chain)} steps)", (tuple(chain),), graph.ops[chain[0]].scope)


def is_view(op: Op) -> bool:
    """It hands on the numbers of one tensor, and the gradient if there is one."""
    stands = op.tracked or op.cause is None
    return op.name in VIEWS and stands and not op.inplace and len(op.outputs) == 1 and len(op.value_inputs) == 1


def _goes_on(graph: Graph, before: int, op: Op) -> bool:
    previous = graph.ops[before]
    return (previous.region, previous.tracked, previous.thread) == (op.region, op.tracked, op.thread)
