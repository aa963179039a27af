"""Each backward goes through the graphs of all steps before it.

## What it does
Looks for a backward that walks operations of three or more iterations, and names the tensor that carries them over.

## Why is this bad
`retain_graph=True` keeps the error away. Time and memory of a step grow with the number of steps.

## Example
    state = torch.tanh(state + layer(x))
    state.sum().backward(retain_graph=True)

## Use instead
    state = torch.tanh(state.detach() + layer(x))
    state.sum().backward()
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from gradviz.diagnose.addends import last_sweeps
from gradviz.diagnose.backward_twice import carried_over
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.held import held_bytes

CODE = "GV502"
STEPS = 3


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each place that calls such a backward."""
    graph = facts.graph
    for sweep in last_sweeps(facts):
        runs = [past for past in graph.sweeps if past.site == sweep.site and past.roots and not past.error]
        if sweep.error or sweep.create_graph or len(runs) < STEPS:
            continue
        ends = sorted({max(past.roots) for past in runs})
        if len(ends) < STEPS:
            continue
        walked = facts.walked(graph.sweeps.index(sweep))
        last = ends[-2]
        steps = {bisect_left(ends, op) for op in walked}
        carried = carried_over(facts, {op for op in walked if op > last}, {op for op in walked if op <= last})
        if len(steps) < STEPS or carried is None:
            continue
        site = facts.maker_site(carried)
        name = facts.lasting_name(carried)
        held = held_bytes(facts, walked)
        yield Complaint(
            Severity.WARNING,
            f"backward at {facts.line(sweep.site)} goes through the graphs of {len(steps)} steps: `{name}`, made at "
            f"{facts.line(site)}, carries them over, and `retain_graph=True` lets it"
            + (f" ({held:,} bytes saved for backward)" if held else ""),
            f"detach it at the end of the step: {facts.detaching(carried)}; then `retain_graph` is not needed",
            site,
            (),
            ((sweep.site, "this backward grows with every step"),),
            named=(name,),
        )
