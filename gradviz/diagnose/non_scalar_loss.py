"""Backward was called on a tensor of several elements.

## What it does
Looks for a `backward()` or an `autograd.grad` that raised because its root is no single number.

## Why is this bad
A gradient is that of one number. Of several, PyTorch would have to know how much each of them counts, and it does not
guess that you meant their sum or their mean.

## Example
    loss = F.cross_entropy(model(x), y, reduction="none")
    loss.backward()

## Use instead
    loss = F.cross_entropy(model(x), y, reduction="none")
    loss.mean().backward()
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.roads import SEVERAL_NUMBERS

CODE = "GV417"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each such call."""
    graph = facts.graph
    for sweep in graph.sweeps:
        several = [root for root in sweep.roots if prod(graph.values[root].shape) != 1]
        if SEVERAL_NUMBERS not in sweep.error or not several:
            continue
        root = several[0]
        name, shape = facts.name(root), graph.values[root].shape
        made = graph.ops[graph.values[root].op]
        called = f"`{name}`" if name else f"the result of `{made.name}`"
        ways = " or ".join(f"`{name}.{way}()`" if name else f"`{way}()` of it" for way in ("mean", "sum"))
        yield Complaint(
            Severity.ERROR,
            f"backward cannot start at {called}: it has {prod(shape):,} elements, of the shape {shape}, and a gradient "
            "is that of one number",
            f"make one number of it, and start from that: {ways}",
            sweep.site,
            (root,),
            ((made.site, f"{called} is made here"),),
        )
