"""`backward(create_graph=True)` left a graph in `.grad`, which holds the parameter that holds it.

## What it does
Looks for `backward(create_graph=True)` whose gradients nobody cleared afterwards.

## Why is this bad
Parameter, `.grad` and graph refer to each other across C++, where the garbage collector does not see it: the model and
every graph stay in memory.

## Example
    loss.backward(create_graph=True)

## Use instead
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV505"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each place that calls such a backward."""
    told: set[int | None] = set()
    for sweep in facts.graph.sweeps:
        if sweep.kind != "backward" or not sweep.create_graph or sweep.error or sweep.site in told:
            continue
        fed = {facts.tensor(gradient.value) for gradient in sweep.gradients}
        for act in facts.acts("zero_grad", "write_grad"):
            if act.after >= max(sweep.roots, default=0):
                owned = facts.optimizer(act.optimizer).values if act.optimizer is not None else act.values
                fed -= {facts.tensor(value) for value in owned}
        if fed:
            told.add(sweep.site)
            values = tuple(sorted(fed))
            watched = dict.fromkeys(
                re.sub(r"(\[.*\])?\(\)$", "", act.text)
                for act in facts.acts("watched")
                if not fed.isdisjoint(map(facts.tensor, act.values))
            )
            seen = f" (at the end, `{next(iter(watched))}` still saw some of it)" if watched else ""
            yield Complaint(
                Severity.WARNING,
                f"backward with `create_graph=True` at {facts.line(sweep.site)} leaves a graph in the `.grad` of "
                f"{facts.subject(values)}, and nobody clears it: the cycle keeps model and graph alive{seen}",
                "use `torch.autograd.grad(..., create_graph=True)`, or set `.grad` to None afterwards",
                sweep.site,
                values,
                named=tuple(watched),
            )
