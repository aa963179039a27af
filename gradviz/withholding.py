"""Withholding: where an op that autograd recorded hands no gradient on to an input that requires grad.

Two kinds do. Of the results of `topk` or `sort` only the integers may have gone on to a root: no gradient comes back by
those. And the backward of a custom function may have returned None, which no edge of the graph says; that is read off
what the sweeps brought.
"""

from __future__ import annotations

from collections.abc import Container
from operator import attrgetter

from gradviz.graphs import Graph, Op

HOOK_FUNCTION = "BackwardHookFunction"
"""The op, and no function of the user's, by which a module with backward hooks passes its inputs and its outputs."""


def is_custom(op: Op) -> bool:
    """The op is a `Function` of the user's: nodes of built-in ops end in a digit, as `MulBackward0`."""
    return op.tracked and op.node == f"{op.name}Backward" and op.name != HOOK_FUNCTION


def hands_on_integers(graph: Graph, op: Op, used: Container[int]) -> bool:
    """Of what the tracked `op` made, only integers are in `used`: the indices beside the values."""
    if len(op.outputs) < 2:
        return False
    went_on = [graph.values[output] for output in op.outputs if output in used]
    return bool(went_on) and not any(value.requires_grad or not value.dtype.startswith("int") for value in went_on)


def withheld(graph: Graph) -> frozenset[tuple[int, int]]:
    """The inputs, as op and value, that the backward of a custom function returned None for.

    Told of where a sweep that was asked for every leaf passed the function, and brought nothing to any leaf behind the
    input. Of two functions on one road the one nearest to the leaves is told of: the backward of the other gives it
    zeros where it has none, and those would have come to the leaves.
    """
    nodes = set(map(attrgetter("node"), graph.ops.values()))
    if not any(node.endswith("Backward") for node in nodes):
        return frozenset()
    custom = {op.id for op in graph.ops.values() if is_custom(op)}
    if not custom:
        return frozenset()
    walked = _walked(graph)
    fed = {graph.values[g.value].storage for s in graph.sweeps for g in s.gradients if g.value in graph.values}
    given: set[int] = set()
    found: set[tuple[int, int]] = set()
    for id in sorted(walked):
        op = graph.ops[id]
        items = [item for item, needed in zip(op.inputs, op.needs, strict=False) if needed and isinstance(item, int)]
        brought = [item for item in items if item in given or _is_fed(graph, item, fed, walked)]
        if id in custom:
            found.update((id, item) for item in items if item not in brought)
        if brought or id in custom:
            given.update(op.outputs)
    return frozenset(found)


def _is_fed(graph: Graph, item: int, fed: set[int], walked: set[int]) -> bool:
    """A leaf got a gradient; what came from outside of the sweeps' roads is taken to have had one."""
    value = graph.values[item]
    return value.storage in fed if value.leaf else value.op not in walked


def _walked(graph: Graph) -> set[int]:
    """Ids of the tracked ops behind the roots of the sweeps that were asked for every leaf and did not fail."""
    found: set[int] = set()
    pending = [root for sweep in graph.sweeps if not sweep.error and sweep.inputs is None for root in sweep.roots]
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.id not in found and op.tracked:
            found.add(op.id)
            pending += [item for item, need in zip(op.inputs, op.needs, strict=False) if need and isinstance(item, int)]
    return found
