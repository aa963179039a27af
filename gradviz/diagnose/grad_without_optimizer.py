"""Parameters get gradients that no optimizer uses.

## What it does
Notes parameters outside every optimizer that sweeps gave a gradient to, in a program that has an optimizer. Warns of
those that were frozen, and unfrozen without being given to one, and of an optimizer whose `step` is never called,
although its gradients are cleared, by it or by the model, and come anew; where no optimizer steps, only if the program
does no more with the gradients than to clip them and to take numbers from them.

## Why is this bad
It costs time and memory, and `zero_grad` never clears what gathers there. A target network or a teacher belongs under
`no_grad`; a frozen part that must let the gradient through belongs under `requires_grad_(False)`.

## Example
    target = target_net(state).max(1).values

## Use instead
    with torch.no_grad():
        target = target_net(state).max(1).values
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from gradviz.diagnose import frozen, stale_optimizer, unregistered_param
from gradviz.diagnose.facts import Facts, Parameter, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.using import by_hand
from gradviz.events import Optimizer, RequiresGrad, Role

CODE = "GV404"


def check(facts: Facts) -> Iterator[Complaint]:
    """One note for each top-level module, and one warning for each optimizer."""
    if frozen.idle(facts):  # then these are what it should have had, which GV108 tells
        return
    if not facts.stepped:
        yield from () if by_hand(facts) else _never_stepped(facts)
        return
    never_stepped = list(_never_stepped(facts))
    yield from never_stepped
    yield from _plain(facts)
    graph = facts.graph
    skip = {id for complaint in never_stepped for id in complaint.values}
    skip |= {id for made in stale_optimizer.made_anew(facts).values() for id in made}
    skip |= set(stale_optimizer.orphans(facts).values())
    skip |= {id for made in stale_optimizer.latecomers(facts).values() for id in made}
    skip |= {id for made in unregistered_param.unregistered(facts).values() for id in made}
    # What the program updates from `.grad` itself needs no optimizer.
    read = {facts.tensor(value) for act in facts.acts("read_grad") for value in act.values}
    renewed = (op for op in graph.ops.values() if op.name != "step" and facts.renews(op))
    skip |= read & {facts.tensor(output) for op in renewed for output in op.outputs}
    groups: dict[str, list[int]] = {}
    for parameter in facts.parameters.values():
        value = graph.values[parameter.id]
        unused = parameter.gradients if not parameter.owners else _wait_in_vain(facts, parameter)
        if unused and parameter.id not in skip and value.role is Role.PARAMETER and graph.ops[value.op].cause is None:
            groups.setdefault(facts.name(parameter.id).partition(".")[0], []).append(parameter.id)
    for values in groups.values():
        fed = [index for value in values for index, _ in facts.parameters[value].gradients]
        # What `autograd.grad` gives is the caller's, and gathers nowhere.
        passes = [index for index in fed if graph.sweeps[index].kind == "backward"]
        walked = facts.walked(min(passes or fed))
        used = [op for value in values for op in facts.uses(facts.parameters[value]) if op in walked]
        if not used:
            continue
        site = graph.ops[min(used)].site
        freed = _switched_on(facts, values)
        if freed is not None:
            yield Complaint(
                Severity.WARNING,
                f"{facts.subject(values)} {verb(values, 'gets', 'get')} gradients that no optimizer uses: "
                f"`requires_grad` was switched on at {facts.line(freed)}, and no optimizer was given "
                f"{verb(values, 'it', 'them')}",
                "give them to the optimizer with `add_param_group`, or make the optimizer anew",
                freed,
                tuple(values),
            )
            continue
        beside = _beside(facts, set(passes or fed))
        which = f"the optimizer (made at {facts.line(beside.site)})" if beside is not None else "an optimizer"
        yield Complaint(
            Severity.NOTE,
            f"{facts.subject(values)} {verb(values, 'gets', 'get')} gradients that no optimizer uses, from "
            f"{facts.line(site)} on",
            f"give {verb(values, 'it', 'them')} to {which}, if {verb(values, 'it is', 'they are')} to be trained; "
            "else run this under `no_grad`, or freeze it with `requires_grad_(False)` if gradient must pass through it",
            site,
            tuple(values),
            ((beside.site, "the optimizer that was not given " + verb(values, "it", "them")),) if beside else (),
        )


def _beside(facts: Facts, sweeps: Set[int]) -> Optimizer | None:
    """The optimizer that uses what else got gradients from `sweeps`; None where there are several, or none."""
    owners = {
        owner
        for parameter in facts.parameters.values()
        for owner in facts.stepped.intersection(parameter.owners)
        if any(index in sweeps for index, _ in parameter.gradients)
    }
    return facts.optimizer(min(owners)) if len(owners) == 1 else None


def _plain(facts: Facts) -> Iterator[Complaint]:
    """Tensors that are no parameters, but gather gradients step for step that nobody looks at."""
    graph = facts.graph
    looked = {facts.tensor(value) for act in facts.acts("read_grad", "write_grad") for value in act.values}
    looked |= {facts.tensor(value) for sweep in graph.sweeps for value in sweep.inputs or ()}
    looked |= {facts.tensor(output) for op in graph.ops.values() if facts.renews(op) for output in op.outputs}
    looked |= {id for made in unregistered_param.unregistered(facts).values() for id in made}
    looked |= {facts.tensor(value) for act in facts.acts("hook", "retain_grad") for value in act.values}
    for parameter in facts.parameters.values():
        value = graph.values[parameter.id]
        fed = [index for index, _ in parameter.gradients if graph.sweeps[index].kind == "backward"]
        known = parameter.owners or parameter.id in looked or value.role is Role.PARAMETER
        if known or len(fed) < _SEVERAL or not facts.name(parameter.id) or graph.ops[value.op].name == "Parameter":
            continue
        name, buffer = facts.name(parameter.id), value.role is Role.BUFFER
        yield Complaint(
            Severity.WARNING if buffer else Severity.NOTE,
            f"`{name}` gets gradients that no optimizer uses: it is {'a buffer' if buffer else 'a tensor'} that "
            f"requires grad, and no optimizer has it",
            "make it an `nn.Parameter` of the module, if it is to be trained; else leave out its `requires_grad`"
            if buffer
            else "give it to the optimizer, if it is to be trained; else leave out `requires_grad=True`",
            facts.maker_site(parameter.id),
            (parameter.id,),
        )


def _switched_on(facts: Facts, values: list[int]) -> int | None:
    """Where the program unfroze all of `values`, which were frozen before; None where it did not."""
    flags: dict[int, list[RequiresGrad]] = {}
    for flag in facts.graph.flags:
        flags.setdefault(facts.tensor(flag.value), []).append(flag)
    told = [flags.get(value, []) for value in values]
    freed = all(len(own) > 1 and own[-1].requires_grad and not own[0].requires_grad for own in told)
    return told[0][-1].site if freed else None


def _never_stepped(facts: Facts) -> Iterator[Complaint]:
    cleared: dict[int, int] = {}
    for act in facts.acts("zero_grad"):
        whose = {owner for value in act.values for owner in _owners(facts, value)}
        for owner in whose if act.optimizer is None else {act.optimizer}:
            cleared[owner] = cleared.get(owner, 0) + 1
    owned: dict[int, list[int]] = {}
    for parameter in facts.parameters.values():
        if _wait_in_vain(facts, parameter):
            for owner in parameter.owners[:1]:
                owned.setdefault(owner, []).append(parameter.id)
    for owner, values in owned.items():
        optimizer = facts.optimizer(owner)
        if cleared.get(owner, 0) < _SEVERAL:
            continue
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(values)} {verb(values, 'gets', 'get')} gradients that are never used: "
            f"`{optimizer.kind}`, made at {facts.line(optimizer.site)}, has {verb(values, 'it', 'them')}, and its "
            "`step` is never called",
            "call `step` of this optimizer, too" if facts.stepped else "call `step` of this optimizer after `backward`",
            optimizer.site,
            tuple(values),
        )


def _owners(facts: Facts, value: int) -> tuple[int, ...]:
    parameter = facts.parameters.get(facts.tensor(value))
    return parameter.owners if parameter is not None else ()


def _wait_in_vain(facts: Facts, parameter: Parameter) -> bool:
    """Several gradients came to a parameter, and none of its owners ever stepped."""
    return len(parameter.gradients) >= _SEVERAL and not facts.stepped.intersection(parameter.owners)


_SEVERAL = 2
"""Of so many steps it is told: an optimizer may step less often than another one."""
