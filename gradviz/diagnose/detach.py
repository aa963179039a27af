"""A tensor was detached on the last road that a parameter had to the loss.

## What it does
Looks for `detach()` and `detach_()` behind which a trained parameter gets no gradient, or a term of the loss is a
constant. A detached use beside a living one is not reported: targets, running means and probes are made like that.

## Why is this bad
The parameter stays at its first values for ever, and nothing says so.

## Example
    features = encoder(x).detach()
    loss = head(features).sum()

## Use instead
    features = encoder(x)
    loss = head(features).sum()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint
from gradviz.diagnose.lost import complaints

CODE = "GV101"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "detach",
        "`detach()` at {line}",
        "remove the `detach()`, or take these parameters out of the optimizer",
    )
