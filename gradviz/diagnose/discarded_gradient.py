"""Gradients were cleared before the optimizer could use them.

## What it does
Looks for parameters that backward gave a gradient and whose optimizer found none in any of its steps, because
`zero_grad` had cleared it in between. Warns where each step finds the last of several gradients that one backward
gave, and `zero_grad` has cleared the others.

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
    yield from _in_part(facts)
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
            "call `step` after `backward`"
            if _is_below(facts, backward, update.site) and _is_below(facts, update.site, site)
            else "call `zero_grad` before `backward`, or after `step`",
            site,
            tuple(lost),
            ((backward, "the backward"), (update.site, "the step, which finds no gradient")),
        )


def _in_part(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each `zero_grad` that leaves each step only the last of several gradients of one backward."""
    graph = facts.graph
    looked = {facts.tensor(value) for act in facts.acts("read_grad", "write_grad") for value in act.values}
    steps: dict[int, list[Update]] = {}
    for update in updates(facts):
        if update.optimizer is not None:
            steps.setdefault(update.optimizer, []).append(update)
    for of_one in steps.values():
        parts = [update for update in of_one if update.fresh]
        values = [p for p in (parts[0].fresh if parts else ()) if p not in looked]
        alike = [p for p in values if all(_is_part(facts, update, p) for update in parts)]
        if len(parts) < _SEVERAL or not alike:
            continue
        update, parameter = parts[-1], alike[0]
        site, backward = update.cleared[parameter][-1][1], graph.sweeps[update.fresh[parameter]].site
        if _runs_inside(facts, site, update.site):
            continue
        count = len(update.cleared[parameter])
        yield Complaint(
            Severity.WARNING,
            f"the step at {facts.line(update.site)} uses one gradient of {count + 1}: `zero_grad` at "
            f"{facts.line(site)} clears what the backward at {facts.line(backward)} gave {facts.subject(alike)} the "
            "other times",
            "call `zero_grad` only after `step`, so that gradients add up until then",
            site,
            tuple(alike),
            ((backward, "the backward"), (update.site, "the step")),
        )


_SEVERAL = 2
"""Of so many steps it is told: the first ones of a mixed-precision training may be left out, with their gradients."""


def _is_part(facts: Facts, update: Update, parameter: int) -> bool:
    """Before an update, other gradients of the same backward were cleared, all on one line."""
    cleared, sweeps = update.cleared.get(parameter, []), facts.graph.sweeps
    sites = {sweeps[sweep].site for sweep, _ in cleared}
    return (
        parameter in update.fresh
        and sites == {sweeps[update.fresh[parameter]].site}
        and len({site for _, site in cleared}) == 1
    )


def _runs_inside(facts: Facts, site: int | None, step: int | None) -> bool:
    """`site` is in a closure that the step calls, as that of LBFGS does several times."""
    sites = facts.graph.sites
    while site is not None:
        here, there = sites[site], sites.get(step or 0)
        if there is not None and (here.file, here.line) == (there.file, there.line):
            return True
        site = here.caller
    return False


def _is_below(facts: Facts, site: int | None, other: int | None) -> bool:
    """Both are of one function, and `site` is below the other."""
    here, there = facts.graph.sites.get(site or 0), facts.graph.sites.get(other or 0)
    if here is None or there is None or (here.file, here.function) != (there.file, there.function):
        return False
    return here.line > there.line
