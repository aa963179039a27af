"""A gradient was put into a loss without `create_graph=True`, so it is a constant there.

## What it does
Looks for terms of a loss that were computed from the results of an `autograd.grad` or from `.grad`, without a graph,
and that require grad for nothing that is trained. An error where the trained parameters get no other gradient, and
where a second derivative raises because all of its root is such a gradient.

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
from gradviz.diagnose.lost import cuts_behind
from gradviz.events import Sweep

CODE = "GV408"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each loss; the other gradients in it are told beside the first."""
    graph = facts.graph
    made = {_place(facts, sweep.site): sweep for sweep in graph.sweeps if not sweep.create_graph and not sweep.error}
    told: set[int] = set()
    for sweep in graph.sweeps:
        sites = of_gradients(facts, sweep)
        if sites:
            told.update(sites)
            root = facts.name(sweep.roots[0])
            yield Complaint(
                Severity.ERROR,
                f"backward cannot start{f' at `{root}`' if root else ''}: it is made of gradients that were taken at "
                f"{facts.line(sites[0])} without `create_graph=True`, which are constants",
                "pass `create_graph=True` there",
                sites[0],
                sweep.roots,
                (*((site, "and here") for site in sites[1:]), (sweep.site, "backward starts here")),
            )
    for sweep in last_sweeps(facts):
        if sweep.error:
            continue
        terms, constants, _ = addends(facts, sweep.roots)
        for term in (*constants, *_idle(facts, terms)):
            sites = [site for site in _gradients(facts, term) if _place(facts, site) in made and site not in told]
            if not sites:
                continue
            told.update(sites)
            values = _trained(facts, made[_place(facts, sites[0])])
            if values:
                severity, message = _told(facts, term, values)
                yield Complaint(
                    severity,
                    f"{message} gradients that were taken at {facts.line(sites[0])} without `create_graph=True`",
                    "pass `create_graph=True` to `autograd.grad`",
                    sites[0],
                    values,
                    (*((site, "and here") for site in sites[1:]), (sweep.site, "backward starts here")),
                )


def of_gradients(facts: Facts, sweep: Sweep) -> list[int]:
    """Where the gradients were taken, without a graph, that a sweep was to start from and could not."""
    graph = facts.graph
    if not sweep.error or not sweep.roots or any(graph.values[root].requires_grad for root in sweep.roots):
        return []
    if cuts_behind(facts, sweep.roots):
        return []
    made = {_place(facts, other.site) for other in graph.sweeps if not other.create_graph and not other.error}
    sites = {site for root in sweep.roots for site in _gradients(facts, root)}
    return sorted(site for site in sites if _place(facts, site) in made)


def _told(facts: Facts, term: int, values: tuple[int, ...]) -> tuple[Severity, str]:
    """How much it matters, and what the message begins with: that the term is lost, or all that trains `values`."""
    sweeps = facts.graph.sweeps
    fed = any(sweeps[index].kind == "backward" for value in values for index, _ in facts.parameters[value].gradients)
    if not fed and facts.graph.values[term].requires_grad:
        are = verb(values, "is in the optimizer but", "are in the optimizer but")
        return Severity.ERROR, f"{facts.subject(values)} {are} got no gradient: they went into the loss only by"
    name = facts.name(term)
    called = f"the term `{name}` of the loss" if name else "a term of the loss"
    constant = "is a constant for them" if facts.graph.values[term].requires_grad else "is a constant"
    return (
        Severity.WARNING,
        f"{facts.subject(values)} {verb(values, 'gets', 'get')} nothing from {called}: it {constant}, made of",
    )


def _idle(facts: Facts, terms: set[int]) -> list[int]:
    """Those of the terms that require grad, but for nothing that is trained."""
    graph = facts.graph
    if not any(sweep.kind == "grad" for sweep in graph.sweeps):
        return []
    ends = [term for term in sorted(terms) if terms.isdisjoint(graph.ops[graph.values[term].op].value_inputs)]
    trained = {id for id, parameter in facts.parameters.items() if facts.is_trained(parameter)}
    return [term for term in ends if trained.isdisjoint(facts.leaves_behind([term]))]


def _place(facts: Facts, site: int | None) -> tuple[str, int] | None:
    found = facts.graph.sites.get(site) if site is not None else None
    return (found.file, found.line) if found is not None else None


def _gradients(facts: Facts, term: int) -> Iterable[int]:
    """Where the gradients that `term` was computed from were taken, without a road to what they came from.

    The roads of a term that requires grad are followed to their leaves, and what else is tracked not at all.
    """
    graph = facts.graph
    found: set[int] = set()
    seen: set[int] = set()
    pending = [(term, True)]
    while pending:
        value, on_road = pending.pop()
        op = graph.ops[graph.values[value].op]
        leaf = on_road and graph.values[value].leaf and graph.values[value].requires_grad
        if op.id in seen or leaf or (op.tracked and not on_road) or facts.renews(op):
            continue
        seen.add(op.id)
        if op.name == "grad" and op.is_source and op.site is not None:
            found.add(op.site)
        pending += [(item, on_road and op.tracked) for item in op.value_inputs]
    return sorted(found)


def _trained(facts: Facts, sweep: Sweep) -> tuple[int, ...]:
    behind = set(facts.leaves_behind(sweep.roots))
    return tuple(id for id in sorted(behind) if id in facts.parameters and facts.is_trained(facts.parameters[id]))
