"""Gradients were clipped before there were any.

## What it does
Looks for calls of `clip_grad_norm_` that found no gradient at a parameter which the next backward gave one, and never
found one on that line.

## Why is this bad
Nothing is clipped, nothing is raised, and the step takes the gradient as long as it is.

## Example
    clip_grad_norm_(model.parameters(), 1.0)
    loss.backward()
    optimizer.step()

## Use instead
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV412"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that clips too early."""
    graph = facts.graph
    met = {(act.site, facts.tensor(value)) for act in facts.acts("read_grad") for value in act.values}
    early: dict[int | None, dict[int, int]] = {}
    for act in facts.acts("clip"):
        for value in map(facts.tensor, act.values):
            parameter = facts.parameters.get(value)
            fed = parameter.gradients if parameter is not None else ()
            sweep = next((index for index, _ in fed if max(graph.sweeps[index].roots) >= act.after), None)
            if sweep is not None and (act.site, value) not in met:
                early.setdefault(act.site, {}).setdefault(value, sweep)
    for site, found in early.items():
        backward = graph.sweeps[min(found.values())].site
        yield Complaint(
            Severity.WARNING,
            f"nothing is clipped at {facts.line(site)}: {facts.subject(found)} had no gradient there, and the backward "
            f"at {facts.line(backward)} came after it",
            "clip between `backward` and `step`",
            site,
            tuple(found),
            ((backward, "the gradients come here"),),
        )
