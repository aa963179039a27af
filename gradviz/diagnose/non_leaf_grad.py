"""`.grad` was read of a tensor that is not a leaf.

## What it does
Looks for reads of `.grad` on results of operations that nobody asked to retain their gradient.

## Why is this bad
It is None: autograd keeps gradients for leaves only. The name often meant a leaf until it was given a new value.

## Example
    w = torch.tensor(5.0, requires_grad=True) * 0.1
    w.sum().backward()
    print(w.grad)

## Use instead
    w = (torch.tensor(5.0) * 0.1).requires_grad_()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV407"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each such tensor that took part in a sweep."""
    graph = facts.graph
    retained = {value for act in facts.acts("retain_grad") for value in act.values}
    told: set[int | None] = set()
    for act in facts.acts("read_grad"):
        for value in act.values:
            op = graph.ops[graph.values[value].op]
            if (
                graph.values[value].leaf
                or not graph.values[value].requires_grad
                or value in retained
                or op.site in told
            ):
                continue
            if op.id not in facts.swept:
                continue
            told.add(op.site)
            name = facts.name(value) or op.name
            leaves = facts.leaves_behind([value])
            owner = (
                f"the gradient went to {facts.subject(leaves, 'tensor')}"
                if facts.names(leaves)
                else "a leaf behind it has it"
            )
            help = f"call `{name}.retain_grad()` before backward"
            if facts.names(leaves):
                help += f"; to make it a leaf of its own, which gives {facts.subject(leaves, 'tensor')} nothing, use "
                help += f"`{name}.detach().requires_grad_()`"
            else:
                help += f"; to make `{name}` the leaf, leave `requires_grad=True` out of what it is made from, and "
                help += "call `requires_grad_()` on the result"
            if name in facts.names(leaves):
                owner = f"the leaf that was called `{name}` before has it"
                if op.name in ("sub", "add"):
                    help = f"update the leaf in place: `{name} -= ...` under `torch.no_grad()`"
            yield Complaint(
                Severity.WARNING,
                f"`{name}.grad` is None (read at {facts.line(act.site)}): `{name}` is the result of `{op.name}` at "
                f"{facts.line(op.site)}, not a leaf; {owner}",
                help,
                op.site,
                (value,),
                ((act.site, "`.grad` is read here"),),
            )
