"""A parameter gets gradients, but was made after the optimizer, which still has the one it replaced or none at all.

## What it does
Looks for parameters outside every optimizer that were made anew in each step, and for those beside which an optimizer
holds a parameter that nothing uses: one of the same rank that nobody can reach any more, or the one they are a copy of.
Besides, for parameters that a model got after an optimizer had taken the others.

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
from itertools import pairwise

from gradviz.diagnose.facts import Facts, Parameter
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV402"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that makes such parameters."""
    graph = facts.graph
    renewed = made_anew(facts)
    for site, made in renewed.items():
        times = len(_sweeps(facts, made))
        last = made[-(len(made) // times) :]
        one = len(last) == 1
        named = facts.subject(last) if any(map(facts.name, last)) else "a parameter" if one else "parameters"
        yield Complaint(
            Severity.WARNING,
            f"{named} {'is' if one else 'are'} made anew each time that {facts.line(site)} runs ({times} times) and no "
            f"optimizer owns {'it, so it is' if one else 'them, so they are'} never trained",
            f"make {'it' if one else 'them'} once, {_where_once(facts, site)}",
            site,
            tuple(last),
        )
    replaced: dict[tuple[int, int | None], list[tuple[int, int]]] = {}
    for old, new in orphans(facts).items():
        owner = facts.parameters[old].owners[0]
        site = facts.maker_site(new)
        # Made before it, they are another model's than the one that the optimizer was given.
        later = _is_later(facts, site, facts.optimizer(owner).site)
        replaced.setdefault((owner, site if later else None), []).append((old, new))
    for (owner, site), pairs in replaced.items():
        optimizer = facts.optimizer(owner)
        old, made = pairs[0][0], [new for _, new in pairs]
        one = len(made) == 1
        held = f"{'a tensor' if one else 'tensors'} of shape {graph.values[old].shape}{'' if one else ' and so on'}"
        made_at = facts.line(optimizer.site)
        if site is None:
            why = f"{'it' if one else 'them'}: the optimizer ({made_at}) was given {held} that nothing uses"
            help = "give the optimizer the parameters of the model that is trained"
        else:
            why = f"{'it: it was' if one else 'them: they were'} made after the optimizer ({made_at}), which still "
            why += f"holds {held} that nothing uses"
            help = "make the optimizer after the model is complete"
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(made)} {'gets' if one else 'get'} gradients but no optimizer owns {why}",
            help,
            optimizer.site if site is None else site,
            tuple(made),
            ((optimizer.site, "the optimizer is made here"),) if site is not None else (),
        )

    for (owner, site), late in latecomers(facts).items():
        optimizer = facts.optimizer(owner)
        one = len(late) == 1
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(late)} {'gets' if one else 'get'} gradients but no optimizer owns "
            f"{'it: it was' if one else 'them: they were'} made after the optimizer ({facts.line(optimizer.site)}), "
            f"which has the other parameters of that model",
            "make the optimizer after the model is complete",
            site,
            tuple(late),
            ((optimizer.site, "the optimizer is made here"),),
        )


def _where_once(facts: Facts, site: int | None) -> str:
    """Where what `site` makes is to be made instead."""
    place = facts.graph.sites.get(site) if site is not None else None
    in_method = place is not None and place.function.endswith((".forward", ".__call__"))
    return "in `__init__`" if in_method else "before the loop, and give it to the optimizer"


def latecomers(facts: Facts) -> dict[tuple[int, int | None], list[int]]:
    """Parameters that a module got after an optimizer took its others, by optimizer and the line that made them."""
    return facts.once(_latecomers)


