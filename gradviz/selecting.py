"""Selecting: which part of a graph is drawn where its reader did not ask for all of it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import replace

from gradviz.collecting import uncollected
from gradviz.columns import count_acting, maker_of, ops_behind
from gradviz.events import BACKWARD, Cause, Note, Sweep
from gradviz.graphs import Graph, Op, Value
from gradviz.query import find, gradient_inputs

SELECTION = "selection"
"""The kind of the note that says how much of a recording is drawn."""

_LOST_BY_CHOICE = frozenset(
    {
        Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED, Cause.DETACH, Cause.DETACH_, Cause.DATA,
        Cause.ITEM, Cause.NUMPY, Cause.RETENSOR,
    }
)  # fmt: skip
"""Causes that somebody wrote down. An `argmax` cuts as well, but nobody expected a gradient through it."""


def everything(graph: Graph) -> Graph:
    """All of the graph."""
    return graph


@uncollected
def default_selection(graph: Graph, also: Collection[int] = ()) -> Graph:
    """What is drawn where nothing else was asked for; with the ops `also`, and what led to them in their iteration.

    Upstream of the last sweep's roots by data, and what was skipped on those values: see `selection`. Two things are
    added to the roots: the values that an error is about and, where the last sweep failed, the roots of the last one
    that worked elsewhere in the script, because the difference is what its reader looks for. So is what a gradient
    behind them is the gradient of. Without a sweep: all that led to a value that nothing consumed, or out of the
    program, which is everything.
    """
    if not graph.sweeps:
        return graph
    last = graph.sweeps[-1]
    roots = [*last.roots, *last.concerned]
    if last.error:
        elsewhere = [s for s in graph.sweeps if not s.error and _place(graph, s) != _place(graph, last)]
        roots += elsewhere[-1].roots if elsewhere else ()
    roots += [*last.concerned, *(value for error in graph.errors for value in error.values)]
    roots += _differentiated(graph, roots)
    part = selection(graph, roots, also)
    return _noting_the_rest(graph, part, _count_later(graph, part, max(roots, default=0)))


def _differentiated(graph: Graph, roots: Collection[int]) -> list[int]:
    """What was differentiated, with `create_graph`, to get the gradients that `roots` came from."""
    sweeps = [sweep for sweep in graph.sweeps if sweep.create_graph and sweep.roots and not sweep.error]
    found: dict[int, None] = {}
    pending = list(roots) if sweeps else []
    while pending:
        behind = _upstream(graph, pending, _turns(graph))
        made = [graph.ops[id] for id in behind if graph.ops[id].name == "grad"]
        earlier = [[s for s in sweeps if s.site == op.site and max(s.roots) < op.id] for op in made]
        pending = [root for passed in earlier if passed for root in passed[-1].roots if root not in found]
        found.update(dict.fromkeys(sorted(pending)))
    return list(found)


@uncollected
def selection_of(graph: Graph, name: str) -> Graph:
    """What leads to the value that `called` names first. Raises `UsageError` with near names where there is none."""
    return _noting_the_rest(graph, behind(graph, [called(graph, name)[0].id]))


def called(graph: Graph, name: str) -> tuple[Value, ...]:
    """The values called `name`: those that the last sweep came by, where there are any, and the last one first.

    Raises `UsageError` with near names where there is none.
    """
    found = find(graph, name)
    if graph.sweeps:
        turns = _turns(graph)
        swept = _upstream(graph, graph.sweeps[-1].roots, turns)
        found = tuple(value for value in found if value.op in swept) or found
    return found


def _noting_the_rest(graph: Graph, part: Graph, later: int = 0) -> Graph:
    """`part`, with a note that says how much of `graph` it is, where it is not all of it, and how much ran `later`."""
    drawn, all_ops = count_acting(part.ops), count_acting(graph.ops)
    if drawn == all_ops:
        return part
    passes = len(graph.sweeps)
    last = f", around the last of {passes:,} backward passes" if passes > 1 and part.sweeps else ""
    after = f", without {later:,} that ran later" if later else ""
    note = Note(SELECTION, f"{drawn:,} of {all_ops:,} ops are drawn{last}{after}; `--all` draws everything")
    return replace(part, notes=(*part.notes, note))


def _count_later(graph: Graph, part: Graph, end: int) -> int:
    """How many ops ran after `end` and are not in `part`.

    Steps of an optimizer are none of that, nor is what backward itself called.
    """
    swept: set[int | None] = set()
    for region in graph.regions.values():  # by id, so what is around a region comes before it
        if region.kind == BACKWARD or region.parent in swept:
            swept.add(region.id)
    later = [graph.ops[id] for id in graph.ops if id > end and id not in part.ops]
    return sum(bool(op.inputs) and op.region not in swept and not _renews_leaf(graph, op) for op in later)


def selection(graph: Graph, roots: Collection[int], also: Collection[int] = ()) -> Graph:
    """What `roots` came from, by data, and what was skipped or lost on the way; with the ops `also`.

    The second part is what ran with grad mode off, or was detached or taken out of the graph, on a value of the first,
    and what followed from that without being tracked. In a training loop the selection is one iteration: sweeps from
    the same line mark where one ends. Its weights come from an update that is not shown, and what was carried over by
    data alone stands at its edge.
    """
    turns = _turns(graph)
    chosen = _upstream(graph, roots, turns) | _of_one_turn(graph, also, turns)
    if len(chosen) == len(graph.ops):
        return graph
    start = _iteration_start(graph, chosen, roots, turns)
    end = max(roots, default=0)
    chosen |= _exits(graph, chosen, start, end)
    chosen |= _skipped(graph, chosen, start, end)
    return graph if len(chosen) == len(graph.ops) else graph.subset(chosen)


def behind(graph: Graph, roots: Collection[int]) -> Graph:
    """What `roots` came from, by data; in a training loop, the part of it that one iteration made."""
    return graph.subset(_upstream(graph, roots, _turns(graph)))


def _place(graph: Graph, sweep: Sweep) -> tuple[str, int] | None:
    site = graph.sites.get(sweep.site) if sweep.site is not None else None
    return (site.file, site.line) if site else None


def _turns(graph: Graph) -> list[int]:
    """Where the iterations of the last sweep's loop end: the last root of each sweep from its line, in order."""
    if not graph.sweeps:
        return []
    place = _place(graph, graph.sweeps[-1])
    return sorted({max(sweep.roots) for sweep in graph.sweeps if sweep.roots and _place(graph, sweep) == place})


