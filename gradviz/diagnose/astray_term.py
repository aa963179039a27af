"""A term of the loss trains none of the parameters that step after it.

## What it does
Looks for terms whose gradient comes only to parameters that do not step next, though the parameters that do went into
the term: on their roads stands a cut. Of a cut that leaves parameters without any gradient other rules tell.

## Why is this bad
The term looks alive, because it requires grad. A generator's adversarial loss behind an `argmax` trains nothing: its
gradient ends in the discriminator.

## Example
    fake = generator(z).argmax(-1)
    loss = reconstruction - discriminator(one_hot(fake)).mean()
    loss.backward()
    generator_optimizer.step()

## Use instead
    fake = gumbel_softmax(generator(z), hard=True)
    loss = reconstruction - discriminator(fake).mean()
    loss.backward()
    generator_optimizer.step()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.addends import addends, last_sweeps
from gradviz.diagnose.blaming import blame, cuts_by_op
from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import lost_roads
from gradviz.events import Sweep
from gradviz.graphs import Cut

CODE = "GV111"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each such term, at the cut."""
    graph = facts.graph
    for sweep in last_sweeps(facts):
        stepping = _stepping(facts, sweep)
        if not stepping or sweep.error:
            continue
        terms = addends(facts, sweep.roots)[0]
        ends = [term for term in terms if terms.isdisjoint(graph.ops[graph.values[term].op].value_inputs)]
        if len(ends) > 1:
            for term in sorted(ends):
                yield from _astray(facts, sweep, term, stepping)


def _astray(facts: Facts, sweep: Sweep, term: int, stepping: frozenset[int]) -> Iterator[Complaint]:
    """What there is to say of one term; at most one complaint."""
    leaves = facts.leaves_behind([term])
    if leaves and stepping.isdisjoint(leaves):
        for cut in _cuts_behind(facts, term):
            values = tuple(leaf for leaf in facts.leaves_behind([cut.value]) if leaf in stepping)
            if values:
                kind, site = blame(facts, cut.op)
                if any(lost.state == "starved" and lost.site == site for lost in lost_roads(facts)):
                    return
                yield Complaint(
                    Severity.WARNING,
                    f"the term made at {facts.line(facts.maker_site(term))} trains none of what steps next: "
                    f"{facts.subject(values)} went into it, but {verb(values, 'its', 'their')} road is cut at "
                    f"{facts.line(site)}",
                    "remove the `detach()`"
                    if kind in ("detach", "data")
                    else "let the gradient through, by a smooth form or a straight-through estimate",
                    site,
                    values,
                    ((sweep.site, "backward starts here"),),
                    kind,
                )
                return


def _cuts_behind(facts: Facts, value: int) -> list[Cut]:
    """The cuts that the data of `value` came through, nearest first; the update of a parameter ends a road."""
    graph, cuts = facts.graph, facts.once(cuts_by_op)
    found: list[Cut] = []
    seen: set[int] = set()
    pending = [value]
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.id in seen or facts.renews(op):
            continue
        seen.add(op.id)
        lost = cuts.get(op.id, [])
        found += lost
        stopped = {cut.value for cut in lost}
        pending += [item for item in op.value_inputs if item not in stopped]
    return sorted(found, key=lambda cut: -cut.op)


def _stepping(facts: Facts, sweep: Sweep) -> frozenset[int]:
    """What the optimizers own that step between this sweep and the next."""
    start = max(sweep.roots, default=0)
    later = [max(other.roots) for other in facts.graph.sweeps if other.roots and max(other.roots) > start]
    end = min(later, default=None)
    owners = {
        act.optimizer
        for act in facts.acts("step")
        if act.optimizer is not None and act.after >= start and (end is None or act.after < end)
    }
    return frozenset(facts.tensor(value) for id in owners for value in facts.optimizer(id).values)
