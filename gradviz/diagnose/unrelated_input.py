"""A gradient was wanted of a tensor that the result was not computed from.

## What it does
Looks for an `autograd.grad` that raised because a tensor was not used in the graph, and for a leaf that was made to
require grad after all that used it.

## Why is this bad
Autograd goes back by what was computed, not by what looks alike: a slice that is taken after the model ran is another
tensor than the one that went into it, and so is a tensor from before it required grad.

## Example
    u = model(points)
    x = points[:, 0:1]
    u_x, = torch.autograd.grad(u.sum(), x)

## Use instead
    x, t = points[:, 0:1], points[:, 1:2]
    u = model(torch.cat([x, t], 1))
    u_x, = torch.autograd.grad(u.sum(), x)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import RequiresGrad, Role, Sweep
from gradviz.graphs import Op
from gradviz.query import gradient_inputs

CODE = "GV413"
_UNUSED = "appears to not have been used in the graph"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each tensor."""
    for sweep in facts.graph.sweeps:
        if _UNUSED in sweep.error:
            yield from _asked(facts, sweep)
    yield from _late(facts)


def _asked(facts: Facts, sweep: Sweep) -> Iterator[Complaint]:
    graph = facts.graph
    behind = facts.behind(sweep.roots)
    # An op called `grad` stands for a gradient, which need not depend on all that it is the gradient of.
    of = [item for id in behind if graph.ops[id].name == "grad" for item in gradient_inputs(graph, graph.ops[id])]
    behind -= facts.behind(of)
    used = {item for id in behind for item in gradient_inputs(graph, graph.ops[id])}.union(sweep.roots)
    made_of = [graph.ops[id] for id in sorted(behind)]
    root = next((name for op in reversed(made_of) for item in op.outputs if (name := facts.name(item))), "the result")
    index = re.search(r"at index (\d+)", sweep.error)
    asked = sweep.inputs or ()
    for value in asked[int(index[1]) :][:1] if index is not None else asked:
        name, maker = facts.name(value), graph.ops[graph.values[value].op]
        if value in used:
            continue
        related: list[tuple[int | None, str]] = [(sweep.site, "its gradient is asked for here")]
        shared = [item for item in gradient_inputs(graph, maker) if item in used] if maker.tracked else []
        told = f"`{root}` was not computed from `{name or maker.name}`"
        help = f"compute `{root}` from `{name or maker.name}`, or pass `allow_unused=True`"
        site = maker.site
        if shared:
            user = min(op.id for op in made_of if shared[0] in op.value_inputs)
            told += f", which was made of `{facts.name(shared[0]) or 'its input'}` at {facts.line(maker.site)}: "
            told += f"{facts.line(graph.ops[user].site)} used `{facts.name(shared[0]) or 'that'}` itself"
            help = f"make `{name or maker.name}` first, and compute `{root}` from it"
            related.append((graph.ops[user].site, "computed from another tensor here"))
        elif of:
            told = f"`{root}` does not depend on `{name or maker.name}`: it is the gradient of something that is "
            told += "linear in it, at least in pieces, as `relu` is"
            help = "where a zero is right, pass `allow_unused=True` and `materialize_grads=True`; else use a model "
            help += "that bends, such as with `tanh` layers"
            site = sweep.site
        yield Complaint(Severity.ERROR, told, help, site, (value,), tuple(related))


def _late(facts: Facts) -> Iterator[Complaint]:
    """Leaves whose data is in a root, by uses from before they required grad and by no other."""
    graph = facts.graph
    flags: dict[int, list[RequiresGrad]] = {}
    for flag in graph.flags:
        flags.setdefault(facts.tensor(flag.value), []).append(flag)
    for id, told in flags.items():
        value, parameter = graph.values[id], facts.parameters.get(id)
        users = [graph.ops[user] for user in facts.consumers.get(id, ())]
        alone = len(told) == 1 and told[0].requires_grad and value.leaf and value.role is not Role.PARAMETER
        fed = parameter is not None and (parameter.gradients or parameter.owners)
        led = [op for op in _first_tracked(facts, id) if op.id in facts.swept]
        if not alone or fed or not led or any(id in gradient_inputs(graph, op) for op in users):
            continue
        index = max(facts.swept[led[-1].id])
        if not _comes_before(facts, told[0], graph.sweeps[index]):
            continue
        name = facts.name(id) or "it"
        yield Complaint(
            Severity.WARNING,
            f"`{name}` gets no gradient: {facts.line(led[-1].site)} used it before {facts.line(told[0].site)} made it "
            f"require grad",
            f"call `{name}.requires_grad_()` before it is used",
            told[0].site,
            (id,),
            ((led[-1].site, "used here"), (graph.sweeps[index].site, "backward starts here")),
        )


def _first_tracked(facts: Facts, value: int) -> list[Op]:
    """The tracked ops that took the data of `value`, as it was or as untracked ops such as views handed it on."""
    found: dict[int, Op] = {}
    seen: set[int] = set()
    pending = [value]
    while pending:
        for id in facts.consumers.get(pending.pop(), ()):
            op = facts.graph.ops[id]
            if op.tracked:
                found[id] = op
            elif id not in seen and op.cause is None and not facts.renews(op):
                seen.add(id)
                pending += op.outputs
    return [found[id] for id in sorted(found)]


def _comes_before(facts: Facts, flag: RequiresGrad, sweep: Sweep) -> bool:
    order = facts.graph.order
    return next((one is flag for one in order if one is flag or one is sweep), False)
