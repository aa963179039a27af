"""A gradient is NaN.

## What it does
Looks for the first sweep that gave a leaf a NaN, and for the operation to blame: one whose derivative is infinite at
the edge (`sqrt`, `log`, `/`), above all where `where` hides its result, and that lies on the way to what got a NaN and
to nothing else. A recording with values (`--values`) knows the operation that made the first NaN or infinity, and what
it was given.

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

import math
import re
from collections.abc import Iterator

from gradviz.diagnose import numbers
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.graphs import Op
from gradviz.query import gradient_inputs

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
SAFER = ("div", "true_divide", "reciprocal", "norm", "std", "var")
"""Those that meet their edge less often; at it the last three give PyTorch no NaN."""
HELP = "keep the operation itself away from the edge: make its input safe before it, not its result after it"
VALUES = "run `gradviz check --values`, which names the operation that made the NaN"
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
        edged = _at_edge(facts, [id for id in road if _is_edged(graph.ops[id])], road, index)
        hidden = [id for id in edged if any(graph.ops[on].name in HIDING for on in facts.ahead(graph.ops[id].outputs))]
        blamed = graph.ops[(hidden or edged or road)[-1 if hidden else 0]] if road else None
        site = blamed.site if blamed is not None else sweep.site
        sure = len(edged) == 1 or bool(graph.measures)
        reason = ""
        related: list[tuple[int | None, str]] = [(sweep.site, "this backward gave the NaN")]
        if hidden and blamed is not None:
            over = next(graph.ops[on] for on in facts.ahead(blamed.outputs) if graph.ops[on].name in HIDING)
            has = "has" if sure else "may have"
            reason = f": `{blamed.name}` at {facts.line(site)} {has} an infinite derivative where `{over.name}` "
            reason += "hides its result"
            related.insert(0, (over.site, "hidden here, too late for the gradient"))
        elif edged and blamed is not None:
            has = "has" if numbers.edge(facts, blamed) else "can have" if len(edged) == 1 else "may have"
            reason = f": `{blamed.name}` at {facts.line(site)} {has} an infinite derivative"
        at_edge = numbers.edge(facts, blamed) if blamed is not None and edged else None
        if at_edge:
            reason += f": {at_edge}" if not hidden else f"; {at_edge}"
        help = HELP if sure else VALUES
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


def _at_edge(facts: Facts, edged: list[int], road: list[int], index: int) -> list[int]:
    """Of ops that may have an infinite derivative those that have one, and those that gave what is not finite.

    Where values are not known, or none of them explains it, that is the likely ones.
    """
    if not facts.graph.measures:
        return _likely(facts, edged, index)
    may = set(edged)
    found = [
        id
        for id in road
        if (id in may and numbers.edge(facts, facts.graph.ops[id]))
        or any(numbers.is_broken(facts.graph, output) for output in facts.graph.ops[id].outputs)
    ]
    return found or _likely(facts, edged, index)


def _likely(facts: Facts, edged: list[int], index: int) -> list[int]:
    """Those of `edged` that best tell the leaves which got a NaN from those which did not, the likeliest first."""
    graph = facts.graph
    bits: dict[int, int] = {}
    broken = 0
    for gradient in graph.sweeps[index].gradients:
        bit = bits.setdefault(facts.tensor(gradient.value), 1 << len(bits))
        broken |= bit if gradient.nan else 0
    behind: dict[int, int] = {}  # for each value the leaves that it was made of
    reached: dict[int, int] = {}
    for id in sorted(facts.walked(index)) if len(edged) > 1 else ():
        op = graph.ops[id]
        leaves = 0
        for item in gradient_inputs(graph, op):
            leaves |= behind.get(item, 0) | (bits.get(facts.tensor(item), 0) if graph.values[item].leaf else 0)
        behind.update(dict.fromkeys(op.outputs, leaves))
        reached[id] = leaves
    misfit = {id: (reached.get(id, 0) ^ broken).bit_count() for id in edged}
    fitting = [id for id in edged if misfit[id] == min(misfit.values())]
    return sorted(fitting, key=lambda id: _seldom(facts, graph.ops[id]))


def _seldom(facts: Facts, op: Op) -> int:
    """How seldom an op is what a NaN came from."""
    if op.name not in SAFER or (op.name in ("std", "var") and _is_of_one(facts, op)):
        return 0
    return 1 + (op.name in SAFER[3:])


def _is_of_one(facts: Facts, op: Op) -> bool:
    """Each of its results is made from one element."""
    return bool(op.value_inputs) and all(
        numbers.size_of(facts.graph, item) == numbers.size_of(facts.graph, op.outputs[0]) for item in op.value_inputs
    )


def _is_edged(op: Op) -> bool:
    """The derivative of `op` is infinite somewhere; of a power, where the exponent is below one or not known.

    That of a division by a number is the same everywhere.
    """
    literal = op.inputs[1] if len(op.inputs) > 1 else None
    if op.name == "pow" and isinstance(literal, str):
        return re.fullmatch(r"[1-9]\d*(\.\d*)?", literal) is None
    if op.name in numbers.DIVISIONS and isinstance(literal, str) and _is_regular(literal):
        return False
    return op.name in EDGED


def _is_regular(literal: str) -> bool:
    """It is a number that one can divide by."""
    try:
        number = float(literal)
    except ValueError:
        return False
    return number != 0 and math.isfinite(number)
