"""Everything that the loss was made from is frozen.

## What it does
Looks for a backward that raised because nothing behind its root requires grad, with no cut on the way: the tensors
themselves are frozen. Notes parameters that are frozen though an optimizer owns them, and warns where those are all
that an optimizer has, so that its steps do nothing.

## Why is this bad
There is nothing to train, and PyTorch's message does not say which line froze it.

## Example
    for p in model.parameters():
        p.requires_grad_(False)
    model(x).sum().backward()

## Use instead
    for p in model.backbone.parameters():
        p.requires_grad_(False)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import cuts_behind
from gradviz.diagnose.missing_create_graph import of_gradients
from gradviz.events import Role, Sweep
from gradviz.query import ancestors

CODE = "GV108"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each backward that raised for this, one note for each line that froze what is owned."""
    graph = facts.graph
    if facts.stepped:
        yield from _owned(facts)
    for sweep in graph.sweeps:
        if not sweep.error or not sweep.roots or any(graph.values[root].requires_grad for root in sweep.roots):
            continue
        if cuts_behind(facts, sweep.roots) or of_gradients(facts, sweep):
            continue
        behind = [graph.ops[id] for id in sorted(ancestors(graph, sweep.roots))]
        used = {item for op in behind for item in op.value_inputs}
        leaves = sorted(item for item in used if graph.ops[graph.values[item].op].is_source)
        frozen = [leaf for leaf in leaves if graph.values[leaf].role is Role.PARAMETER]
        flags = [flag for flag in graph.flags if not flag.requires_grad and flag.value in used]
        frozen = frozen or sorted({flag.value for flag in flags})
        sites = list(dict.fromkeys(flag.site for flag in flags))
        related = [(site, "frozen here too") for site in sites[1:]]
        if frozen:
            told = f"{facts.subject(frozen)} went into it, and {verb(frozen, 'it is', 'all of them are')} frozen"
            where = " and ".join(facts.line(site) for site in sites)
            told += f" at {where}" if sites else ""
            help = "let the part that is to be trained require grad"
        else:
            told, help = "nothing that went into it requires grad", "make a tensor with `requires_grad=True`"
            left = _left_out(facts, sweep)
            if left is not None:
                frozen, made = list(facts.leaves_behind([left])), facts.maker_site(left)
                told += f"; `{facts.name(left)}` ({facts.line(made)}), made of {facts.subject(frozen)}, is not in it"
                help = f"compute the loss from `{facts.name(left)}`"
                related.append((made, "left out here"))
        root = facts.name(sweep.roots[0])
        related.append((sweep.site, "backward starts here"))
        yield Complaint(
            Severity.ERROR,
            f"backward cannot start{f' at `{root}`' if root else ''}: {told}",
            help,
            sites[0] if sites else sweep.site,
            tuple(frozen),
            tuple(related),
        )


def _left_out(facts: Facts, sweep: Sweep) -> int | None:
    """The last named result before a sweep that requires grad and that nothing used; None for no such."""
    graph = facts.graph
    before = max((root for other in graph.sweeps if other is not sweep for root in other.roots), default=0)
    unused = [
        value.id
        for value in graph.values.values()
        if before < value.id < max(sweep.roots) and value.requires_grad and not value.leaf
        if value.id not in facts.consumers and graph.ops[value.op].tracked and value.name.isidentifier()
    ]
    return max(unused, default=None)


def idle(facts: Facts) -> frozenset[int]:
    """The optimizers that took steps though all that they have is frozen."""
    frozen = {id for values in _frozen(facts).values() for id in values}
    owned = {id: {facts.tensor(value) for value in facts.optimizer(id).values} for id in facts.stepped}
    return frozenset(id for id, values in owned.items() if values and values <= frozen)


def _frozen(facts: Facts) -> dict[int | None, list[int]]:
    """What is frozen though an optimizer that took a step owns it, by the line that froze it."""
    found: dict[int | None, list[int]] = {}
    last = {facts.tensor(flag.value): flag for flag in facts.graph.flags}
    for parameter in facts.parameters.values():
        flag = last.get(parameter.id)
        owned = facts.stepped.intersection(parameter.owners)
        if owned and flag is not None and not flag.requires_grad and not parameter.gradients:
            found.setdefault(flag.site, []).append(parameter.id)
    return found


def _owned(facts: Facts) -> Iterator[Complaint]:
    useless = idle(facts)
    for site, values in _frozen(facts).items():
        owner = facts.optimizer(facts.parameters[values[0]].owners[0])
        them = verb(values, "it", "them")
        if owner.id in useless:
            others = [parameter.id for parameter in facts.parameters.values() if parameter.gradients]
            yield Complaint(
                Severity.WARNING,
                f"the optimizer of {facts.line(owner.site)} trains nothing: all that it has is frozen, "
                f"{facts.subject(values)} at {facts.line(site)}",
                f"give it what is to be trained: {facts.subject(others)} {verb(others, 'gets', 'get')} gradients"
                if others
                else "let the part that is to be trained require grad",
                owner.site,
                tuple(values),
                ((site, "frozen here"),),
            )
            continue
        yield Complaint(
            Severity.NOTE,
            f"{facts.subject(values)} {verb(values, 'is', 'are')} in the optimizer but never trained: "
            f"{facts.line(site)} froze {them}",
            f"nothing, if that is meant; it is plainer to leave {them} out of the optimizer",
            site,
            tuple(values),
            ((owner.site, "the optimizer takes it here"),),
        )
