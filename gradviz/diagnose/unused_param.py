"""A parameter that the optimizer owns took part in nothing, or not in every step.

## What it does
Looks for owned parameters that no operation used, or none that autograd keeps, and notes those that got a gradient in
some runs of a backward and not in others, and those that the program moves after other parameters by itself.

## Why is this bad
It is never trained. Under `DistributedDataParallel` the second iteration raises.

## Example
    self.norm = nn.GroupNorm(2, 8)  # and `forward` does not call it

## Use instead
    x = self.norm(self.conv(x))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gradviz.diagnose import stale_optimizer
from gradviz.diagnose.blaming import MODES
from gradviz.diagnose.checkpoint_reentrant import unrecorded_checkpoints
from gradviz.diagnose.facts import Facts, Parameter, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.following import followers
from gradviz.diagnose.freeze_noop import used_frozen
from gradviz.diagnose.lost import lost_roads, starved_parameters
from gradviz.diagnose.surroundings import branch_around
from gradviz.events import Role
from gradviz.graphs import Op

CODE = "GV401"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that makes such parameters; one note for each that uses some now and then."""
    if not facts.graph.optimizers:
        return
    explained = {value for lost in lost_roads(facts) for value in lost.values}
    replaced = stale_optimizer.orphans(facts)
    unused: dict[int | None, list[int]] = {}
    hidden: dict[int, list[int]] = {}
    unseen: dict[int, list[int]] = {}
    for parameter in starved_parameters(facts):
        known = parameter.id in explained or parameter.id in replaced or unrecorded_checkpoints(facts)
        if known or facts.uses(parameter):
            continue
        last = _last_untracked_use(facts, parameter)
        inside = _use_in_backward(facts, parameter) if last is None else None
        if inside is not None:
            hidden.setdefault(inside, []).append(parameter.id)
        elif last is None:
            unused.setdefault(facts.maker_site(parameter.id), []).append(parameter.id)
        else:
            unseen.setdefault(last, []).append(parameter.id)
    for site, values in unused.items():
        it = verb(values, "it", "them")
        copies = _trained_copies(facts, values)
        told = f"{facts.subject(values)} {verb(values, 'is', 'are')} in the optimizer, but no operation used {it}"
        help = f"use {it} in the forward pass, or take {it} out of the optimizer"
        if copies:
            told += f": {facts.subject(copies)}, copied at {facts.line(facts.maker_site(copies[0]))}, "
            told += f"{verb(copies, 'gets', 'get')} the gradients"
            help = "give the optimizer the copy, or use the original: to train it through steps of a copy, take those "
            help += "out of place (`w - lr * g`) and call the module with the results by `torch.func.functional_call`"
        yield Complaint(Severity.WARNING, told, help, site, tuple(values))
    for inside, values in hidden.items():
        yield _in_backward(facts, facts.graph.ops[inside], values)
    for last, values in unseen.items():
        yield _untracked(facts, facts.graph.ops[last], values)
    yield from _following(facts)
    yield from _now_and_then(facts)


def _following(facts: Facts) -> Iterator[Complaint]:
    """One note for each line that moves parameters which the optimizer has, too."""
    moved: dict[int | None, list[int]] = {}
    for id, following in followers(facts).items():
        if facts.stepped.intersection(facts.parameters[id].owners):
            moved.setdefault(following.site, []).append(id)
    for site, values in moved.items():
        leaders = [followers(facts)[value].leader for value in values]
        them = verb(values, "it", "them")
        yield Complaint(
            Severity.NOTE,
            f"{facts.subject(values)} {verb(values, 'is', 'are')} in the optimizer but got no gradient: "
            f"{facts.line(site)} moves {them} after {facts.subject(leaders)}",
            f"nothing, if that is meant; it is plainer to leave {them} out of the optimizer",
            site,
            tuple(values),
        )


def _last_untracked_use(facts: Facts, parameter: Parameter) -> int | None:
    """The last op, unseen by autograd, that a module used `parameter` in, or that took its numbers out of the graph."""
    ops = [facts.graph.ops[op] for version in parameter.versions for op in facts.consumers.get(version, ())]
    own = [op.id for op in ops if (op.cause in MODES and op.scope) or not op.outputs]
    return max((id for id in own if not facts.in_sweep(facts.graph.ops[id])), default=None)


def _use_in_backward(facts: Facts, parameter: Parameter) -> int | None:
    """The last op in the backward of a custom function that used `parameter`; None for none."""
    ops = [facts.graph.ops[op] for version in parameter.versions for op in facts.consumers.get(version, ())]
    return max((op.id for op in ops if facts.in_sweep(op) and _function_around(facts, op)), default=None)


def _function_around(facts: Facts, op: Op) -> str:
    """The name of the custom function whose backward `op` stands in; empty for none."""
    site = facts.graph.sites.get(op.site) if op.site is not None else None
    owner, _, method = site.function.rpartition(".") if site is not None else ("", "", "")
    return owner.rpartition(".")[2] if method == "backward" else ""


def _in_backward(facts: Facts, op: Op, values: list[int]) -> Complaint:
    """What is said of parameters that a custom function took from around it, and not as arguments."""
    function, it = _function_around(facts, op), verb(values, "it", "them")
    return Complaint(
        Severity.WARNING,
        f"{facts.subject(values)} {verb(values, 'is', 'are')} in the optimizer but got no gradient: `{function}` uses "
        f"{it} ({facts.line(op.site)}), which {verb(values, 'is no argument', 'are no arguments')} of its `apply`",
        f"pass {it} to `{function}.apply`, and return {verb(values, 'its gradient', 'their gradients')} from "
        f"its `backward`",
        op.site,
        tuple(values),
    )


