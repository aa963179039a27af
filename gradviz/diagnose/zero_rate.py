"""An optimizer steps with a learning rate of zero.

## What it does
Looks for optimizers all of whose steps, two or more, had a learning rate of zero in every group, and for those whose
last three or more had one: a schedule came to its end. One step with a rate of zero begins many a warm-up and is left
alone.

## Why is this bad
Gradients come and nothing moves. A schedule that multiplies by `step / warmup`, but is stepped once in an epoch, holds
the rate at zero for all of the first one.

## Example
    scheduler = LambdaLR(optimizer, lambda epoch: 0.1 * epoch)

## Use instead
    scheduler = LambdaLR(optimizer, lambda epoch: 0.1 * (epoch + 1))
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Act
from gradviz.rates import NO_RATE

CODE = "GV415"
_ALL = 2
_AT_END = 3


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each optimizer."""
    steps: dict[int, list[Act]] = {}
    for act in facts.acts("step"):
        if act.optimizer is not None:
            steps.setdefault(act.optimizer, []).append(act)
    scheduled = {act.optimizer: act for act in facts.acts("schedule")}
    for id, taken in steps.items():
        still = list(takewhile(lambda act: act.text == NO_RATE, reversed(taken)))
        every = len(still) == len(taken)
        if len(still) < (_ALL if every else _AT_END):
            continue
        optimizer = facts.optimizer(id)
        when = f"all of its {len(taken)} steps" if every else f"its last {len(still)} of {len(taken)} steps"
        site = optimizer.site
        who, help = "", "give it a learning rate above zero"
        schedule = scheduled.get(id)
        if schedule is not None and schedule.text == NO_RATE:
            who = f": it was made with 0, and the schedule at {facts.line(schedule.site)} begins from that"
        elif schedule is not None:
            site = schedule.site
            who = f": the schedule at {facts.line(site)} sets it"
            help = "see what the schedule gives for these steps, and whether it is stepped as often as it was made for"
        yield Complaint(
            Severity.WARNING,
            f"the learning rate of `{optimizer.kind}` is 0 in {when}, so that nothing moves{who}",
            help,
            site,
            tuple(value for value in map(facts.tensor, optimizer.values) if value in facts.parameters),
            ((still[-1].site, "such a step"),),
        )
