"""A ReLU gives nothing but zeros; needs `--values`.

## What it does
In a recording with values, looks for a `relu` between layers all of whose results were zero, in each of its calls that
a sweep came through. Where parameters got a gradient of zero for it alone, that is told by GV601.

## Why is this bad
What is zero passes no gradient on, so nothing before it learns, and nothing brings it back: it is dead. A learning rate
that was too high for one step is enough.

## Example
    hidden = torch.relu(x @ w - 100)

## Use instead
    hidden = torch.nn.functional.leaky_relu(x @ w)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose import numbers
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.zero_gradient import blamed_sites
from gradviz.graphs import Op
from gradviz.picture.wording import plural

CODE = "GV604"
HELP = "lower the learning rate, look at the initial weights and biases, or use `leaky_relu`"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each ReLU."""
    graph = facts.graph
    if not graph.measures:
        return
    calls: dict[tuple[str, int | None], list[Op]] = {}
    for id in facts.swept:
        if graph.ops[id].name in numbers.RECTIFIERS:
            calls.setdefault((graph.ops[id].scope, graph.ops[id].site), []).append(graph.ops[id])
    for (scope, site), ops in sorted(calls.items(), key=lambda item: item[1][0].id):
        if not all(numbers.is_dead(graph, op) for op in ops):
            continue
        count = sum(numbers.size_of(graph, op.outputs[0]) for op in ops)
        if count < numbers.FEW or site in facts.once(blamed_sites) or not numbers.feeds_parameters(facts, ops[0]):
            continue
        where = f"`relu` of `{scope}`" if scope else f"`relu` at {facts.line(site)}"
        each = f"in each of {plural(len(ops), 'call')}" if len(ops) > 1 else "in its one call"
        came = numbers.taken(facts, ops[-1])
        yield Complaint(
            Severity.WARNING,
            f"{where} gives nothing but zeros, {each}{f': {came}' if came else ''}",
            HELP,
            site,
            (ops[-1].outputs[0],),
        )
