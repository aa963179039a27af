"""Grad mode was switched off by `set_grad_enabled` and not on again.

## What it does
Looks for `set_grad_enabled(False)` after which a trained parameter gets no gradient, or backward raises.

## Why is this bad
Called as a function it holds until somebody switches back, also for the callers of the library that did it.

## Example
    torch.set_grad_enabled(False)
    boxes = detector(image)

## Use instead
    with torch.no_grad():
        boxes = detector(image)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint
from gradviz.diagnose.lost import Lost

CODE = "GV202"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "set_grad_enabled",
        "with grad mode off since `set_grad_enabled(False)` at {line}",
        _help,
    )


def _help(facts: Facts, lost: Lost) -> str:
    opener = facts.graph.sites.get(lost.site) if lost.site is not None else None
    if opener is not None and opener.text.lstrip().startswith("with "):
        return "check the condition that it is given: it was false here"
    return "use `with torch.no_grad():` around the part that needs it"
