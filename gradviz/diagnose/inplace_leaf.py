"""A leaf that requires grad, or a view of one, was written in place with grad mode on.

## What it does
Looks for the error that PyTorch raises for such a write, and names the leaf behind the view.

## Why is this bad
The leaf's gradient would belong to numbers that it no longer has, so the write is refused.

## Example
    layer.bias.view(3, -1)[:, 0] += 1

## Use instead
    with torch.no_grad():
        layer.bias.view(3, -1)[:, 0] += 1
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.pointing import pointed_at
from gradviz.events import Error

CODE = "GV302"
RAISED = "leaf Variable that requires grad is being used in an in-place operation"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint where the program ended so."""
    for error in facts.graph.errors:
        if RAISED in error.message:
            leaf = _leaf(facts, error)
            name = (facts.name(leaf) if leaf is not None else "") or _written(facts, error)
            how = "through a view, " if "a view of" in error.message else ""
            yield Complaint(
                Severity.ERROR,
                f"`{name or 'a tensor'}` is a leaf that requires grad, and {facts.line(error.site)} writes it in place "
                f"{how}with grad mode on",
                "write it inside `with torch.no_grad():`",
                error.site,
                () if leaf is None else (leaf,),
                () if leaf is None else ((facts.maker_site(leaf), "the leaf is made here"),),
            )


def _written(facts: Facts, error: Error) -> str:
    """What the failing line calls the tensor that it writes: `p` of `p.clamp_(0, 1)`, `b` of `b += 1`."""
    site = facts.graph.sites.get(error.site) if error.site is not None else None
    source = site.text[site.column :] if site is not None else ""
    method = re.match(r"\s*(\w[\w.\[\]]*)\.\w+_\(", source)
    operator = re.match(r"\s*(\w[\w.]*)(?:\[.*\])?\s*(?:[-+*/@%&|^]|//|\*\*|<<|>>)?=(?!=)", source)
    found = method or operator
    return found[1] if found else ""


def _leaf(facts: Facts, error: Error) -> int | None:
    """The leaf that was written: behind what was made last on that line, or called by a name in its source."""
    graph = facts.graph
    if error.values:
        return _base(facts, error.values[0])
    bases = (_base(facts, value) for value in pointed_at(facts, error.site))
    return next((base for base in bases if graph.values[base].leaf and graph.values[base].requires_grad), None)


def _base(facts: Facts, value: int) -> int:
    """The tensor that `value` is a view of, or itself."""
    graph = facts.graph
    while True:
        op = graph.ops[graph.values[value].op]
        above = op.inputs[op.alias] if op.alias is not None and op.inputs else None
        if not isinstance(above, int):
            return value
        value = above
