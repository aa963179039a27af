"""A freeze that froze nothing: it was undone before the tensor was used.

## What it does
Looks for `requires_grad = False` on a leaf that is switched back on, where nothing used the leaf in between and it got
a gradient after all.

## Why is this bad
What was meant to stay as it is gets trained.

## Example
    model.stem.requires_grad_(False)
    for p in model.parameters():
        p.requires_grad = True

## Use instead
    for p in model.parameters():
        p.requires_grad = True
    model.stem.requires_grad_(False)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import RequiresGrad

CODE = "GV109"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each pair of lines that freeze and undo it."""
    undone: dict[tuple[int | None, int | None], list[int]] = {}
    used_frozen = facts.once(_used_frozen)
    told: dict[int, list[RequiresGrad]] = {}
    for flag in facts.graph.flags:
        told.setdefault(facts.tensor(flag.value), []).append(flag)
    for parameter in facts.parameters.values():
        for before, after in pairwise(told.get(parameter.id, ())):
            froze_nothing = not before.requires_grad and after.requires_grad and parameter.id not in used_frozen
            if froze_nothing and parameter.gradients:
                undone.setdefault((before.site, after.site), []).append(parameter.id)
                break
    for (froze, undid), values in undone.items():
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(values)} {verb(values, 'was', 'were')} frozen at {facts.line(froze)}, but "
            f"{facts.line(undid)} "
            f"lets {verb(values, 'it', 'them')} require grad again before any use",
            "freeze after the line that switches everything on",
            undid,
            tuple(values),
            ((froze, "frozen here, to no effect"),),
        )


def _used_frozen(facts: Facts) -> frozenset[int]:
    """The leaves, by first version, that some op used while they did not require grad."""
    return frozenset(
        facts.tensor(item)
        for op in facts.graph.ops.values()
        for item, needed in zip(op.inputs, op.needs, strict=False)
        if isinstance(item, int) and not needed
    )