def _trained_copies(facts: Facts, values: list[int]) -> list[int]:
    """The copies of `values` that a `deepcopy` made and that got gradients, of the first such copy."""
    found: list[int] = []
    for value in values:
        name, shape = facts.name(value).rpartition(".")[2], facts.graph.values[value].shape
        for other in facts.parameters.values():
            site = facts.graph.sites.get(facts.maker_site(other.id) or 0)
            alike = facts.name(other.id).rpartition(".")[2] == name and facts.graph.values[other.id].shape == shape
            if alike and other.id != value and other.gradients and site is not None and "deepcopy(" in site.text:
                found.append(other.id)
                break
    return found


def _untracked(facts: Facts, last: Op, values: list[int]) -> Complaint:
    """What is said of parameters of which autograd saw no use; `last` is the last one."""
    it, line = verb(values, "it", "them"), facts.line(last.site)
    if last.outputs:
        buffer = _buffer_behind(facts, last)
        told = f"every use of {it} (last at {line}) ran with grad off"
        told += f" and went into the buffer `{buffer}`" if buffer else ""
        help = f"take this out of `{last.cause}`, or take {it} out of the optimizer"
    else:
        told = f"only numbers without history were taken of {it}, by `{last.name}` at {line}"
        help = f"use the {verb(values, 'tensor itself', 'tensors themselves')}, or take {it} out of the optimizer"
    message = f"{facts.subject(values)} {verb(values, 'is', 'are')} in the optimizer, but {told}"
    made = ((facts.maker_site(values[0]), "made here"),)
    return Complaint(Severity.WARNING, message, help, last.site, tuple(values), made)


def _buffer_behind(facts: Facts, op: Op) -> str:
    """The name of the buffer that the data of `op` was written to; empty for none."""
    graph = facts.graph
    seen: set[int] = set()
    pending = [op.id]
    while pending:
        op = graph.ops[pending.pop()]
        if op.id in seen:
            continue
        seen.add(op.id)
        if not facts.renews(op):
            pending += [user for value in op.outputs for user in facts.consumers.get(value, ())]
        elif graph.values[facts.tensor(op.outputs[0])].role is Role.BUFFER:
            return facts.name(facts.tensor(op.outputs[0]))
    return ""


def _now_and_then(facts: Facts) -> Iterator[Complaint]:
    by_place: dict[int | None, list[int]] = {}
    for index, sweep in enumerate(facts.graph.sweeps):
        if not sweep.error and sweep.inputs is None:
            by_place.setdefault(sweep.site, []).append(index)
    told: dict[tuple[int | None, int, int], list[int]] = {}
    went_by: dict[tuple[int | None, int, int], bool] = {}  # the line ran in the others, too, with other parameters
    alike = Counter((facts.name(id), facts.maker_site(id)) for id in facts.parameters)
    for parameter in facts.parameters.values():
        anew = alike[facts.name(parameter.id), facts.maker_site(parameter.id)] > 1
        if anew or not facts.stepped.intersection(parameter.owners):
            continue
        got = {index for index, _ in parameter.gradients}
        for runs in by_place.values():
            some = len(got.intersection(runs))
            uses = facts.uses(parameter)
            if 0 < some < len(runs) and uses:
                site = facts.graph.ops[uses[-1]].site
                told.setdefault((site, some, len(runs)), []).append(parameter.id)
                went_by[site, some, len(runs)] = not facts.once(_sweeps_by_site)[site].issuperset(runs)
                break
    freezes = {facts.tensor(flag.value): flag.site for flag in facts.graph.flags if not flag.requires_grad}
    for (site, some, all_runs), values in told.items():
        if values[0] in freezes or values[0] in facts.once(used_frozen):
            froze = freezes.get(values[0])
            yield Complaint(
                Severity.NOTE,
                f"{facts.subject(values)} got a gradient in {some} of {all_runs} backward passes: "
                f"{verb(values, 'it was', 'they were')} frozen in the others"
                + (f", by {facts.line(froze)}" if froze is not None else ""),
                "nothing, if that is meant",
                site if froze is None else froze,
                tuple(values),
            )
            continue
        idle = went_by[site, some, all_runs]
        branch = branch_around(facts, site) if idle else None
        missed = "run" if idle else verb(values, "use it", "use them")
        yield Complaint(
            Severity.NOTE,
            f"{facts.subject(values)} got a gradient in {some} of {all_runs} backward passes: {facts.line(site)} did "
            f"not {missed} in the others" + (f", as {facts.line(branch)} decided" if branch is not None else ""),
            "nothing, if that is meant; under DistributedDataParallel pass `find_unused_parameters=True`",
            site if branch is None else branch,
            tuple(values),
            ((site, "used here"),),
        )


def _sweeps_by_site(facts: Facts) -> dict[int | None, set[int]]:
    """The sweeps that went back through each line of the source."""
    found: dict[int | None, set[int]] = {}
    for op, sweeps in facts.swept.items():
        found.setdefault(facts.graph.ops[op].site, set()).update(sweeps)
    return found
