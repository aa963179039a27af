"""The road to the loss went through an operation that has no derivative.

## What it does
Looks for comparisons and other operations without a derivative, behind which a trained parameter gets no gradient or a
term of the loss is a constant. `sign`, `round` and the like, whose derivative is zero, are GV601's.

## Why is this bad
No number of steps moves the parameter.

## Example
    mask = torch.sign(x - threshold)

## Use instead
    mask = torch.tanh((x - threshold) / temperature)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint
from gradviz.diagnose.lost import Lost

CODE = "GV107"
_COUNTING = frozenset({"histc", "histogram", "histogramdd", "bincount"})


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "nondifferentiable",
        "an operation without derivative at {line}",
        _help,
    )


def _help(facts: Facts, lost: Lost) -> str:
    name = facts.graph.ops[lost.op].name
    if name in _COUNTING:
        return f"count softly in place of `{name}`: sum, for each bin, a smooth bump such as a Gaussian around it"
    return "use a smooth form, such as `sigmoid` in place of a comparison"
