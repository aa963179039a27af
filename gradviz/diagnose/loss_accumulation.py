"""A total of losses, or a list of results, keeps the graph of every step alive.

## What it does
Looks for a sum that was carried over three or more steps with its history and that no backward used, and for lists that
hold a tracked result of each of several steps.

## Why is this bad
Each graph, and every tensor that it saved, stays in memory until the total or the list goes.

## Example
    total += loss

## Use instead
    total += loss.item()
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.picture.wording import plural
from gradviz.query import gradient_inputs

CODE = "GV503"
STEPS = 3


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each total and each list."""
    yield from _totals(facts)
    yield from _lists(facts)


def _totals(facts: Facts) -> Iterator[Complaint]:
    graph = facts.graph
    length: dict[int, int] = {}
    if not graph.sweeps:
        return
    for op in graph.ops.values():
        if op.tracked and op.name in ("add", "sub") and op.outputs and op.id not in facts.swept:
            before = [graph.ops[graph.values[item].op] for item in gradient_inputs(graph, op)]
            grown = max((length.get(past.id, 0) for past in before if past.site == op.site), default=0)
            length[op.id] = grown + 1
    ends = {graph.ops[id].site: id for id, steps in length.items() if steps >= STEPS}
    for site, id in ends.items():
        total = graph.ops[id].outputs[0]
        makers = {graph.values[item].op: item for item in gradient_inputs(graph, graph.ops[id])}
        summed = [item for maker, item in makers.items() if graph.ops[maker].site != site]
        if facts.behind(summed) & {maker for maker in makers if graph.ops[maker].site == site}:
            continue  # a residual connection: what is added comes from the sum so far
        name = facts.name(total) or graph.ops[id].name
        item = (facts.name(summed[-1]) if summed else "") or "the loss"
        yield Complaint(
            Severity.WARNING,
            f"`{name}` keeps the graphs of {plural(length[id], 'step')} alive: {facts.line(site)} adds `{item}` to "
            f"it with "
            "its history",
            f"add `{item}.item()` or `{item}.detach()` in place of `{item}`",
            site,
            (total,),
        )


def _lists(facts: Facts) -> Iterator[Complaint]:
    graph = facts.graph
    ends = sorted({max(sweep.roots) for sweep in graph.sweeps if sweep.roots})
    held: dict[tuple[str, int | None], list[int]] = {}
    for value in graph.values.values():
        match = re.fullmatch(r"(.+)\[\d+\]", value.name)
        if match and value.requires_grad and not value.leaf:
            held.setdefault((match[1], graph.ops[value.op].site), []).append(value.id)
    for (name, site), values in held.items():
        steps = {bisect_left(ends, value) for value in values}
        if len(steps) < STEPS:
            continue
        yield Complaint(
            Severity.WARNING,
            f"`{name}` holds {plural(len(values), 'tensor')} made at {facts.line(site)} in {len(steps)} steps, each "
            f"with the "
            "graph that made it",
            "keep detached tensors: append `x.detach()`",
            site,
            (),
            named=(name,),
        )
