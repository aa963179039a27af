"""Forward passes were recorded that no backward used.

## What it does
Notes places that used trained parameters with grad mode on, twice or more, where nothing of it came to a backward, in a
program that does train.

## Why is this bad
Evaluation with grad mode on keeps every intermediate tensor until its result goes. `model.eval()` does not change that.

## Example
    model.eval()
    loss = criterion(model(x), y).item()

## Use instead
    model.eval()
    with torch.no_grad():
        loss = criterion(model(x), y).item()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import starved_parameters
from gradviz.picture.wording import plural
from gradviz.query import gradient_inputs

CODE = "GV504"


def check(facts: Facts) -> Iterator[Complaint]:
    """One note for each function that runs such passes."""
    graph = facts.graph
    if not any(not sweep.error for sweep in graph.sweeps):
        return
    starved = {parameter.id for parameter in starved_parameters(facts)}
    runs: dict[tuple[str, str], dict[int | None, list[int]]] = {}
    for op in graph.ops.values():
        if not op.tracked or op.id in facts.swept or not facts.feeding.isdisjoint(op.outputs):
            continue  # what is detached and then used for a loss is no evaluation
        used = [facts.tensor(item) for item in gradient_inputs(graph, op) if facts.tensor(item) in facts.parameters]
        site = graph.sites.get(op.site) if op.site is not None else None
        if site is not None and used and starved.isdisjoint(used):
            runs.setdefault((site.file, site.function), {}).setdefault(op.site, []).append(op.id)
    for places in runs.values():
        often = {site: ops for site, ops in places.items() if len({graph.ops[op].scope for op in ops}) < len(ops)}
        if not often:
            continue
        first = next(iter(often))
        ops = [op for found in often.values() for op in found]
        values = dict.fromkeys(facts.tensor(item) for op in ops for item in gradient_inputs(graph, graph.ops[op]))
        kept = sum(saved.nbytes for id in facts.ahead(values) if id not in facts.swept for saved in graph.ops[id].saved)
        yield Complaint(
            Severity.NOTE,
            f"{plural(len(ops), 'use')} of trained parameters from {facts.line(first)} on "
            f"{'was' if len(ops) == 1 else 'were'} "
            f"recorded and never differentiated ({kept:,} bytes were saved for backward)",
            "run this inside `with torch.no_grad():`",
            first,
            tuple(value for value in values if value in facts.parameters),
        )
