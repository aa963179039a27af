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

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.pointing import pointed_at

CODE = "GV420"
_RAISED = "Can't call numpy() on Tensor that requires grad"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint where the program ended so."""
    graph = facts.graph
    for error in graph.errors:
        if _RAISED not in error.message:
            continue
        asked = (value for value in pointed_at(facts, error.site) if graph.values[value].requires_grad)
        value = next(asked, None)
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
