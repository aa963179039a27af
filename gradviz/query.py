"""Questions to a graph: where a value comes from, which roads a gradient takes, what stays alive, what to draw.

All of them are pure functions over a whole or partial Graph, none recurses, and all that is ordered is ordered by id.
"Upstream" and "ancestors" follow data unless `gradient` is given; then they follow what autograd would walk.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from gradviz.errors import UsageError
from gradviz.events import BACKWARD, Cause, Note, Saved, Sweep
from gradviz.graphs import Cut, Graph, Op, Value
from gradviz.roads import keeps_history


def consumers(graph: Graph) -> dict[int, tuple[int, ...]]:
    """For each value the ops that use it, each once; a value that nothing uses has an empty tuple."""
    users: dict[int, dict[int, None]] = {value: {} for value in graph.values}
    for op in graph.ops.values():
        for value in op.value_inputs:
            users[value][op.id] = None
    return {value: tuple(ops) for value, ops in users.items()}


def gradient_inputs(graph: Graph, op: Op) -> tuple[int, ...]:
    """The values that a gradient at the output of `op` goes on to, by argument position."""
    if op.tracked:
        pairs = zip(op.inputs, op.needs, strict=False)
        return tuple(item for item, needed in pairs if needed and isinstance(item, int))
    if keeps_history(graph, op):
        return tuple(item for item in op.inputs[op.alias or 0 : (op.alias or 0) + 1] if isinstance(item, int))
    return ()


def ancestors(graph: Graph, values: Iterable[int], *, gradient: bool = False) -> frozenset[int]:
    """Ids of the ops that `values` come from; with `gradient`, of those that a gradient at them goes back through."""
    found: set[int] = set()
    pending = list(values)
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.id not in found:
            onward = gradient_inputs(graph, op) if gradient else op.value_inputs
            if onward or not gradient:
                found.add(op.id)
                pending += onward
    return frozenset(found)


def descendants(graph: Graph, values: Iterable[int], *, gradient: bool = False) -> frozenset[int]:
    """Ids of the ops that follow from `values`; with `gradient`, of those that pass a gradient on towards them."""
    marked = set(values)
    found: set[int] = set()
    for op in graph.ops.values():  # by id, so an op comes after those that it follows from
        inputs = gradient_inputs(graph, op) if gradient else op.value_inputs
        if not marked.isdisjoint(inputs):
            found.add(op.id)
            marked.update(op.outputs)
    return frozenset(found)


def paths(
    graph: Graph, source: int, target: int, *, gradient: bool = False, limit: int = 100
) -> tuple[tuple[int, ...], ...]:
    """The first `limit` ways from value `source` to value `target`, each as the ops on it in the order they ran.

    With `gradient` only the roads that a gradient takes, from `target` back to `source`. Their number can double with
    each op, hence the limit.
    """
    if source == target:
        return ((),)
    between = descendants(graph, [source], gradient=gradient) & ancestors(graph, [target], gradient=gradient)
    users: dict[int, list[int]] = {}
    for id in sorted(between):
        op = graph.ops[id]
        for value in dict.fromkeys(gradient_inputs(graph, op) if gradient else op.value_inputs):
            users.setdefault(value, []).append(id)
    found: list[tuple[int, ...]] = []
    road: list[int] = []
    # Every op in `between` leads on to the target, so no step of this walk is in vain.
    branches = [iter(users.get(source, ()))]
    while branches and len(found) < limit:
        step = next(branches[-1], None)
        if step is None:
            branches.pop()
            if road:
                road.pop()
            continue
        road.append(step)
        outputs = graph.ops[step].outputs
        if target in outputs:
            found.append(tuple(road))
            road.pop()
        else:
            branches.append(iter(sorted({user for value in outputs for user in users.get(value, ())})))
    return tuple(found)


def cuts_between(graph: Graph, value: int, root: int) -> tuple[Cut, ...]:
    """The cuts that stand between `root` and `value`: data flowed by them, and a gradient does not come back."""
    between = descendants(graph, [value]) & ancestors(graph, [root])
    return tuple(
        cut
        for cut in graph.cuts
        if cut.op in between and (cut.value == value or graph.values[cut.value].op in between)
    )


def reached_leaves(graph: Graph, sweep: Sweep) -> tuple[int, ...]:
    """The leaves that gradient gets to from the sweep's roots, or those of its `inputs` that it gets to.

    Read off the edges, so it holds even where no gradient was recorded. Empty for a sweep that failed.
    """
    if sweep.error:
        return ()
    through = ancestors(graph, sweep.roots, gradient=True)
    reached = {value for id in through for value in gradient_inputs(graph, graph.ops[id])} | set(sweep.roots)
    if sweep.inputs is not None:
        return tuple(sorted(reached.intersection(sweep.inputs)))
    return tuple(sorted(id for id in reached if graph.values[id].leaf and graph.values[id].op not in through))


# what stays alive


@dataclass(frozen=True, slots=True)
class Kept:
    """A tensor that the node of `op` keeps for backward; `value` is its id, or None for one the user never held."""

    op: int
    saved: Saved
    value: int | None


def kept_alive(graph: Graph, value: int) -> tuple[Kept, ...]:
    """What `value` keeps alive at the end of the recording: what the nodes behind it saved and no sweep has freed."""
    held = ancestors(graph, [value], gradient=True) - _freed(graph)
    return tuple(
        Kept(id, saved, _saved_value(graph.ops[id], saved)) for id in sorted(held) for saved in graph.ops[id].saved
    )


def kept_bytes(graph: Graph, kept: Iterable[Kept]) -> int:
    """Size in bytes of the memory that `kept` holds, each storage counted once and whole."""
    storages: dict[int, int] = {}
    alone = 0
    for item in kept:
        if item.value is None:
            alone += item.saved.nbytes
        else:
            storage = graph.values[item.value].storage
            whole = graph.values[storage].nbytes if storage in graph.values else 0
            storages[storage] = max(storages.get(storage, 0), whole, item.saved.nbytes)
    return alone + sum(storages.values())


def _saved_value(op: Op, saved: Saved) -> int | None:
    if saved.source is None:
        return None
    source = op.outputs[-1 - saved.source] if saved.source < 0 else op.inputs[saved.source]
    return source if isinstance(source, int) else None


def _freed(graph: Graph) -> frozenset[int]:
    freed: frozenset[int] = frozenset()
    for sweep in graph.sweeps:
        if sweep.freed and not sweep.error:
            walked = ancestors(graph, sweep.roots, gradient=True)
            if sweep.inputs is not None:
                walked &= descendants(graph, sweep.inputs, gradient=True)
            freed |= walked
    return freed


# names


def find(graph: Graph, name: str) -> tuple[Value, ...]:
    """The values called `name`, the last one first; where there is none, those that were assigned to it.

    Raises `UsageError` with near names where there is none of either.
    """
    values = [*graph.values.values()][::-1]
    found = tuple(value for value in values if value.name == name)
    found = found or tuple(value for value in values if _target(graph, value) == name)
    if not found or not name:
        raise UsageError(f"there is no value called `{_one_line(name)}`", help=_near(graph, name))
    return found


def _target(graph: Graph, value: Value) -> str:
    """What the result of the op that made `value` was assigned to."""
    site = graph.ops[value.op].site
    return "" if site is None else graph.sites[site].target


def _near(graph: Graph, name: str) -> str:
    known = sorted({value.name for value in graph.values.values() if value.name})
    if not known:
        return "no value has a name here: leave the name out"
    alike = difflib.get_close_matches(name[:_NAME_LIMIT], [other for other in known if len(other) <= _NAME_LIMIT], n=3)
    alike = [other for other in known if other.lower() == name.lower()] or alike
    if alike:
        return "did you mean " + " or ".join(f"`{_one_line(other)}`" for other in alike) + "?"
    listed = ", ".join(f"`{_one_line(other)}`" for other in known[:5])
    return f"the names are {listed}" + (f" and {len(known) - 5:,} more" if len(known) > 5 else "")


_NAME_LIMIT = 60


def _one_line(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= _NAME_LIMIT else line[: _NAME_LIMIT - 1] + "…"


# what to draw

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


def default_selection(graph: Graph, also: Collection[int] = ()) -> Graph:
    """What is drawn where nothing else was asked for; with the ops `also`, and what led to them in their iteration.

    Upstream of the last sweep's roots by data, and what was skipped on those values: see `selection`. Two things are
    added to the roots: the values that an error is about and, where the last sweep failed, the roots of the last one
    that worked elsewhere in the script, because the difference is what its reader looks for. Without a sweep: all
    that led to a value that nothing consumed, or out of the program, which is everything.
    """
    if not graph.sweeps:
        return graph
    last = graph.sweeps[-1]
    roots = [*last.roots, *last.concerned]
    if last.error:
        elsewhere = [s for s in graph.sweeps if not s.error and _place(graph, s) != _place(graph, last)]
        roots += elsewhere[-1].roots if elsewhere else ()
    roots += [*last.concerned, *(value for error in graph.errors for value in error.values)]
    return _noting_the_rest(graph, selection(graph, roots, also))


def selection_of(graph: Graph, name: str) -> Graph:
    """What leads to the value called `name`. Raises `UsageError` with near names where there is none.

    Of several values of that name, the last one that the last sweep came by, or else the last one.
    """
    found = find(graph, name)
    if graph.sweeps:
        turns = _turns(graph)
        swept = _upstream(graph, graph.sweeps[-1].roots, turns)
        found = tuple(value for value in found if value.op in swept) or found
    return _noting_the_rest(graph, behind(graph, [found[0].id]))


def _noting_the_rest(graph: Graph, part: Graph) -> Graph:
    """`part`, with a note that says how much of `graph` it is, where it is not all of it."""
    drawn, all_ops = (sum(1 for op in some.ops.values() if op.inputs) for some in (part, graph))
    if drawn == all_ops:
        return part
    passes = len(graph.sweeps)
    last = f", around the last of {passes:,} backward passes" if passes > 1 and part.sweeps else ""
    note = Note("selection", f"{drawn:,} of {all_ops:,} ops are drawn{last}; `--all` draws everything")
    return replace(part, notes=(*part.notes, note))


def selection(graph: Graph, roots: Collection[int], also: Collection[int] = ()) -> Graph:
    """What `roots` came from, by data, and what was skipped or lost on the way; with the ops `also`.

    The second part is what ran with grad mode off, or was detached or taken out of the graph, on a value of the first,
    and what followed from that without being tracked. In a training loop the selection is one iteration: sweeps from
    the same line mark where one ends. Its weights come from an update that is not shown, and what was carried over by
    data alone stands at its edge.
    """
    turns = _turns(graph)
    chosen = _upstream(graph, roots, turns) | _of_one_turn(graph, also, turns)
    start = _iteration_start(graph, chosen, roots, turns)
    chosen |= _exits(graph, chosen, start, max(roots, default=0))
    chosen |= _skipped(graph, chosen, start)
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
    found: set[int] = set()
    pending = list(roots)
    first = set(pending)
    while pending:
        value = pending.pop()
        op = graph.ops[graph.values[value].op]
        # The set-up before the loop and its first iteration are turn 0: what lies there is followed to its start.
        turn = bisect_left(turns, op.id)
        if op.id in found or (turn and value not in first and _renews_leaf(graph, op)):
            continue
        found.add(op.id)
        walked = set(gradient_inputs(graph, op))
        for item in op.value_inputs:
            made = bisect_left(turns, graph.values[item].op)
            if item in walked or made == turn or not made:
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
            pending += [maker.id for maker in makers if maker.is_source or bisect_left(turns, maker.id) == turn]
    return found


def _renews_leaf(graph: Graph, op: Op) -> bool:
    """A weight update: an untracked op that writes a leaf which requires grad, or makes one under `no_grad`."""
    first = graph.values[op.outputs[0]] if op.outputs else None
    if op.tracked or not op.inputs or first is None or not (first.leaf and first.requires_grad):
        return False
    return op.inplace or _grad_off(graph, op)


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
    between = [op for op in graph.ops.values() if start <= op.id < end and op.id not in chosen]
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


def _skipped(graph: Graph, chosen: set[int], start: int) -> set[int]:
    values = {value for id in chosen for value in (*graph.ops[id].outputs, *graph.ops[id].value_inputs)}
    skipped: set[int] = set()
    followed: set[int] = set()
    wanted: set[int] = set()
    ops = [op for op in graph.ops.values() if op.id >= start and op.id not in chosen and not op.tracked]
    for op in ops:
        lost = op.cause in _LOST_BY_CHOICE or _grad_off(graph, op)
        if not followed.isdisjoint(op.value_inputs) or (lost and not values.isdisjoint(op.value_inputs)):
            skipped.add(op.id)
            followed.update(op.outputs)
            wanted.update(op.value_inputs)
    # What the same regions computed for it, such as the step of an update from a gradient, belongs with it.
    for op in reversed(ops):
        if op.id not in skipped and _grad_off(graph, op) and not wanted.isdisjoint(op.outputs):
            skipped.add(op.id)
            wanted.update(op.value_inputs)
    return skipped
