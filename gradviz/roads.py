"""Roads: by how many ways the data of each value, and the gradient to it, connect it with what the graph leads to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from weakref import ref

from gradviz.events import Cause, Sweep
from gradviz.graphs import Graph, Op, Value
from gradviz.withholding import withheld

MANY = 1_000_000
"""Counts stop here: the number of roads doubles with each fork, so it can outgrow the graph by far."""

SEVERAL_NUMBERS = "grad can be implicitly created only for scalar outputs"
"""What a backward raises before it begins, when its root is no single number."""
MISFIT = "Mismatch in shape: grad_output["
"""What it raises when the gradient to start from has another shape than the root."""


@dataclass(frozen=True, slots=True)
class Roads:
    """Counts of roads that end at a goal, by value id, never above `MANY`; a value without a road is absent.

    goals     the roots of the sweeps; without a sweep, the tracked values that nothing consumed
    data      roads that the numbers took. A road ends at a leaf that requires grad (what lies behind it was meant to
              be left behind) and at an op that has no derivative
    gradient  those of them that gradient comes back by: autograd can walk them, no custom function gave None, and the
              backward at their end began
    withheld  where one did, as op and value
    """

    goals: tuple[int, ...]
    data: Mapping[int, int]
    gradient: Mapping[int, int]
    withheld: frozenset[tuple[int, int]] = frozenset()


def count_roads(graph: Graph) -> Roads:
    """The roads of `graph`; of a large one, what was counted last is kept for as long as its ops are.

    Folding asks for them and drawing asks again, of a graph that has folds and is the same otherwise.
    """
    last = _last.get("")
    if last is not None:
        ops, values, sweeps, counted = last
        if ops() is graph.ops and values() is graph.values and sweeps is graph.sweeps:
            return counted
    counted = _count(graph)
    with suppress(TypeError):  # an ordinary dictionary, as of a small graph, cannot be referred to without being kept
        _last[""] = (ref(graph.ops, _forget), ref(graph.values), graph.sweeps, counted)
    return counted


_last: dict[str, tuple[ref[Mapping[int, Op]], ref[Mapping[int, Value]], tuple[Sweep, ...], Roads]] = {}


def _forget(ops: ref[Mapping[int, Op]]) -> None:
    last = _last.get("")
    if last is not None and last[0] is ops:
        _last.clear()


def _count(graph: Graph) -> Roads:
    """Count in one walk from the last op to the first: an op's inputs always have smaller ids than the op."""
    goals = _goals(graph)
    data = dict.fromkeys(goals, 1)
    refused = _refused(graph)
    gradient = {goal: 1 for goal in goals if graph.values[goal].requires_grad and goal not in refused}
    ops, kept_back = graph.ops, withheld(graph)
    roads_from, walks_from, constant = data.get, gradient.get, Cause.NONDIFFERENTIABLE
    for id in sorted(ops, reverse=True):
        op = ops[id]
        tracked = op.tracked
        onward = walked = 0
        for output in op.outputs:
            roads = roads_from(output, 0)
            if roads and (tracked or not restarts(graph, op, output)):
                onward += roads
            walked += walks_from(output, 0)
        if not (onward or walked) or op.cause is constant:
            continue
        kept = walked and not tracked and keeps_history(graph, op)
        needs = op.needs
        for position, item in enumerate(op.inputs):
            if type(item) is not int:
                continue
            if onward:
                # Deep in a graph nearly every count is at its end.
                data[item] = MANY if onward >= MANY else min(roads_from(item, 0) + onward, MANY)
            if walked and (needs[position] if tracked else kept and position == op.alias):
                if kept_back and (id, item) in kept_back:
                    continue
                gradient[item] = MANY if walked >= MANY else min(walks_from(item, 0) + walked, MANY)
    return Roads(goals, data, gradient, kept_back)


def restarts(graph: Graph, op: Op, output: int) -> bool:
    """An untracked op made a leaf that requires grad: gradient is collected here and is not missed further back.

    A view that is made with grad off says that it requires grad, as what it is of does, and collects none.
    """
    value = graph.values[output]
    return not op.tracked and value.leaf and value.requires_grad and not is_view_with_grad_off(op)


def is_view_with_grad_off(op: Op) -> bool:
    """The op is a view, such as the `expand` inside of `sample()`, and a switch of grad mode keeps autograd away."""
    return op.alias is not None and not op.inplace and not op.tracked and op.cause in _MODES


_MODES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)


def keeps_history(graph: Graph, op: Op) -> bool:
    """A write in place, with grad off, to a tensor that has a `grad_fn`: the tensor keeps the one it had."""
    if op.tracked or not op.inplace or not op.outputs:
        return False
    value = graph.values[op.outputs[0]]
    return value.requires_grad and not value.leaf


def _refused(graph: Graph) -> set[int]:
    """The roots at which every backward raised before it began, for their shape."""
    began = {
        root
        for sweep in graph.sweeps
        if SEVERAL_NUMBERS not in sweep.error and MISFIT not in sweep.error
        for root in sweep.roots
    }
    return {root for sweep in graph.sweeps for root in sweep.roots} - began


def _goals(graph: Graph) -> tuple[int, ...]:
    roots = {root for sweep in graph.sweeps for root in sweep.roots if root in graph.values}
    if not roots:
        consumed = {item for op in graph.ops.values() if op.outputs for item in op.inputs}
        roots = {
            value.id
            for value in graph.values.values()
            if value.requires_grad and not value.leaf and value.id not in consumed
        }
    return tuple(sorted(roots))
