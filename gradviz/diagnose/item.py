"""A term of the loss went through a Python number.

## What it does
Looks for values that left as Python numbers (`item()`, `float()`, `tolist()`) and came back into the loss.

## Why is this bad
A Python number has no history: added to the loss it changes the value that is printed, and no gradient.

## Example
    penalty = model.weight.norm().item()
    loss = loss + penalty

## Use instead
    penalty = model.weight.norm()
    loss = loss + penalty
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint

CODE = "GV103"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "item",
        "a Python number taken at {line}",
        "keep the tensor for the loss, and take the number only for the log",
    )
