"""The road to the loss went through a numpy array.

## What it does
Looks for values that left as numpy arrays and behind which a trained parameter gets no gradient.

## Why is this bad
A tensor made from an array starts a history of its own, so nothing before it is trained.

## Example
    h = torch.from_numpy(numpy.tanh(model(x).detach().numpy()))

## Use instead
    h = torch.tanh(model(x))
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint

CODE = "GV104"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "numpy",
        "a numpy array taken at {line}",
        "compute this with tensor operations",
    )
