"""Gradients that a step has used stay, and the next backward adds to them.

## What it does
Looks for parameters that are updated three times or more from a gradient which still holds what an earlier update has
used: nothing cleared it in between. Gradients that several backward passes gather for one step are meant to be like
that and are not reported.

## Why is this bad
Each step follows the gradients of all steps before it. It looks like a learning rate that grows and grows.

## Example
    loss.backward()
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

CODE = "GV410"
STEPS = 3


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that steps."""
    graph = facts.graph
    found: dict[tuple[int | None, int | None], dict[int, list[Update]]] = {}
    for update in updates(facts):
        for parameter in update.used:
            found.setdefault((update.site, update.optimizer), {}).setdefault(parameter, []).append(update)
    for (site, optimizer), by_parameter in found.items():
        reused = {parameter: steps for parameter, steps in by_parameter.items() if len(steps) >= STEPS - 1}
        if not reused:
            continue
        parameter, steps = next(iter(reused.items()))
        backward = graph.sweeps[steps[0].fresh[parameter]].site
        help = "call `zero_grad` of the optimizer before each `backward`"
        if optimizer is None:
            name = facts.name(parameter) or "w"
            help = f"set `{name}.grad = None` after the update"
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(reused)} {verb(reused, 'is', 'are')} updated at {facts.line(site)} with gradients that "
            f"were used before: the backward at {facts.line(backward)} adds to them, and nothing cleared them, "
            f"in {len(steps)} steps",
            help,
            backward,
            tuple(reused),
            ((site, "the update"),),
        )
