"""A module uses parameters of its own that it does not know of, so the optimizer does not have them.

## What it does
Looks for parameters outside every optimizer that got a gradient from an operation in a method of a module whose
registered parameters the optimizer does own, and for plain tensors that are attributes of such a module.

## Why is this bad
Layers kept in a plain list or dict are missing from `parameters()`: they are not trained, saved or moved.

## Example
    self.layers = [nn.Linear(8, 8) for _ in range(3)]

## Use instead
    self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose import stale_optimizer
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV403"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that makes such parameters."""
    for site, values in unregistered(facts).items():
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(values)}, made at {facts.line(site)}, got gradients but no optimizer owns them: the "
            f"module "
            "that uses them does not have them among its parameters",
            "keep modules in an `nn.ModuleList` or `nn.ModuleDict`, and tensors as `nn.Parameter` attributes",
            site,
            tuple(values),
        )


def unregistered(facts: Facts) -> dict[int | None, list[int]]:
    """Such parameters, by the line that made them."""
    return facts.once(_unregistered)


def _unregistered(facts: Facts) -> dict[int | None, list[int]]:
    graph = facts.graph
    owned = {facts.name(p.id) for p in facts.parameters.values() if facts.stepped.intersection(p.owners)}
    owners = {name.rpartition(".")[0] for name in owned}
    owners |= {".".join(path.split(".")[:depth]) for path in owners for depth in range(1, path.count(".") + 2)}
    methods: dict[tuple[str, str], set[str]] = {}
    for op in graph.ops.values():
        site = graph.sites.get(op.site) if op.site is not None else None
        if site is not None and op.scope in owners and site.function.endswith((".forward", ".__call__")):
            methods.setdefault((site.file, site.function), set()).add(op.scope.partition(".")[0])
    skip = {id for made in stale_optimizer.made_anew(facts).values() for id in made}
    skip |= set(stale_optimizer.orphans(facts).values())
    found: dict[int | None, list[int]] = {}
    handled = {facts.tensor(value) for act in facts.acts("read_grad", "write_grad") for value in act.values}
    for parameter in facts.parameters.values():
        if parameter.owners or not parameter.gradients or parameter.id in skip:
            continue
        maker = graph.ops[graph.values[parameter.id].op]
        role, name = graph.values[parameter.id].role, facts.name(parameter.id)
        # A plain tensor that is an attribute of such a module, and that the program does not update by itself.
        if role is None and name not in owned and name.rpartition(".")[0] in owners and parameter.id not in handled:
            found.setdefault(maker.site, []).append(parameter.id)
            continue
        for use in facts.uses(parameter):
            site_id = graph.ops[use].site
            used = graph.sites.get(site_id) if site_id is not None else None
            models = methods.get((used.file, used.function), set()) if used is not None else set()
            # What is registered runs in a scope below the model's.
            if models and graph.ops[use].scope.partition(".")[0] not in models and maker.cause is None:
                found.setdefault(maker.site, []).append(parameter.id)
                break
    return found
