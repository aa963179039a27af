"""A loss is NaN or infinite; needs `--values`.

## What it does
In a recording with values, looks for the first sweep that began at a NaN or an infinity, and for the operation that
made the first one. A mask of minus infinity is no mistake, but a NaN that comes of it is. Where gradients are NaN, too,
that is told by GV602. A NaN that ends in a value which nothing differentiates is a note.

## Why is this bad
Every gradient behind it is NaN or zero. The line that raises, or prints `nan`, is rarely the one that made it.

## Example
    loss = -(target * torch.log(p)).sum()

## Use instead
    loss = -(target * torch.log(p.clamp_min(1e-8))).sum()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose import numbers
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV603"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint, for the first loss, else for the first result."""
    graph = facts.graph
    if not graph.measures or any(gradient.nan for sweep in graph.sweeps for gradient in sweep.gradients):
        return
    for sweep in graph.sweeps:
        broken = [root for root in sweep.roots if numbers.is_broken(graph, root)]
        if broken:
            blamed = numbers.origin(facts, broken[0])
            what = "NaN" if graph.measures[broken[0]].nans else "infinite"
            subject = f"`{facts.name(broken[0])}`" if facts.name(broken[0]) else "the loss"
            yield Complaint(
                Severity.WARNING,
                f"{subject} is {what}: {numbers.made(facts, blamed)}",
                numbers.help_with(graph, blamed),
                blamed.site,
                (broken[0],),
                ((sweep.site, f"backward begins at what is {what}"),),
            )
            return
    ends = [value for value in graph.values if value not in facts.consumers or value in facts.exit_of]
    for value in ends:
        measure = graph.measures.get(value)
        if measure is not None and measure.nans:
            blamed = numbers.origin(facts, value)
            if blamed.is_source:
                continue  # the program made it of NaNs
            subject = f"`{facts.name(value)}`" if facts.name(value) else "a result"
            message = f"there is a NaN in {subject}: {numbers.made(facts, blamed)}"
            yield Complaint(Severity.NOTE, message, numbers.help_with(graph, blamed), blamed.site, (value,))
            return
