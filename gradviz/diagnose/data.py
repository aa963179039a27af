"""A tensor's numbers were taken through `.data` on the road to the loss.

## What it does
Looks for `.data` behind which a trained parameter gets no gradient or a term of the loss is a constant, and for the
`.data` of a trained parameter used in the forward pass.

## Why is this bad
`.data` cuts the gradient as `detach()` does, and writes through it are not even noticed by the version check.

## Example
    scores = x @ layer.weight.data.T

## Use instead
    scores = x @ layer.weight.T
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint

CODE = "GV102"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "data",
        "`.data` at {line}",
        "use the tensor itself in place of its `.data`",
    )
