"""An optimizer steps, and no backward ever ran.

## What it does
Looks for programs that compute from parameters which an optimizer owns, call its `step`, and never call `backward`.

## Why is this bad
Without gradients a step does nothing and says nothing. `loss.backward` without its parentheses is a valid statement.

## Example
    loss = criterion(model(x), y)
    loss.backward
    optimizer.step()

## Use instead
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity

CODE = "GV411"


def check(facts: Facts) -> Iterator[Complaint]:
    """At most one complaint, at the last loss."""
    graph = facts.graph
    by_hand = facts.acts("read_grad", "write_grad") or any(op.name == "step" for op in graph.ops.values())
    if graph.sweeps or by_hand:
        return
    for act in reversed(facts.acts("step")):
        owned = {facts.tensor(value) for value in facts.optimizer(act.optimizer or 0).values}
        loss = _loss_of(facts, owned)
        if loss is None:
            continue
        values = tuple(leaf for leaf in facts.leaves_behind([loss]) if leaf in owned)
        name = facts.name(loss) or "loss"
        yield Complaint(
            Severity.ERROR,
            f"{facts.subject(values)} {verb(values, 'is', 'are')} in the optimizer but got no gradient: no backward "
            f"ran before the step at {facts.line(act.site)}",
            f"call `{name}.backward()` before the step, with its parentheses",
            facts.maker_site(loss),
            values,
            ((act.site, "the step, which finds no gradient"),),
        )
        return


def _loss_of(facts: Facts, owned: Set[int]) -> int | None:
    """The last number made from `owned` that no tracked operation used; None where there is none."""
    graph = facts.graph
    numbers = (
        value.id
        for value in reversed(list(graph.values.values()))
        if value.requires_grad and not value.leaf and math.prod(value.shape) == 1
    )
    for value in numbers:
        used = any(graph.ops[user].tracked for user in facts.consumers.get(value, ()))
        if not used and not owned.isdisjoint(facts.leaves_behind([value])):
            return value
    return None
