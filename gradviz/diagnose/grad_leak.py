"""The backward of one loss adds to the gradients of another loss's parameters.

## What it does
Looks for parameters that gather gradients of two losses between `zero_grad` and `step` of their optimizer, where the
second loss belongs to another optimizer, which was cleared for it alone.

## Why is this bad
The step follows both losses. A critic is pushed towards what pleases the actor.

## Example
    critic_loss.backward()
    actor_optimizer.zero_grad()
    actor_loss.backward()
    critic_optimizer.step()

## Use instead
    critic_loss.backward()
    critic_optimizer.step()
    actor_optimizer.zero_grad()
    actor_loss.backward()
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Act, Sweep
from gradviz.query import gradient_inputs

CODE = "GV405"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each backward that leaks."""
    graph = facts.graph
    if len(facts.stepped) < 2:
        return
    told: set[int | None] = set()
    fed = [{facts.tensor(gradient.value) for gradient in sweep.gradients} for sweep in graph.sweeps]
    owned_by = {o.id: {facts.tensor(value) for value in o.values} for o in graph.optimizers}
    timeline = _timeline(facts)
    for optimizer, owned in owned_by.items():
        gathered: list[tuple[int, set[int]]] = []  # sweeps that fed it, and which optimizers were cleared before each
        cleared: set[int] = set()
        for moment, what in timeline:
            if isinstance(what, Sweep):
                if not what.error and not owned.isdisjoint(fed[moment]):
                    gathered.append((moment, cleared))
                    cleared = set()
            elif what.kind == "zero_grad":
                emptied = set(map(facts.tensor, what.values))
                cleared |= {id for id, tensors in owned_by.items() if id == what.optimizer or tensors <= emptied}
                if optimizer in cleared:
                    gathered = []
            elif what.kind == "step" and what.optimizer == optimizer:
                for (first, _), (second, between) in pairwise(gathered):
                    sweep = graph.sweeps[second]
                    # The second was for another optimizer: the first does not feed it, and it was cleared in between.
                    others = between - {optimizer}
                    meant = any(owned_by[o] & fed[second] and not owned_by[o] & fed[first] for o in others)
                    if not meant or sweep.site in told:
                        continue
                    told.add(sweep.site)
                    values = tuple(sorted(owned & fed[first] & fed[second]))
                    root = facts.name(sweep.roots[0]) or "the loss"
                    it = verb(values, "its", "their")
                    yield Complaint(
                        Severity.WARNING,
                        f"{facts.subject(values)} also {verb(values, 'gets', 'get')} the gradient of `{root}`: it "
                        f"is added to "
                        f"the one from {facts.line(graph.sweeps[first].site)} before {it} optimizer steps",
                        _help(facts, second, values),
                        facts.maker_site(sweep.roots[0]),
                        values,
                        ((graph.sweeps[first].site, "the first backward"), (sweep.site, "the second backward")),
                    )
                gathered = []


def _help(facts: Facts, second: int, values: tuple[int, ...]) -> str:
    """Detach what the second loss takes from the tensors' side, where that is one tensor with a name; else clear."""
    graph = facts.graph
    walked = facts.walked(second)
    only = set(values)
    alone: dict[int, bool] = {}  # for what each op of the sweep gives: nothing but `values` is behind it
    met: set[int] = set()
    for id in sorted(walked):
        inputs = gradient_inputs(graph, graph.ops[id])
        mine = [
            facts.tensor(item) in only if graph.values[item].leaf else alone.get(graph.values[item].op, False)
            for item in inputs
        ]
        alone[id] = all(mine)
        if not alone[id]:
            met.update(item for item, own in zip(inputs, mine, strict=True) if own)
    names = {facts.name(item) for item in met if not graph.values[item].leaf}
    it = verb(values, "its", "their")
    if len(met) == 1 and names and "" not in names:
        name = names.pop()
        return f"use `{name}.detach()` in the second loss, or clear {it} optimizer between the two"
    return f"step or clear {it} optimizer between the two, or freeze {verb(values, 'it', 'them')} for the second"


def _timeline(facts: Facts) -> list[tuple[int, Sweep | Act]]:
    """Sweeps, each with its index, and what was done besides, as it happened."""
    indices = {id(sweep): index for index, sweep in enumerate(facts.graph.sweeps)}
    return [(indices.get(id(what), -1), what) for what in facts.graph.order if isinstance(what, (Sweep, Act))]