def _upstream(graph: Graph, roots: Iterable[int], turns: list[int]) -> set[int]:
    ops, maker = graph.ops, maker_of(graph.values)
    pending = list(roots)
    if max(map(maker, pending), default=0) <= (turns[0] if turns else math.inf):
        return ops_behind(ops, graph.values, pending)  # one turn: nothing is handed on to another
    found: set[int] = set()
    first = set(pending)
    while pending:
        value = pending.pop()
        made = maker(value)
        if made in found:
            continue
        op = ops[made]
        # The set-up before the loop and its first iteration are turn 0: what lies there is followed to its start.
        turn = bisect_left(turns, made)
        if turn and value not in first and _renews_leaf(graph, op):
            continue
        found.add(made)
        for item in op.inputs:
            if item.__class__ is not int:
                continue
            if turn:
                before = bisect_left(turns, maker(item))
                if before and before != turn and item not in gradient_inputs(graph, op):
                    continue
            pending.append(item)
    return found


def _of_one_turn(graph: Graph, ops: Iterable[int], turns: list[int]) -> set[int]:
    """`ops` and what led to them in the iteration that each ran in, down to the leaves it found."""
    found: set[int] = set()
    pending = list(ops)
    while pending:
        op = graph.ops[pending.pop()]
        if op.id not in found:
            found.add(op.id)
            makers = [graph.ops[graph.values[item].op] for item in op.value_inputs]
            turn = bisect_left(turns, op.id)
            # The update behind the sweep before lies in this turn by its id, and is not of this iteration.
            pending += [
                maker.id
                for maker in makers
                if maker.is_source or (bisect_left(turns, maker.id) == turn and not _renews_leaf(graph, maker))
            ]
    return found


