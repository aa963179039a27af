"""A module uses parameters of its own that it does not know of, so the optimizer does not have them.

## What it does
Looks for parameters outside every optimizer that got a gradient from an operation in a method of a module whose
registered parameters the optimizer does own, or from a module that such a method calls and keeps, and for plain tensors
that are attributes of such a module, or that attributes were computed of, as by `.to(device)`: those are no leaves.
Besides, for an optimizer that raised because it was given nothing.

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
from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.surroundings import statements
from gradviz.graphs import Op
from gradviz.picture.wording import plural

CODE = "GV403"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each attribute that keeps such parameters or, where none is known, each line."""
    for error in facts.graph.errors:
        if error.message.startswith(_EMPTY):
            yield Complaint(
                Severity.ERROR,
                f"the optimizer at {facts.line(error.site)} was given no parameters: what it was to train has none "
                "that it knows of",
                "keep layers in an `nn.ModuleList` or `nn.ModuleDict` in place of a plain list or dict",
                error.site,
            )
    for result in facts.once(_left_behind).values():
        name, maker = _attribute(facts, result), facts.graph.ops[facts.graph.values[result].op]
        yield Complaint(
            Severity.WARNING,
            f"`{name}`, made at {facts.line(maker.site)}, is never trained: it is the result of `{maker.name}`, not a "
            f"leaf, so the module does not have it among its parameters, and what it was made of has no optimizer",
            f"make the result the parameter: `{name} = nn.Parameter(...)` around the whole expression",
            maker.site,
            (result,),
            named=(name,),
        )
    for site, values in unregistered(facts).items():
        them, container = verb(values, "it", "them"), _container(facts, values)
        owner = container.rpartition(".")[0]
        subject, whose = facts.subject(values), f"the module that uses {them}"
        if owner:
            subject = f"{plural(len(values), 'parameter')} in `{container}`" if len(values) > 1 else subject
            whose = f"`{container}` is a plain {_kind(facts, values)}, so `{owner}`"
        attribute = container.rpartition(".")[2]
        stored = [s.site for s in statements(facts, "hold", site) if s.target.rpartition(".")[2] == attribute]
        held = stored[0] if stored else None
        yield Complaint(
            Severity.WARNING,
            f"{subject}, made at {facts.line(site)}, got gradients but no optimizer owns {them}: {whose} does not have "
            f"{them} among its parameters",
            _help(facts, values),
            site if held is None else held,
            tuple(values),
            () if held is None else ((site, "made here"),),
        )


_EMPTY = "optimizer got an empty parameter list"
"""What PyTorch says, and gradviz's own optimizers."""


def _help(facts: Facts, values: list[int]) -> str:
    """How to keep `values` so that a module registers them."""
    # `model.gains[0]` is a tensor in a list, `model.blocks[0].weight` that of a module in a list.
    if all(facts.name(id).endswith("]") for id in values):
        return "keep parameters in an `nn.ParameterList` or `nn.ParameterDict`, which register them"
    if any(facts.graph.ops[facts.graph.values[id].op].name == "Parameter" for id in values):
        if _container(facts, values):
            return f"keep modules in an `nn.Module{_kind(facts, values).title()}`, which registers them"
        return "keep modules in an `nn.ModuleList` or `nn.ModuleDict`, which register them"
    return f"make {'it' if len(values) == 1 else 'each'} an `nn.Parameter`, which the module registers"


def _container(facts: Facts, values: list[int]) -> str:
    """The plain list or dict that all of `values` are in: `net.blocks` for `net.blocks[0].weight`; empty for none."""
    found = {name.partition("[")[0] if "[" in (name := facts.name(value)) else "" for value in values}
    return found.pop() if len(found) == 1 else ""


def _kind(facts: Facts, values: list[int]) -> str:
    """`list` or, where its keys are texts, `dict`."""
    return "dict" if all(facts.name(value).partition("[")[2][:1] in "'\"" for value in values) else "list"


def unregistered(facts: Facts) -> dict[int | None, list[int]]:
    """Such parameters, by the place where their module makes them."""
    return facts.once(_by_holder)


def _by_holder(facts: Facts) -> dict[int | None, list[int]]:
    """What one attribute of a module keeps, by the first place that made some of it; else by the line that made it."""
    kinds = {module.scope: module.kind for module in facts.graph.modules}
    groups: dict[tuple[str, str] | int | None, list[int]] = {}
    for id in facts.once(_unregistered):
        owner, _, attribute = _container(facts, [id]).rpartition(".")
        if owner not in kinds:
            parts = facts.names([id])[0].split(".") if facts.name(id) else []
            depth = max((depth for depth in range(1, len(parts)) if ".".join(parts[:depth]) in kinds), default=0)
            owner, attribute = ".".join(parts[:depth]), parts[depth] if depth + 1 < len(parts) else ""
        groups.setdefault((owner, attribute) if owner and attribute else facts.maker_site(id), []).append(id)
    found: dict[int | None, list[int]] = {}
    for holder, made in groups.items():
        site = facts.maker_site(made[0])
        kind = kinds[holder[0]] if isinstance(holder, tuple) else ""
        found.setdefault(_inside(facts, site, f"{kind}.") if kind else site, []).extend(made)
    return found


