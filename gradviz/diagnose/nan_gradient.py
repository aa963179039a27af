"""A gradient is NaN.

## What it does
Looks for the first sweep that gave a leaf a NaN, and for the operation to blame: one whose derivative is infinite at
the edge (`/`, `sqrt`, `log`, `norm`), above all where `where` hides its result. A recording with values (`--values`)
knows the operation that made the first NaN or infinity, and what it was given.

## Why is this bad
One step makes the parameter NaN, and soon everything. `where` does not help: it hides the value, and the infinite
derivative is multiplied by zero, which is NaN.

## Example
    y = torch.where(n == 0, 0.0, x / n)

## Use instead
    safe = torch.where(n == 0, 1.0, n)
    y = torch.where(n == 0, 0.0, x / safe)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose import numbers
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.graphs import Op

CODE = "GV602"
EDGED = frozenset(
    {
        "div",
        "true_divide",
        "reciprocal",
        "sqrt",
        "rsqrt",
        "log",
        "log2",
        "log10",
        "log1p",
        "pow",
        "norm",
        "std",
        "var",
        "acos",
        "asin",
    }
)
HELP = "keep the operation itself away from the edge: make its input safe before it, not its result after it"
HIDING = frozenset({"where", "masked_fill", "nan_to_num", "clamp", "max", "maximum", "minimum"})


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint, for the first sweep that gave a NaN."""
    graph = facts.graph
    for index, sweep in enumerate(graph.sweeps):
        values = tuple(sorted(facts.tensor(gradient.value) for gradient in sweep.gradients if gradient.nan))
        if not values:
            continue
        versions = [gradient.value for gradient in sweep.gradients if gradient.nan]
        road = facts.ahead(versions, within=facts.walked(index))
        forward = _forward(facts, index)
        if forward is not None:
            yield Complaint(
                Severity.WARNING,
                f"the gradient of {facts.subject(values)} is NaN: {numbers.made(facts, forward)}",
                numbers.help_with(graph, forward),
                forward.site,
                values,
                ((sweep.site, "this backward gave the NaN"),),
            )
            return
        edged = _at_edge(facts, [id for id in road if _is_edged(graph.ops[id])], road)
        hidden = [id for id in edged if any(graph.ops[on].name in HIDING for on in facts.ahead(graph.ops[id].outputs))]
        blamed = graph.ops[(hidden or edged or road)[-1 if hidden else 0]] if road else None
        site = blamed.site if blamed is not None else sweep.site
        reason = ""
        related: list[tuple[int | None, str]] = [(sweep.site, "this backward gave the NaN")]
        if hidden and blamed is not None:
            over = next(graph.ops[on] for on in facts.ahead(blamed.outputs) if graph.ops[on].name in HIDING)
            reason = (
                f": `{blamed.name}` at {facts.line(site)} has an infinite derivative where `{over.name}` "
                f"hides its result"
            )
            related.insert(0, (over.site, "hidden here, too late for the gradient"))
        elif edged and blamed is not None:
            has = "has" if numbers.edge(facts, blamed) else "can have"
            reason = f": `{blamed.name}` at {facts.line(site)} {has} an infinite derivative"
        at_edge = numbers.edge(facts, blamed) if blamed is not None and edged else None
        if at_edge:
            reason += f": {at_edge}" if not hidden else f"; {at_edge}"
        help = HELP
        if blamed is not None and blamed.name in ("std", "var") and _is_of_one(facts, blamed):
            reason = f": `{blamed.name}` at {facts.line(site)} is of one number at a time, which has no spread"
            help = "leave out batches of one (`drop_last=True` of a DataLoader), or pass `correction=0`"
        yield Complaint(
            Severity.WARNING,
            f"the gradient of {facts.subject(values)} is NaN{reason}",
            help,
            site,
            values,
            tuple(related),
        )
        return


def _forward(facts: Facts, index: int) -> Op | None:
    """The op that made the first NaN or infinity which a sweep, this or an earlier one, began at; None for no such."""
    if facts.graph.measures:
        for sweep in facts.graph.sweeps[: index + 1]:
            for root in sweep.roots:
                if numbers.is_broken(facts.graph, root):
                    return numbers.origin(facts, root)
    return None


def _at_edge(facts: Facts, edged: list[int], road: list[int]) -> list[int]:
    """Of ops that may have an infinite derivative those that have one, and those that gave what is not finite.

    Where values are not known, or none of them explains it, that is all of `edged`.
    """
    if not facts.graph.measures:
        return edged
    may = set(edged)
    found = [
        id
        for id in road
        if (id in may and numbers.edge(facts, facts.graph.ops[id]))
        or any(numbers.is_broken(facts.graph, output) for output in facts.graph.ops[id].outputs)
    ]
    return found or edged


def _is_of_one(facts: Facts, op: Op) -> bool:
    """Each of its results is made from one element."""
    return bool(op.value_inputs) and all(
        numbers.size_of(facts.graph, item) == numbers.size_of(facts.graph, op.outputs[0]) for item in op.value_inputs
    )


def _is_edged(op: Op) -> bool:
    """The derivative of `op` is infinite somewhere; of a power, where the exponent is below one or not known."""
    if op.name == "pow" and len(op.inputs) > 1 and isinstance(op.inputs[1], str):
        return re.fullmatch(r"[1-9]\d*(\.\d*)?", op.inputs[1]) is None
    return op.name in EDGED
