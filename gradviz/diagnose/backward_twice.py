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
        yield _carried(facts, carried, earlier, index)


def _carried(facts: Facts, carried: int, earlier: list[int], index: int) -> Complaint:
    """What there is to say where each step's backward comes through `carried`, which an earlier step left behind."""
    graph, sweep = facts.graph, facts.graph.sweeps[index]
    name, made = facts.lasting_name(carried), facts.maker_site(carried)
    here = facts.line(sweep.site)
    told = (
        f"`{name}` carries the graph of the step before into this one: backward at {here} comes through it, made at "
        f"{facts.line(made)}, to a graph that is freed"
    )
    help = f"detach it at the end of the step: {facts.detaching(carried)}"
    on = _used_behind(facts, carried, sweep)
    if any(carried in graph.sweeps[past].roots for past in earlier):
        told = (
            f"`{name}` adds up the losses of all steps: backward at {here} comes to those before this one, whose "
            f"graphs are freed"
        )
        help = f"call backward on the loss of this step alone, and add its `detach()` to `{name}`"
    elif not _is_remade(facts, carried, earlier):
        told = (
            f"`{name}` is made once, at {facts.line(made)}, and each backward at {here} needs the graph behind it, "
            f"which the first one freed"
        )
        trained = {leaf for leaf in facts.leaves_behind([carried]) if facts.is_trained(facts.parameters[leaf])}
        within = facts.walked(index) - facts.behind([carried])
        apart = {facts.tensor(item) for id in within for item in gradient_inputs(graph, graph.ops[id])}
        help = (
            f"make `{name}` anew in each step"
            if trained - apart
            else f"make `{name}` without a history: call `detach()` on it at {facts.line(made)}, or use `no_grad`"
        )
        if not trained and graph.optimizers:  # it requires grad, and no optimizer has the leaf that it was made of
            help = (
                f"if `{name}` is to be trained, make it the leaf: put `nn.Parameter(...)` around all that "
                f"{facts.line(made)} computes; else make it without a history, by `detach()` or under `no_grad`"
            )
    elif on is not None:
        into = facts.lasting_name(on)
        told = (
            f"`{name}`, made at {facts.line(made)}, goes into `{into}` with its graph, which backward at {here} has "
            f"freed when the next step comes to it"
        )
        help = f"put `{name}.detach()` into `{into}` at {facts.line(facts.maker_site(on))}"
    return Complaint(
        Severity.ERROR,
        told,
        help,
        made,
        () if facts.name(carried) in ("", name) else (carried,),
        ((sweep.site, "backward comes to it here"),),
        named=(name,),
    )


def _is_remade(facts: Facts, carried: int, earlier: list[int]) -> bool:
    """The line that made `carried` runs in each step: it ran again, or after a backward."""
    graph, made = facts.graph, facts.maker_site(carried)
    maker = graph.ops[graph.values[carried].op]
    alike = [op.id for op in graph.ops.values() if op.site == made and op.name == maker.name]
    first = min((root for past in earlier for root in graph.sweeps[past].roots), default=0)
    return max(alike) > first


def _used_behind(facts: Facts, carried: int, sweep: Sweep) -> int | None:
    """What a line below the backward of its own step makes of `carried`, for a later one; None for no such line."""
    graph = facts.graph
    back = graph.sites.get(sweep.site or 0)
    for id in facts.consumers.get(carried, ()):
        site, op = graph.sites.get(graph.ops[id].site or 0), graph.ops[id]
        if not op.tracked or back is None or site is None or not site.target.isidentifier():
            continue
        if (site.file, site.function) == (back.file, back.function) and site.line > back.line:
            return op.outputs[0]
    return None


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