def _inside(facts: Facts, site: int | None, prefix: str) -> int | None:
    """The call, on the way to `site`, in a method of the class whose name `prefix` is; `site` itself where none is."""
    caller = site
    while caller is not None:
        if facts.graph.sites[caller].function.startswith(prefix):
            return caller
        caller = facts.graph.sites[caller].caller
    return site


def _left_behind(facts: Facts) -> dict[int, int]:
    """By leaf without a name or an optimizer, the attribute of a trained module that was made of it for all steps.

    Where the program reads the gradient of either, other rules tell of that.
    """
    graph, owners = facts.graph, facts.once(_trained_modules)
    acts = facts.acts("read_grad", "write_grad", "retain_grad")
    handled = {facts.tensor(value) for act in acts for value in act.values}
    found: dict[int, int] = {}
    for parameter in facts.parameters.values():
        fed = [index for index, _ in parameter.gradients if graph.sweeps[index].kind == "backward"]
        if parameter.owners or len(fed) < _SEVERAL or facts.name(parameter.id) or parameter.id in handled:
            continue
        result = parameter.id
        while not _attribute(facts, result):
            users = facts.consumers.get(result, ())
            if len(users) != 1 or not graph.ops[users[0]].tracked:
                break
            result = graph.ops[users[0]].outputs[0]
        users = facts.consumers.get(result, ())
        scopes = {graph.ops[user].scope for user in users}
        if _attribute(facts, result) and result not in handled and len(users) > 1 and scopes <= owners:
            found[parameter.id] = result
    return found


_SEVERAL = 2
"""What is used in so many steps was not made anew in each."""


def _attribute(facts: Facts, value: int) -> str:
    """What a tracked op wrote `value` to, where that is an attribute: `self.codes`; empty for all else."""
    op = facts.graph.ops[facts.graph.values[value].op]
    target = facts.graph.sites[op.site].target if op.tracked and op.site is not None else ""
    return target if target.startswith("self.") and target.removeprefix("self.").isidentifier() else ""


def _trained_modules(facts: Facts) -> frozenset[str]:
    """The paths of modules that have a parameter which an optimizer steps with, in them or below."""
    owned = {facts.name(p.id) for p in facts.parameters.values() if facts.stepped.intersection(p.owners)}
    owners = {name.rpartition(".")[0] for name in owned if "." in name}
    return frozenset({".".join(path.split(".")[:depth]) for path in owners for depth in range(1, path.count(".") + 2)})


def _unregistered(facts: Facts) -> list[int]:
    graph, owners = facts.graph, facts.once(_trained_modules)
    owned = {facts.name(p.id) for p in facts.parameters.values() if facts.stepped.intersection(p.owners)}
    methods: dict[tuple[str, str], set[str]] = {}
    for op in graph.ops.values():
        site = graph.sites.get(op.site) if op.site is not None else None
        if site is not None and op.scope in owners and site.function.endswith((".forward", ".__call__")):
            methods.setdefault((site.file, site.function), set()).add(op.scope.partition(".")[0])
    skip = {id for made in stale_optimizer.made_anew(facts).values() for id in made}
    skip |= set(stale_optimizer.orphans(facts).values())
    skip |= {id for made in stale_optimizer.latecomers(facts).values() for id in made}
    found: list[int] = []
    handled = {facts.tensor(value) for act in facts.acts("read_grad", "write_grad") for value in act.values}
    for parameter in facts.parameters.values():
        if parameter.owners or not parameter.gradients or parameter.id in skip:
            continue
        maker = graph.ops[graph.values[parameter.id].op]
        role, name = graph.values[parameter.id].role, facts.name(parameter.id)
        # A plain tensor that is an attribute of such a module, and that the program does not update by itself.
        if role is None and name not in owned and name.rpartition(".")[0] in owners and parameter.id not in handled:
            found.append(parameter.id)
            continue
        for use in facts.uses(parameter):
            models = _callers(facts, graph.ops[use], methods, name)
            if models and not _is_below(graph.ops[use].scope, models) and maker.cause is None:
                found.append(parameter.id)
                break
    return found


def _is_below(scope: str, models: set[str]) -> bool:
    """What is registered runs in a scope below the model's: `net.blocks.0`, and not `net.blocks[0]`."""
    return scope.partition(".")[0] in models and "[" not in scope


def _callers(facts: Facts, use: Op, methods: dict[tuple[str, str], set[str]], name: str) -> set[str]:
    """The models in whose methods `use` ran, or, of those that keep the parameter called `name`, one that called it."""
    sites = facts.graph.sites
    site = sites.get(use.site) if use.site is not None else None
    if site is None:
        return set()
    models = methods.get((site.file, site.function), set())
    keeper = name.partition(".")[0]
    while not models and site.caller is not None:
        site = sites[site.caller]
        models = methods.get((site.file, site.function), set()) & {keeper}
    return models
