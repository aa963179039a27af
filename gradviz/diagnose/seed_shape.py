"""Backward was given a gradient of another shape than its root.

## What it does
Looks for a `backward()` or an `autograd.grad` that raised because the gradient it was to start from does not fit.

## Why is this bad
The gradient that a pass starts from says of each element of its root how much it counts. One that has more elements, or
fewer, says it of other numbers.

## Example
    out = model(x).mean(0)
    out.backward(torch.ones(len(x)))

## Use instead
    out = model(x).mean(0)
    out.backward(torch.ones_like(out))
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV418"
_RAISED = re.compile(r"grad_output\[(\d+)\] has a shape of torch\.Size\(\[([\d, ]*)\]\)")


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each such call."""
    graph = facts.graph
    for sweep in graph.sweeps:
        raised = _RAISED.search(sweep.error)
        if raised is None or int(raised[1]) >= len(sweep.roots):
            continue
        root = sweep.roots[int(raised[1])]
        given = tuple(int(length) for length in raised[2].split(",") if length.strip())
        name, shape = facts.name(root), graph.values[root].shape
        made = graph.ops[graph.values[root].op]
        called = f"`{name}`" if name else f"the result of `{made.name}`"
        yield Complaint(
            Severity.ERROR,
            f"backward cannot start at {called}: it has the shape {shape}, and the gradient to start from has {given}",
            f"give one of its shape, such as `torch.ones_like({name or 'it'})`, or start from one number, which needs "
            f"none: `{name or 'it'}.mean()`",
            sweep.site,
            (root,),
            ((made.site, f"{called} is made here"),),
        )
