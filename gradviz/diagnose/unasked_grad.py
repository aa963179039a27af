"""`.grad` was read of a tensor that never required any.

## What it does
Looks for reads of `.grad` on tensors, no parameters, that a backward pass depended on and that did not require grad.

## Why is this bad
It is None: autograd computes gradients for what requires grad, and data does not unless it is asked to. A saliency map,
an adversarial example or a penalty on the gradient of the input needs it.

## Example
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    print(x.grad)

## Use instead
    x.requires_grad_()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    print(x.grad)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Act, Sweep

CODE = "GV419"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that reads it of such a tensor after a sweep that depended on it."""
    graph = facts.graph
    roots: set[int] = set()
    told: set[int | None] = set()
    for item in graph.order:
        if isinstance(item, Sweep) and not item.error:
            roots.update(item.roots)
        if not isinstance(item, Act) or item.kind != "miss_grad" or item.site in told:
            continue
        (value,) = item.values
        if roots.isdisjoint(_made_of(facts, value)):
            continue
        told.add(item.site)
        op, name = graph.ops[graph.values[value].op], facts.name(value)
        called = f"`{name}`" if name else f"the result of `{op.name}`"
        fraction = re.search("float|complex", graph.values[value].dtype) is not None
        yield Complaint(
            Severity.WARNING,
            f"`{name or op.name}.grad` is None: {called}, made at {facts.line(op.site)}, does not require grad, so "
            "backward computed none for it",
            f"call `{name or 'it'}.requires_grad_()` before it is used"
            if fraction
            else "only numbers with a fraction have a gradient; read that of what these are turned into",
            item.site,
            (value,),
            ((op.site, f"{called} is made here, without `requires_grad`"),),
        )


def _made_of(facts: Facts, value: int) -> set[int]:
    """What was computed from `value` by ops that would have passed a gradient on, and `value` itself."""
    found: set[int] = set()
    pending = [value]
    while pending:
        item = pending.pop()
        if item not in found:
            found.add(item)
            for id in facts.consumers.get(item, ()):
                op = facts.graph.ops[id]
                if op.cause is None:
                    pending += op.outputs
    return found