def _latecomers(facts: Facts) -> dict[tuple[int, int | None], list[int]]:
    modules = {module.scope for module in facts.graph.modules}
    takers: dict[str, int] = {}  # by outermost module: the first optimizer that has parameters of it
    fed: dict[str, set[int]] = {}  # and the sweeps that fed those
    for id in sorted(facts.stepped, reverse=True):
        for value in facts.optimizer(id).values:
            owned = facts.parameters[facts.tensor(value)]
            root = facts.name(owned.id).partition(".")[0]
            takers[root] = id
            fed.setdefault(root, set()).update(index for index, _ in owned.gradients)
    known = {id for made in made_anew(facts).values() for id in made} | set(orphans(facts).values())
    found: dict[tuple[int, int | None], list[int]] = {}
    for parameter in facts.parameters.values():
        root, _, rest = facts.name(parameter.id).partition(".")
        op = facts.graph.ops[facts.graph.values[parameter.id].op]
        if parameter.owners or not parameter.gradients or parameter.id in known or not rest or root not in modules:
            continue
        # Another model that has the variable's name by then is trained by sweeps of its own.
        together = root in takers and any(index in fed[root] for index, _ in parameter.gradients)
        if together and op.name == "Parameter" and _is_later(facts, op.site, facts.optimizer(takers[root]).site):
            found.setdefault((takers[root], op.site), []).append(parameter.id)
    return found


def _is_later(facts: Facts, site: int | None, than: int | None) -> bool:
    """In the function that led to both, the line that led to `site` is below the one that led to `than`.

    Ids do not tell: PyTorch's parameters are recorded when they are first used.
    """
    lines = _lines(facts, than)
    return any(line > lines[frame] for frame, line in _lines(facts, site).items() if frame in lines)


def _lines(facts: Facts, site: int | None) -> dict[tuple[str, str], int]:
    """The lines of the calls on the way to `site`, the outermost last, by file and function."""
    found: dict[tuple[str, str], int] = {}
    while site is not None:
        place = facts.graph.sites[site]
        found.setdefault((place.file, place.function), place.line)
        site = place.caller
    return found


def made_anew(facts: Facts) -> dict[int | None, list[int]]:
    """Parameters outside every optimizer that got gradients, by the line that made such ones in several steps.

    They were made anew where none was fed in the steps of a later one.
    """
    if not facts.stepped:
        return {}
    found: dict[int | None, list[int]] = {}
    for parameter in facts.parameters.values():
        op = facts.graph.ops[facts.graph.values[parameter.id].op]
        if not parameter.owners and parameter.gradients and op.name == "Parameter" and op.cause is None:
            found.setdefault(op.site, []).append(parameter.id)
    return {site: made for site, made in found.items() if _follow_each_other(facts, made)}


def _follow_each_other(facts: Facts, made: list[int]) -> bool:
    """Of one line: as many parameters in each of several steps, and those of one step are not fed in the next."""
    fed = [(facts.parameters[id].gradients[0][0], facts.parameters[id].gradients[-1][0]) for id in made]
    steps = sorted(set(fed))
    apart = all(last < first for (_, last), (first, _) in pairwise(steps))
    return len(steps) > 1 and apart and all(fed.count(step) * len(steps) == len(made) for step in steps)


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
        if not facts.stepped.intersection(old.owners) or old.gradients or _is_used(facts, old):
            continue
        for new in newer:
            if new.id not in found.values() and _replaces(facts, old, new):
                found[old.id] = new.id
                break
    return found


def _is_used(facts: Facts, parameter: Parameter) -> bool:
    """Some op used it on the way to a root, with grad on or off."""
    users = {op for version in parameter.versions for op in facts.consumers.get(version, ())}
    return any(not facts.feeding.isdisjoint(facts.graph.ops[op].outputs) for op in users) or bool(facts.uses(parameter))


def _replaces(facts: Facts, old: Parameter, new: Parameter) -> bool:
    values = facts.graph.values
    last_owned = max(facts.optimizer(old.owners[0]).values)
    name = facts.name(old.id)
    gone = not name or name == facts.name(new.id)
    # A copy of the model is trained in place of the model: the same path, from another variable.
    copied = _path(name) == _path(facts.name(new.id)) != "" and values[old.id].shape == values[new.id].shape
    return (gone or copied) and new.id > last_owned and len(values[old.id].shape) == len(values[new.id].shape)


def _path(name: str) -> str:
    """Where a parameter is in its model: `0.weight` of `model.0.weight`."""
    return name.partition(".")[2]
