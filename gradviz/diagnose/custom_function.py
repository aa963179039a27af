"""A custom autograd function gave no gradient for an input that needs one.

## What it does
Looks for trained parameters that a sweep came to through a custom `Function`, and that got nothing from it.

## Why is this bad
`None` from `backward` means "no gradient", so nothing is raised, and the parameter is never trained.

## Example
    @staticmethod
    def backward(ctx, g):
        return g * ctx.x, None

## Use instead
    @staticmethod
    def backward(ctx, g):
        return g * ctx.x, g * ctx.w
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import starved_parameters
from gradviz.graphs import Op

CODE = "GV110"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each custom function that starves parameters."""
    starved: dict[int, list[int]] = {}
    for parameter in starved_parameters(facts):
        on_road = facts.ahead(parameter.versions, within=facts.swept)
        custom = [id for id in on_road if is_custom(facts.graph.ops[id])]
        if custom:
            starved.setdefault(custom[0], []).append(parameter.id)
    seen: set[int | None] = set()
    for id, values in starved.items():
        op = facts.graph.ops[id]
        if op.site in seen:
            continue
        seen.add(op.site)
        yield Complaint(
            Severity.ERROR,
            f"{facts.subject(values)} got no gradient: the backward of the custom function `{op.name}`, applied at "
            f"{facts.line(op.site)}, gave none for {verb(values, 'it', 'them')}",
            f"return a gradient for every input that needs one from `{op.name}.backward`; grad mode is off inside "
            f"of it",
            op.site,
            tuple(values),
        )


def is_custom(op: Op) -> bool:
    """The op is a `Function` of the user's: nodes of built-in ops end in a digit, as `MulBackward0`."""
    return op.tracked and op.node == f"{op.name}Backward"
