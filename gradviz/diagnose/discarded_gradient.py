"""Gradients were cleared before the optimizer could use them.

## What it does
Looks for parameters that backward gave a gradient and whose optimizer found none in any of its steps, because
`zero_grad` had cleared it in between.

## Why is this bad
The step finds nothing and does nothing, so the parameter stays at its first values, and nothing says so.

## Example
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()

## Use instead
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.gathered import Update, updates

CODE = "GV409"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each `zero_grad` that came too early."""
    graph = facts.graph
    used = {parameter for update in updates(facts) for parameter in update.fresh}
    found: dict[int | None, dict[int, tuple[int, Update]]] = {}
    for update in updates(facts):
        for parameter, (sweep, site) in update.lost.items():
            if parameter not in used:
                found.setdefault(site, {}).setdefault(parameter, (sweep, update))
    for site, lost in found.items():
        sweep, update = next(iter(lost.values()))
        backward = graph.sweeps[sweep].site
        it = verb(lost, "it", "them")
        yield Complaint(
            Severity.ERROR,
            f"{facts.subject(lost)} {verb(lost, 'is', 'are')} never trained: `zero_grad` at {facts.line(site)} clears "
            f"what the backward at {facts.line(backward)} gave {it}, before the step at {facts.line(update.site)}",
            "call `zero_grad` before `backward`, or after `step`",
            site,
            tuple(lost),
            ((backward, "the backward"), (update.site, "the step, which finds no gradient")),
        )
