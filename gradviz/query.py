"""Questions to a graph: where a value comes from, which roads a gradient takes, what stays alive, what is called so.

All of them are pure functions over a whole or partial Graph, none recurses, and all that is ordered is ordered by id.
"Upstream" and "ancestors" follow data unless `gradient` is given; then they follow what autograd would walk.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from gradviz.errors import UsageError
from gradviz.events import Saved, Sweep
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
        return tuple([item for item, needed in pairs if needed and isinstance(item, int)])
    if keeps_history(graph, op):
        return tuple([item for item in op.inputs[op.alias or 0 : (op.alias or 0) + 1] if isinstance(item, int)])
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

    Where there is none of either, those of the one name that ends with it: `fc.weight` for `model.fc.weight`, or `loss`
    for `out['loss']`. Raises `UsageError` with near names where there is no such name, or more than one.
    """
    values = [*graph.values.values()][::-1]
    found = tuple(value for value in values if value.name == name)
    found = found or tuple(value for value in values if _target(graph, value) == name)
    if not found and name:
        longer = {value.name for value in values if _ends_with(value.name, name)}
        found = tuple(value for value in values if value.name in longer) if len(longer) == 1 else ()
    if not found or not name:
        raise UsageError(f"there is no value called `{_one_line(name)}`", help=_near(graph, name))
    return found


def _target(graph: Graph, value: Value) -> str:
    """What the result of the op that made `value` was assigned to."""
    site = graph.ops[value.op].site
    return "" if site is None else graph.sites[site].target


def _ends_with(name: str, tail: str) -> bool:
    """Whether `tail` is all that a reader would call `name`: its last parts, or the key that holds it."""
    return name.endswith((f".{tail}", f"['{tail}']"))


def _near(graph: Graph, name: str) -> str:
    known = sorted({value.name for value in graph.values.values() if value.name})
    if not known:
        return "no value has a name here: leave the name out"
    known = [other for other in known if not other.endswith(".grad")] or known
    short = [other for other in known if len(other) <= _NAME_LIMIT]
    alike = [other for other in known if other.lower() == name.lower()] or [
        other for other in known if _ends_with(other, name)
    ][:3]
    alike = alike or difflib.get_close_matches(name[:_NAME_LIMIT], short, n=3)
    if not alike:  # nobody writes the whole of a long name
        parts = name.count(".") + 1
        tails = {".".join(other.split(".")[-parts:]): other for other in reversed(short)}
        alike = [tails[tail] for tail in difflib.get_close_matches(name[:_NAME_LIMIT], tails, n=3, cutoff=0.75)]
    if alike:
        return "did you mean " + " or ".join(f"`{_one_line(other)}`" for other in alike) + "?"
    listed = ", ".join(f"`{_one_line(other)}`" for other in known[:5])
    return f"the names are {listed}" + (f" and {len(known) - 5:,} more" if len(known) > 5 else "")


_NAME_LIMIT = 60


def _one_line(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= _NAME_LIMIT else line[: _NAME_LIMIT - 1] + "…"
