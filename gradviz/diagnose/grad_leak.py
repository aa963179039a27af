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
from gradviz.events import Sweep

CODE = "GV405"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each backward that leaks."""
    graph = facts.graph
    if len(facts.stepped) < 2:
        return
    told: set[int | None] = set()
    fed = [{facts.tensor(gradient.value) for gradient in sweep.gradients} for sweep in graph.sweeps]
    for optimizer in graph.optimizers:
        owned = {facts.tensor(value) for value in optimizer.values}
        gathered: list[int] = []
        for moment, what in _timeline(facts):
            if isinstance(what, Sweep):
                if not what.error and not owned.isdisjoint(fed[moment]):
                    gathered.append(moment)
            elif what == (optimizer.id, "zero_grad"):
                gathered = []
            elif what == (optimizer.id, "step"):
                for first, second in pairwise(gathered):
                    other = _other_owner(facts, optimizer.id, first, second, fed)
                    sweep = graph.sweeps[second]
                    if other is None or sweep.site in told:
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
                        f"step or clear {it} optimizer between the two, or freeze {verb(values, 'it', 'them')} for "
                        f"the second",
                        facts.maker_site(sweep.roots[0]),
                        values,
                        ((graph.sweeps[first].site, "the first backward"), (sweep.site, "the second backward")),
                    )
                gathered = []


def _timeline(facts: Facts) -> list[tuple[int, Sweep | tuple[int, str]]]:
    """Sweeps (with their index) and what optimizers did, as they happened."""
    graph = facts.graph
    happened: list[tuple[float, int, int, Sweep | tuple[int, str]]] = []
    for index, sweep in enumerate(graph.sweeps):
        happened.append((max(sweep.roots, default=0) + 0.5, index, index, sweep))
    for index, act in enumerate(facts.acts("zero_grad", "step")):
        if act.optimizer is not None:
            # An act right after the op that made a root, before its sweep, stands before it unless it is a step.
            shift = 0.75 if act.kind == "step" else 0.25
            happened.append((act.after + shift, index, index, (act.optimizer, act.kind)))
    happened.sort(key=lambda entry: (entry[0], entry[1]))
    return [(index, what) for _, _, index, what in happened]


def _other_owner(facts: Facts, optimizer: int, first: int, second: int, fed: list[set[int]]) -> int | None:
    """The optimizer that the second sweep was for: the first does not feed it, and it was cleared between them."""
    start, end = (max(facts.graph.sweeps[index].roots) for index in (first, second))
    for other in facts.graph.optimizers:
        owned = {facts.tensor(value) for value in other.values}
        cleared = any(act.optimizer == other.id and start <= act.after <= end for act in facts.acts("zero_grad"))
        only_second = not owned.isdisjoint(fed[second]) and owned.isdisjoint(fed[first])
        if other.id != optimizer and cleared and only_second:
            return other.id
    return None
