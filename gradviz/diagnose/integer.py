"""The road to the loss went through integers.

## What it does
Looks for `argmax`, `.long()`, `topk(...).indices` and the like behind which a trained parameter gets no gradient or a
term of the loss is a constant.

## Why is this bad
An integer does not change when its input changes a little, so there is no derivative.

## Example
    loss = (logits.argmax(1).float() - target).abs().mean()

## Use instead
    loss = cross_entropy(logits, target)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint
from gradviz.diagnose.lost import Lost

CODE = "GV106"
_CASTS = frozenset({"long", "int", "short", "char", "byte", "bool", "to", "type", "astype"})


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "integer",
        "integers made at {line}",
        _help,
    )


def _help(facts: Facts, lost: Lost) -> str:
    name = facts.graph.ops[lost.op].name
    if facts.graph.ops[lost.op].tracked:
        return f"use the values that `{name}` gives beside the indices, or a smooth form such as `softmax`"
    if name.startswith("arg"):
        return f"use a smooth form, such as `softmax` in place of `{name}`, or a straight-through estimate"
    if name in _CASTS:
        return f"leave out `{name}()`; where it makes an index, weight or interpolate by the number itself"
    return f"use a smooth form in place of `{name}`, or a straight-through estimate"
