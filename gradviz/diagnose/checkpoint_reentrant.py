"""A reentrant checkpoint ran trained parameters with no input that requires grad.

## What it does
Looks for checkpointed calls that autograd did not record, in a program where trained parameters took part in nothing
that was recorded.

## Why is this bad
A reentrant checkpoint runs its function under `no_grad` and is recorded only if an input requires grad. Behind a frozen
embedding none does, so the parameters inside get no gradient, with no more than a warning.

## Example
    h = checkpoint(block, frozen_embedding(ids), use_reentrant=True)

## Use instead
    h = checkpoint(block, frozen_embedding(ids), use_reentrant=False)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import starved_parameters
from gradviz.events import CHECKPOINT
from gradviz.graphs import Op

CODE = "GV204"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each place that checkpoints in vain."""
    sites = list(dict.fromkeys(op.site for op in unrecorded_checkpoints(facts)))
    starved = [parameter.id for parameter in starved_parameters(facts) if not facts.uses(parameter)]
    starved = [id for id in starved if facts.name(id)]
    if not sites or not starved:
        return
    yield Complaint(
        Severity.ERROR,
        f"{facts.subject(starved)} {verb(starved, 'is', 'are')} in the optimizer but got no gradient: no input of the "
        f"checkpoint at {facts.line(sites[0])} requires grad, so what runs inside is not recorded",
        "pass `use_reentrant=False`, or let the input require grad",
        sites[0],
        tuple(starved),
        tuple((site, "another checkpoint that is not recorded") for site in sites[1:]),
    )


def unrecorded_checkpoints(facts: Facts) -> list[Op]:
    """The checkpointed calls that led to a loss and that autograd knows nothing of."""
    graph = facts.graph
    return [
        op
        for op in graph.ops.values()
        if op.name == CHECKPOINT
        and not op.tracked
        and not facts.feeding.isdisjoint(op.outputs)
        and (op.region is None or graph.regions[op.region].enabled)
    ]