def _renews_leaf(graph: Graph, op: Op) -> bool:
    """A weight update: an untracked op that writes a leaf which requires grad, or makes one under `no_grad`.

    A view that is made there requires grad as what it is of, and is no new tensor.
    """
    first = graph.values[op.outputs[0]] if op.outputs else None
    if op.tracked or not op.inputs or first is None or not (first.leaf and first.requires_grad):
        return False
    view = op.alias is not None and op.cause not in (Cause.DETACH, Cause.DETACH_, Cause.DATA)
    return op.inplace or (_grad_off(graph, op) and not view)


def _grad_off(graph: Graph, op: Op) -> bool:
    region = graph.regions[op.region] if op.region is not None else None
    return not op.tracked and region is not None and not region.enabled and region.kind != BACKWARD


def _iteration_start(graph: Graph, chosen: set[int], roots: Collection[int], turns: list[int]) -> int:
    """The first op of the iteration that made `roots`; 0 where nothing was iterated before.

    What ran between the sweep before and the first op behind the roots belongs to the iteration before.
    """
    earlier = bisect_left(turns, max(roots, default=0))
    if not earlier:
        return 0
    return min((id for id in chosen if id > turns[earlier - 1] and graph.ops[id].inputs), default=turns[earlier - 1])


def _exits(graph: Graph, chosen: set[int], start: int, end: int) -> set[int]:
    """Ops by which data of the selection left for Python before `end`, and what led there: it may have come back."""
    marked = {value for id in chosen for value in (*graph.ops[id].outputs, *graph.ops[id].value_inputs)}
    # By id: most ops of a large recording lie before, and are not looked at.
    between = [graph.ops[id] for id in graph.ops if start <= id < end and id not in chosen]
    leaving: list[int] = []
    for op in between:
        if not marked.isdisjoint(op.value_inputs):
            marked.update(op.outputs)
            if not op.outputs:
                leaving.append(op.id)
    found = set(leaving)
    pending = leaving
    while pending:
        for value in graph.ops[pending.pop()].value_inputs:
            made = graph.values[value].op
            if made >= start and made not in chosen and made not in found and value in marked:
                found.add(made)
                pending.append(made)
    return found


def _skipped(graph: Graph, chosen: set[int], start: int, end: int) -> set[int]:
    """Untracked ops on values of the selection, and what followed from them.

    After `end`, where backward was called, only those on what the selection computed, such as a look at the loss, and
    updates of its tensors: an evaluation begins with the same weights and the same data, and is no part of it.
    """
    values = {value for id in chosen for value in (*graph.ops[id].outputs, *graph.ops[id].value_inputs)}
    results = {value for value in values if graph.values[value].requires_grad and not graph.values[value].leaf}
    storages = {graph.values[value].storage for value in values}
    skipped: set[int] = set()
    followed: set[int] = set()
    wanted: set[int] = set()
    later = [graph.ops[id] for id in graph.ops if id >= start and id not in chosen]
    ops = [op for op in later if not op.tracked]
    for op in ops:
        lost = op.cause in _LOST_BY_CHOICE or _grad_off(graph, op)
        update = op.id > end and _updates(graph, op, storages)
        met = results if op.id > end else values
        if update or not followed.isdisjoint(op.value_inputs) or (lost and not met.isdisjoint(op.value_inputs)):
            skipped.add(op.id)
            # What an update leaves is the same tensor to its user, and whatever ran later begins with it.
            followed.update(() if update else op.outputs)
            wanted.update(op.value_inputs)
    # What the same regions computed for it, such as the step of an update from a gradient, belongs with it.
    for op in reversed(ops):
        own = _grad_off(graph, op) or (op.id > end and op.alias is not None)
        if op.id not in skipped and own and not wanted.isdisjoint(op.outputs):
            skipped.add(op.id)
            wanted.update(op.value_inputs)
    return skipped


def _updates(graph: Graph, op: Op, storages: set[int]) -> bool:
    """The user's own update of a tensor in `storages`: a write to its memory, or what is put in its place."""
    if op.name == "step" or not op.outputs:
        return False
    if op.inplace:
        return graph.values[op.outputs[0]].storage in storages
    instead = op.name == "set_data" or _renews_leaf(graph, op)
    return instead and any(graph.values[item].storage in storages for item in op.value_inputs)
