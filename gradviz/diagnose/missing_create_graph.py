"""A gradient was put into a loss without `create_graph=True`, so it is a constant there.

## What it does
Looks for terms of a loss that were computed from the results of an `autograd.grad` or from `.grad`, without a graph.

## Why is this bad
A gradient penalty then changes the loss that is printed, and no gradient.

## Example
    g, = torch.autograd.grad(score.sum(), x)
    loss = loss + 10 * (g.norm() - 1) ** 2

## Use instead
    g, = torch.autograd.grad(score.sum(), x, create_graph=True)
    loss = loss + 10 * (g.norm() - 1) ** 2
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradviz.diagnose.addends import addends, last_sweeps
from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Sweep

CODE = "GV408"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each loss; the other gradients in it are told beside the first."""
    graph = facts.graph
    made = {_place(facts, sweep.site): sweep for sweep in graph.sweeps if not sweep.create_graph and not sweep.error}
    told: set[int] = set()
    for sweep in last_sweeps(facts):
        if sweep.error:
            continue
        _, constants, _ = addends(facts, sweep.roots)
        for constant in constants:
            sites = [site for site in _gradients(facts, constant) if _place(facts, site) in made and site not in told]
            if not sites:
                continue
            told.update(sites)
            values = _trained(facts, made[_place(facts, sites[0])])
            if values:
                name = facts.name(constant)
                term = f"the term `{name}` of the loss" if name else "a term of the loss"
                yield Complaint(
                    Severity.WARNING,
                    f"{facts.subject(values)} {verb(values, 'gets', 'get')} nothing from {term}: it is a constant, "
                    f"made of gradients that were taken at {facts.line(sites[0])} without `create_graph=True`",
                    "pass `create_graph=True` to `autograd.grad`",
                    sites[0],
                    values,
                    (*((site, "and here") for site in sites[1:]), (sweep.site, "backward starts here")),
                )


def _place(facts: Facts, site: int | None) -> tuple[str, int] | None:
    found = facts.graph.sites.get(site) if site is not None else None
    return (found.file, found.line) if found is not None else None


def _gradients(facts: Facts, value: int) -> Iterable[int]:
    """Where the gradients that `value` was computed from were taken, without a road to what they came from."""
    graph = facts.graph
    found: set[int] = set()
    seen: set[int] = set()
    pending = [value]
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.id in seen or op.tracked or facts.renews(op):
            continue
        seen.add(op.id)
        if op.name == "grad" and op.is_source and op.site is not None:
            found.add(op.site)
        pending += op.value_inputs
    return sorted(found)


def _trained(facts: Facts, sweep: Sweep) -> tuple[int, ...]:
    behind = set(facts.leaves_behind(sweep.roots))
    return tuple(id for id in sorted(behind) if id in facts.parameters and facts.is_trained(facts.parameters[id]))
