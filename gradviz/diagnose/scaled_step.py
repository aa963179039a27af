"""An optimizer steps with gradients that a scaler has multiplied.

## What it does
Looks for a backward from what `GradScaler.scale` gave, and a step of the optimizer itself with these gradients, where
neither `scaler.step` nor `scaler.unscale_` has divided them again.

## Why is this bad
The step is tens of thousands of times too long. The loss is NaN soon after, or Adam, which divides by the length, hides
it and leaves the scaler without a check for infinities.

## Example
    scaler.scale(loss).backward()
    optimizer.step()

## Use instead
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.early_clip import clips
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Act, Sweep

CODE = "GV416"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each place that steps."""
    graph = facts.graph
    scaled = {value: act.site for act in facts.acts("scale") for value in act.values}
    if not scaled or _divides(facts):
        return
    waiting: dict[int, int | None] = {}
    found: dict[int | None, dict[int, int | None]] = {}
    for item in graph.order:
        if isinstance(item, Sweep):
            root = next((root for root in item.roots if root in scaled), None)
            if root is not None:
                waiting |= {facts.tensor(gradient.value): scaled[root] for gradient in item.gradients}
        elif isinstance(item, Act) and item.kind in ("unscale", "step"):
            owned = [id for id in waiting if item.optimizer in facts.owners(id)]
            taken = {id: waiting.pop(id) for id in owned}
            if taken and item.kind == "step":
                found.setdefault(item.site, {}).update(taken)
    for site, taken in found.items():
        where = next(iter(taken.values()))
        yield Complaint(
            Severity.WARNING,
            f"the step at {facts.line(site)} takes gradients of {facts.subject(taken)} that are scaled: the loss was "
            f"multiplied at {facts.line(where)}, and nothing divides them again",
            "call `step` of the scaler with the optimizer, and then its `update`",
            site,
            tuple(taken),
            ((where, "scaled here"),),
        )


def _divides(facts: Facts) -> bool:
    """The program writes gradients by itself, other than by clipping them."""
    ops = facts.graph.ops
    gradients = {output for op in ops.values() if op.name == "grad" for output in op.outputs}
    written = (op for op in ops.values() if op.outputs and op.inplace and not clips(facts, op.site))
    into = any(op.inputs[op.alias or 0] in gradients for op in written)
    return into or bool(facts.acts("write_grad"))
