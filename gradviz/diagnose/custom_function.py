"""A custom autograd function gave no gradient for an input that needs one.

## What it does
Looks for trained parameters that a sweep came to through a custom `Function`, and that got nothing from it.

## Why is this bad
`None` from `backward` means "no gradient", so nothing is raised, and the parameter is never trained.

## Example
    @staticmethod
    def backward(ctx, g):
        return g * ctx.x, None

## Use instead
    @staticmethod
    def backward(ctx, g):
        return g * ctx.x, g * ctx.w
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import starved_parameters
from gradviz.events import Sweep
from gradviz.graphs import Op
from gradviz.query import gradient_inputs
from gradviz.withholding import is_custom

CODE = "GV110"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each custom function that starves parameters or gave back more or fewer than it has inputs."""
    graph = facts.graph
    for sweep in graph.sweeps:
        yield from _miscounted(facts, sweep)
    starved: dict[tuple[int | None, str], list[tuple[int, int]]] = {}
    ahead = facts.once(_custom_ahead)
    for parameter in starved_parameters(facts):
        custom = [graph.ops[ahead[version]] for version in parameter.versions if version in ahead]
        if custom:
            starved.setdefault((custom[0].site, custom[0].name), []).append((custom[0].id, parameter.id))
    for members in starved.values():
        op = graph.ops[min(members)[0]]
        values = [value for _, value in members]
        untracked = _untracked_inside(facts, op)
        given = [s.site for s in graph.statements if s.kind == "return" and _is_backward(facts, s.site, op.name)]
        if untracked is not None:
            why = f": {facts.line(untracked)} ran with grad off, as all of a backward does, so it has no history"
            help = "open `torch.enable_grad()` inside of `backward` around what `autograd.grad` is to go through"
        else:
            why, help = "", f"return a gradient for every input that needs one from `{op.name}.backward`"
        yield Complaint(
            Severity.ERROR,
            f"{facts.subject(values)} got no gradient: the backward of the custom function `{op.name}`, applied at "
            f"{facts.line(op.site)}, gave none for {verb(values, 'it', 'them')}{why}",
            help,
            untracked if untracked is not None else given[0] if len(given) == 1 else op.site,
            tuple(values),
            ((op.site, "applied here"), *((site, "what it gives back") for site in given)),
        )


def _miscounted(facts: Facts, sweep: Sweep) -> Iterator[Complaint]:
    """What is said where backward raised because of how many gradients a custom function gave."""
    raised = re.search(r"(\w+)Backward returned an incorrect number of gradients .*?(\d+), got (\d+)", sweep.error)
    if raised is None:
        return
    name, wanted, given = raised.groups()
    graph = facts.graph
    returns = [s.site for s in graph.statements if s.kind == "return" and _is_backward(facts, s.site, name)]
    applied = [op.site for op in graph.ops.values() if op.name == name and is_custom(op)]
    one = "1 input" if wanted == "1" else f"{wanted} inputs"
    yield Complaint(
        Severity.ERROR,
        f"`{name}.backward` gives back {given} where `{name}.apply` was called with {one}",
        "return one for each argument of `forward`, in order: `None` for what needs no gradient",
        returns[0] if len(returns) == 1 else sweep.site,
        named=(name,),
        related=((applied[-1] if applied else None, "applied here"), (sweep.site, "backward starts here")),
    )


def _is_backward(facts: Facts, site: int | None, name: str) -> bool:
    """The place is in `backward` of the custom function `name`."""
    place = facts.graph.sites.get(site) if site is not None else None
    return place is not None and f".{place.function}".endswith(f".{name}.backward")


def _untracked_inside(facts: Facts, custom: Op) -> int | None:
    """The last line of a custom function's backward that used what requires grad, without grad mode.

    None where that backward calls no `autograd.grad`, which alone would need the history.
    """
    graph = facts.graph
    if not any(sweep.kind == "grad" and _is_backward(facts, sweep.site, custom.name) for sweep in graph.sweeps):
        return None
    found = (
        op.site
        for op in sorted(graph.ops.values(), key=lambda op: -op.id)
        if op.id > custom.id and not op.tracked and not op.inplace and op.outputs and True in op.needs
        if op.name != "detach" and _is_backward(facts, op.site, custom.name)
    )
    return next(found, None)


def _custom_ahead(facts: Facts) -> dict[int, int]:
    """For each value the first custom op, of those that sweeps walked, that a gradient on its way to it has passed."""
    found: dict[int, int] = {}
    for id in sorted(facts.swept, reverse=True):
        op = facts.graph.ops[id]
        onward = [id] if is_custom(op) else [found[output] for output in op.outputs if output in found]
        if onward:
            for item in gradient_inputs(facts.graph, op):
                found[item] = min(onward[0], found.get(item, onward[0]))
    return found
