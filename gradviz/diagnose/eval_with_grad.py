"""Forward passes were recorded that no backward used.

## What it does
Looks for passes with grad mode on, after `eval()` or in a thread that was started inside of `no_grad`, where nothing of
it came to a backward. Notes other places that used trained parameters so, twice or more, in a program that does train.

## Why is this bad
Evaluation with grad mode on keeps every intermediate tensor until its result goes. `model.eval()` does not change that,
and grad mode is a thread's own: what is handed to another thread runs with grad on.

## Example
    model.eval()
    loss = criterion(model(x), y).item()

## Use instead
    model.eval()
    with torch.no_grad():
        loss = criterion(model(x), y).item()
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.held import held_bytes
from gradviz.diagnose.lost import lost_roads, starved_parameters
from gradviz.events import Work
from gradviz.graphs import Op
from gradviz.picture.wording import plural
from gradviz.query import gradient_inputs

CODE = "GV504"

_COPYING = frozenset({"clone", "expand_as", "view_as"})
"""What is done to parameters to keep a copy, as for an average, or to get at their node in the graph."""


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each call of `eval()`, each place that starts work, and each function that runs such passes."""
    yield from _in_threads(facts)
    graph = facts.graph
    if not any(not sweep.error for sweep in graph.sweeps):
        return
    starved = set(facts.ahead(version for parameter in starved_parameters(facts) for version in parameter.versions))
    runs: dict[tuple[str, str, int | None], dict[int | None, list[int]]] = {}
    told = _told_as_lost(facts)
    switches = _Switches(facts)
    handed = facts.once(_handed)
    for op in graph.ops.values():
        if not op.tracked or op.id in facts.swept or op.id in handed or facts.in_sweep(op):
            continue
        if not facts.feeding.isdisjoint(op.outputs):
            continue  # what is detached and then used for a loss is no evaluation
        used = [] if op.name in _COPYING else _parameters(facts, op)
        site = graph.sites.get(op.site) if op.site is not None else None
        if all(math.prod(graph.values[value].shape) == 1 for value in used):
            continue  # such as `log_alpha.exp().item()`, which costs nothing
        if site is not None and used and op.id not in starved and op.site not in told:
            evaluated = switches.evaluated(op.id, used)
            runs.setdefault((site.file, site.function, evaluated), {}).setdefault(op.site, []).append(op.id)
    merged: dict[int | None, dict[int | None, list[int]]] = {}
    for (_, _, evaluated), places in runs.items():
        often = {site: ops for site, ops in places.items() if len({graph.ops[op].scope for op in ops}) < len(ops)}
        if not often:
            continue
        if evaluated is None:
            yield _complaint(facts, often, None)
        else:
            merged.setdefault(evaluated, {}).update(often)
    for evaluated, often in merged.items():
        yield _complaint(facts, often, evaluated)


def _told_as_lost(facts: Facts) -> set[int | None]:
    """The lines that compute a term of the loss which is cut off: it was meant to be differentiated."""
    ops = [facts.graph.ops[lost.op] for lost in lost_roads(facts) if lost.state == "term"]
    cut = [item for op in ops for item, needs in zip(op.inputs, op.needs, strict=False) if needs]
    return {facts.graph.ops[id].site for id in facts.behind(item for item in cut if isinstance(item, int))}


def _complaint(facts: Facts, places: dict[int | None, list[int]], evaluated: int | None) -> Complaint:
    graph = facts.graph
    first = next(iter(places))
    ops = [op for found in places.values() for op in found]
    values = dict.fromkeys(value for op in ops for value in _parameters(facts, graph.ops[op]))
    later = facts.ahead([output for op in ops for output in graph.ops[op].outputs])
    kept = held_bytes(facts, {*ops, *later})
    cost = f" ({kept:,} bytes were saved for backward)" if kept else ""
    uses = f"{plural(len(ops), 'use')} of trained parameters from {facts.line(first)} on"
    if evaluated is None:
        return Complaint(
            Severity.NOTE,
            f"{uses} were recorded and never differentiated{cost}",
            _help(facts, places),
            first,
            tuple(values),
        )
    return Complaint(
        Severity.WARNING,
        f"`eval()` at {facts.line(evaluated)} does not switch grad off: {uses} were recorded and never differentiated"
        f"{cost}",
        "run the evaluation inside `with torch.no_grad():`, or decorate its function with `@torch.no_grad()`",
        evaluated,
        tuple(values),
        ((first, "recorded here"),),
    )


