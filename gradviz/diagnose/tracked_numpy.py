"""numpy was asked for the data of a tensor that requires grad.

## What it does
Looks for a program that ended because a tensor that requires grad was handed to numpy, by `numpy()` or by a function
that works on arrays.

## Why is this bad
numpy passes no gradient back, and PyTorch does not cut a tensor off from its graph unless it is told to.

## Example
    scores = model(x).softmax(-1)
    plt.plot(scores)

## Use instead
    with torch.no_grad():
        scores = model(x).softmax(-1)
    plt.plot(scores)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Error

CODE = "GV420"
_RAISED = "Can't call numpy() on Tensor that requires grad"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint where the program ended so."""
    graph = facts.graph
    for error in graph.errors:
        if _RAISED not in error.message:
            continue
        value = _asked_for(facts, error)
        name = facts.name(value) if value is not None else ""
        leaves = () if value is None or graph.values[value].leaf else facts.leaves_behind([value])
        source = f", as it is computed from {facts.subject(leaves, 'tensor')}" if facts.names(leaves) else ""
        there = f"is handed to numpy at {facts.line(error.site)}, which passes no gradient back"
        yield Complaint(
            Severity.ERROR,
            f"{f'`{name}`' if name else 'a tensor'} requires grad{source}, and {there}"
            if name or source
            else f"a tensor that requires grad {there}",
            f"hand over `{name}.detach()`" if name else "call `detach()` on it first, or `item()` if it is a number",
            error.site,
            () if value is None else (value,),
            ((facts.maker_site(value), f"`{name}` is made here"),) if value is not None and name else (),
        )


def _asked_for(facts: Facts, error: Error) -> int | None:
    """The tensor: the last that requires grad, of those that the line has the name of, or that were made there."""
    graph = facts.graph
    site = graph.sites.get(error.site) if error.site is not None else None
    if site is None:
        return None
    words = set(re.findall(r"[A-Za-z_][\w.]*?(?=\.(?:cpu\(\)\.)?numpy\(|[^\w.(]|$)", site.text))
    for op in sorted(graph.ops.values(), key=lambda op: -op.id):
        made = graph.sites.get(op.site) if op.site is not None else None
        here = made is not None and (made.file, made.line) == (site.file, site.line)
        for output in op.outputs:
            if graph.values[output].requires_grad and (here or facts.name(output) in words):
                return output
    return None
