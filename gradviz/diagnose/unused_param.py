"""A parameter that the optimizer owns took part in nothing, or not in every step.

## What it does
Looks for owned parameters that no recorded operation used, and notes those that got a gradient in some runs of a
backward and not in others.

## Why is this bad
It is never trained. Under `DistributedDataParallel` the second iteration raises.

## Example
    self.norm = nn.GroupNorm(2, 8)  # and `forward` does not call it

## Use instead
    x = self.norm(self.conv(x))
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose import stale_optimizer
from gradviz.diagnose.checkpoint_reentrant import unrecorded_checkpoints
from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.freeze_noop import used_frozen
from gradviz.diagnose.lost import lost_roads, starved_parameters
from gradviz.diagnose.surroundings import branch_around

CODE = "GV401"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that makes such parameters; one note for each that uses some now and then."""
    if not facts.graph.optimizers:
        return
    explained = {value for lost in lost_roads(facts) for value in lost.values}
    replaced = stale_optimizer.orphans(facts)
    unused: dict[int | None, list[int]] = {}
    for parameter in starved_parameters(facts):
        known = parameter.id in explained or parameter.id in replaced or unrecorded_checkpoints(facts)
        if not known and not facts.uses(parameter):
            unused.setdefault(facts.maker_site(parameter.id), []).append(parameter.id)
    for site, values in unused.items():
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(values)} {verb(values, 'is', 'are')} in the optimizer, but no operation used "
            f"{verb(values, 'it', 'them')}",
            f"use {verb(values, 'it', 'them')} in the forward pass, or take {verb(values, 'it', 'them')} out of the "
            f"optimizer",
            site,
            tuple(values),
        )
    yield from _now_and_then(facts)


def _now_and_then(facts: Facts) -> Iterator[Complaint]:
    by_place: dict[int | None, list[int]] = {}
    for index, sweep in enumerate(facts.graph.sweeps):
        if not sweep.error and sweep.inputs is None:
            by_place.setdefault(sweep.site, []).append(index)
    told: dict[tuple[int | None, int, int], list[int]] = {}
    for parameter in facts.parameters.values():
        if not facts.stepped.intersection(parameter.owners):
            continue
        got = {index for index, _ in parameter.gradients}
        for runs in by_place.values():
            some = len(got.intersection(runs))
            uses = facts.uses(parameter)
            if 0 < some < len(runs) and uses:
                told.setdefault((facts.graph.ops[uses[-1]].site, some, len(runs)), []).append(parameter.id)
                break
    freezes = {facts.tensor(flag.value): flag.site for flag in facts.graph.flags if not flag.requires_grad}
    for (site, some, all_runs), values in told.items():
        if values[0] in freezes or values[0] in facts.once(used_frozen):
            froze = freezes.get(values[0])
            yield Complaint(
                Severity.NOTE,
                f"{facts.subject(values)} got a gradient in {some} of {all_runs} steps: "
                f"{verb(values, 'it was', 'they were')} frozen in the others"
                + (f", by {facts.line(froze)}" if froze is not None else ""),
                "nothing, if that is meant",
                site if froze is None else froze,
                tuple(values),
            )
            continue
        branch = branch_around(facts, site)
        yield Complaint(
            Severity.NOTE,
            f"{facts.subject(values)} got a gradient in {some} of {all_runs} steps: {facts.line(site)} did not run "
            f"in the others" + (f", as {facts.line(branch)} decided" if branch is not None else ""),
            "nothing, if that is meant; under DistributedDataParallel pass `find_unused_parameters=True`",
            site if branch is None else branch,
            tuple(values),
            ((site, "used here"),),
        )
