"""A sigmoid or a tanh is at its limits; needs `--values`.

## What it does
In a recording with values, looks for a `sigmoid` or a `tanh` whose mean derivative was below 1e-5 in each of its calls
that a sweep came through.

## Why is this bad
At the limits, the derivative is next to zero: what is before it learns a hundred thousand times more slowly.

## Example
    gate = torch.sigmoid(100 * score + 50)

## Use instead
    gate = torch.sigmoid(norm(score))
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose import numbers
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.zero_gradient import blamed_sites
from gradviz.graphs import Op

CODE = "GV605"
HELP = "bring its input near zero: normalize it, scale it down, or begin with smaller weights"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each place."""
    graph = facts.graph
    if not graph.measures:
        return
    calls: dict[tuple[str, int | None, str], list[tuple[Op, float | None]]] = {}
    for id in facts.swept:
        op = graph.ops[id]
        if op.name.rstrip("_") in ("sigmoid", "tanh"):
            calls.setdefault((op.scope, op.site, op.name), []).append((op, numbers.slope(graph, op)))
    for (scope, site, name), found in sorted(calls.items(), key=lambda item: item[1][0][0].id):
        slopes = [slope for _, slope in found if slope is not None]
        if len(slopes) < len(found) or max(slopes) >= numbers.SATURATED or site in facts.once(blamed_sites):
            continue
        last = found[-1][0]
        if sum(numbers.size_of(graph, op.outputs[0]) for op, _ in found) < numbers.FEW:
            continue
        where = f"`{name}` of `{scope}`" if scope else f"`{name}` at {facts.line(site)}"
        came = numbers.taken(facts, last)
        yield Complaint(
            Severity.WARNING,
            f"{where} is at its limits everywhere{f': {came}' if came else ''}",
            HELP,
            site,
            (last.outputs[0],),
        )
