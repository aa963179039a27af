"""A parameter gets gradients, but was made after the optimizer, which still has the one it replaced or none at all.

## What it does
Looks for parameters outside every optimizer that were made anew in each step, and for those beside which an optimizer
holds a parameter of the same rank that nothing uses and nobody can reach any more.

## Why is this bad
The gradient is computed and never used: the parameter stays as it was made.

## Example
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.embed = nn.Embedding(60, 16)

## Use instead
    model.embed = nn.Embedding(60, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts, Parameter
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV402"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that makes such parameters."""
    graph = facts.graph
    renewed = made_anew(facts)
    for site, made in renewed.items():
        yield Complaint(
            Severity.WARNING,
            f"`{facts.name(made[-1]) or 'a parameter'}` is made anew at {facts.line(site)} in every step "
            f"({len(made)} times) "
            "and no optimizer owns it, so it is never trained",
            "make it once, in `__init__`",
            site,
            (made[-1],),
        )
    for old, new in orphans(facts).items():
        optimizer = facts.optimizer(facts.parameters[old].owners[0])
        yield Complaint(
            Severity.WARNING,
            f"`{facts.name(new) or 'a parameter'}` gets gradients but no optimizer owns it: it was made after the "
            f"optimizer "
            f"({facts.line(optimizer.site)}), which still holds a tensor of shape {graph.values[old].shape} that "
            f"nothing uses",
            "make the optimizer after the model is complete",
            facts.maker_site(new),
            (new,),
            ((optimizer.site, "the optimizer is made here"),),
        )


def made_anew(facts: Facts) -> dict[int | None, list[int]]:
    """Parameters outside every optimizer that got gradients, by the line that made more than one of them."""
    if not facts.stepped:
        return {}
    found: dict[int | None, list[int]] = {}
    for parameter in facts.parameters.values():
        op = facts.graph.ops[facts.graph.values[parameter.id].op]
        if not parameter.owners and parameter.gradients and op.name == "Parameter" and op.cause is None:
            found.setdefault(op.site, []).append(parameter.id)
    steps = {site: _sweeps(facts, made) for site, made in found.items()}
    return {site: made for site, made in found.items() if len(made) > 1 and len(steps[site]) == len(made)}


def _sweeps(facts: Facts, made: list[int]) -> set[int]:
    """The first sweep that fed each."""
    return {facts.parameters[id].gradients[0][0] for id in made}


def orphans(facts: Facts) -> dict[int, int]:
    """Owned tensors that nothing uses and nobody names, and the one outside of the optimizer that took their place."""
    return facts.once(_orphans)


def _orphans(facts: Facts) -> dict[int, int]:
    anew = {id for made in made_anew(facts).values() for id in made}
    newer = [p for p in facts.parameters.values() if not p.owners and p.gradients and p.id not in anew]
    found: dict[int, int] = {}
    for old in facts.parameters.values():
        if not facts.stepped.intersection(old.owners) or old.gradients or facts.uses(old):
            continue
        for new in newer:
            if new.id not in found.values() and _replaces(facts, old, new):
                found[old.id] = new.id
                break
    return found


def _replaces(facts: Facts, old: Parameter, new: Parameter) -> bool:
    values = facts.graph.values
    last_owned = max(facts.optimizer(old.owners[0]).values)
    name = facts.name(old.id)
    gone = not name or name == facts.name(new.id)
    return gone and new.id > last_owned and len(values[old.id].shape) == len(values[new.id].shape)