def _help(facts: Facts, places: Collection[int | None]) -> str:
    """A line whose other results a backward used, such as a call of a library's module, cannot go into `no_grad`."""
    trained = [site for site in places if site in facts.once(_swept_sites)]
    if not trained:
        return "run this inside `with torch.no_grad():`"
    return (
        f"nothing, if that is meant: {facts.line(trained[0])} makes what a backward used, too, so `no_grad` cannot go "
        "around all of it; leave what is not used uncomputed, where the call lets you"
    )


def _swept_sites(facts: Facts) -> frozenset[int | None]:
    """The lines of which a backward used some result."""
    return frozenset(facts.graph.ops[op].site for op in facts.swept)


def _parameters(facts: Facts, op: Op) -> list[int]:
    """The trained tensors that `op` uses, by first version."""
    found = (facts.tensor(item) for item in gradient_inputs(facts.graph, op))
    return [value for value in found if value in facts.parameters]


class _Switches:
    """When the modules of which parameters were switched to evaluation, and back."""

    def __init__(self, facts: Facts) -> None:
        self._told: dict[int, list[tuple[int, int | None]]] = {}
        for act in facts.acts("eval", "train"):
            for value in act.values:
                site = act.site if act.kind == "eval" else None
                self._told.setdefault(facts.tensor(value), []).append((act.after, site))

    def evaluated(self, op: int, parameters: Iterable[int]) -> int | None:
        """The site of the `eval()` that was in effect for one of `parameters` when `op` ran; None for none."""
        for parameter in parameters:
            told = self._told.get(parameter, [])
            at = bisect_left(told, op, key=lambda entry: entry[0])
            if at and told[at - 1][1] is not None:
                return told[at - 1][1]
        return None


# other threads


def _in_threads(facts: Facts) -> Iterator[Complaint]:
    graph = facts.graph
    by_place: dict[tuple[int | None, int | None], list[int]] = {}
    for op, work in facts.once(_handed).items():
        by_place.setdefault((work.site, work.region), []).append(op)
    for (site, region), ops in by_place.items():
        opener = graph.regions[region].site if region is not None else None
        kind = graph.regions[region].kind if region is not None else "no_grad"
        used = {item for op in ops for item in graph.ops[op].value_inputs}
        results = [output for op in ops for output in graph.ops[op].outputs if output not in used]
        yield Complaint(
            Severity.WARNING,
            f"{plural(len(ops), 'operation')} that {facts.line(site)} hands to other threads ran with grad on, "
            f"although `{kind}` is open there since {facts.line(opener)}: grad mode does not follow into threads",
            f"open `{kind}` inside of the function that the thread runs",
            site,
            tuple(results),
            ((opener, "opened here, for this thread alone"),),
        )


def _handed(facts: Facts) -> dict[int, Work]:
    """The tracked ops that ran in another thread for somebody who had switched grad off, and were never swept."""
    told: dict[int, list[Work]] = {}
    for work in facts.graph.work:
        told.setdefault(work.thread, []).append(work)
    found: dict[int, Work] = {}
    for op in facts.graph.ops.values():
        works = told.get(op.thread)
        if works and op.tracked and op.id not in facts.swept:
            at = bisect_left(works, op.id, key=lambda work: work.after)
            if at and works[at - 1].region is not None:
                found[op.id] = works[at - 1]
    return found
