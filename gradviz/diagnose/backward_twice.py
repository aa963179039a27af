"""Backward went through a graph whose saved tensors an earlier backward had let go.

## What it does
Looks for a backward that raised for this, and names the tensor by which it came to the graph of the earlier one.

## Why is this bad
A state that is carried from step to step carries its graph along. PyTorch advises `retain_graph=True`, which hides the
error and lets the graph grow without end. Where two losses share a part of one step, or `autograd.grad` went through it
first, nothing is carried, and the finding says what to do there.

## Example
    for x in batches:
        out, state = rnn(x, state)
        out.sum().backward()

## Use instead
    for x in batches:
        out, state = rnn(x, state.detach())
        out.sum().backward()
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Sweep
from gradviz.query import ancestors, gradient_inputs

CODE = "GV501"
RAISED = "backward through the graph a second time"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each backward that raised for this."""
    graph = facts.graph
    for index, sweep in enumerate(graph.sweeps):
        if RAISED not in sweep.error:
            continue
        walked = facts.walked(index)
        earlier = sorted({i for op in walked for i in facts.swept[op] if i < index and graph.sweeps[i].freed})
        freed = frozenset().union(*(facts.walked(past) for past in earlier))
        older = freed | _left_over(facts, walked - freed, freed, earlier)
        carried = carried_over(facts, walked - older, older)
        first = graph.sweeps[earlier[-1]] if earlier else None
        related = ((sweep.site, "backward comes to it here"),)
        if carried is None:
            yield Complaint(
                Severity.ERROR,
                f"backward runs again over a graph that the backward at {facts.line(first.site if first else None)} "
                f"freed",
                "run the forward pass again, or pass `retain_graph=True` to the first backward",
                sweep.site,
                related=((first.site, "freed here"),) if first else (),
            )
            continue
        if first is not None and all(graph.sweeps[i].site != sweep.site for i in earlier):
            yield _shared(facts, carried, first, sweep)
            continue
        name = facts.lasting_name(carried)
        yield Complaint(
            Severity.ERROR,
            f"`{name}` carries the graph of the step before into this one: backward at {facts.line(sweep.site)} comes "
            f"through it, made at {facts.line(facts.maker_site(carried))}, to a graph that is freed",
            f"detach it at the end of the step: {facts.detaching(carried)}",
            facts.maker_site(carried),
            () if facts.name(carried) in ("", name) else (carried,),
            related,
            named=(name,),
        )


def _shared(facts: Facts, carried: int, first: Sweep, sweep: Sweep) -> Complaint:
    """What there is to say where two sweeps of one step go through what is behind `carried`."""
    graph = facts.graph
    name = facts.lasting_name(carried)
    made = facts.maker_site(carried)
    values = () if facts.name(carried) in ("", name) else (carried,)
    if first.kind == "grad":
        past = [graph.ops[op] for op in ancestors(graph, sweep.roots)]
        used = any(op.name == "grad" and op.site == first.site for op in past)
        keep = "create_graph=True" if used else "retain_graph=True"
        return Complaint(
            Severity.ERROR,
            f"`{name}` is a part of the loss, but `autograd.grad` at {facts.line(first.site)} went through it, made at "
            f"{facts.line(made)}, and freed the graph that backward at {facts.line(sweep.site)} needs",
            f"pass `{keep}` to `autograd.grad` at {facts.line(first.site)}",
            first.site,
            values,
            ((made, "what both go through is made here"), (sweep.site, "backward comes to it here")),
            named=(name,),
        )
    # An optimizer that stepped in between, and owns nothing behind it, says that the first loss was not for it.
    start, end = max(first.roots, default=0), max(sweep.roots, default=0)
    between = {act.optimizer for act in facts.acts("step") if act.optimizer is not None and start <= act.after < end}
    owned = {facts.tensor(value) for id in between for value in facts.optimizer(id).values}
    help = "add the two losses and call backward once on the sum, before an optimizer steps"
    if between and owned.isdisjoint(facts.leaves_behind([carried])):
        help = f"give `{name}.detach()` to the loss of {facts.line(first.site)}, which does not train what is behind it"
    return Complaint(
        Severity.ERROR,
        f"`{name}`, made at {facts.line(made)}, is in two losses: backward at {facts.line(first.site)} freed the graph "
        f"behind it, and backward at {facts.line(sweep.site)} needs it again",
        help,
        made,
        values,
        ((first.site, "freed here"), (sweep.site, "backward comes to it here")),
        named=(name,),
    )


def _left_over(facts: Facts, walked: Collection[int], freed: Collection[int], earlier: list[int]) -> set[int]:
    """Ops that ran before an earlier sweep, behind which lies what it freed, though it did not come through them."""
    graph = facts.graph
    last = max((root for index in earlier for root in graph.sweeps[index].roots), default=0)
    found: set[int] = set()
    for id in sorted(walked):
        behind = {graph.values[item].op for item in gradient_inputs(graph, graph.ops[id])}
        if id < last and not (behind.isdisjoint(freed) and behind.isdisjoint(found)):
            found.add(id)
    return found


def carried_over(facts: Facts, newer: Collection[int], older: Collection[int]) -> int | None:
    """The last value that an op of `older` made and a tracked op of `newer` used, or None."""
    graph = facts.graph
    found = [
        item
        for id in newer
        for item in gradient_inputs(graph, graph.ops[id])
        if graph.values[item].op in older and not graph.values[item].leaf
    ]
    return max(found, default=None)
