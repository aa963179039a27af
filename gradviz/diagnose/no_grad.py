"""What a parameter was used for ran under `no_grad`.

## What it does
Looks for `no_grad` regions (a `with` block or a decorated function) behind which a trained parameter gets no gradient,
a term of the loss is a constant, or backward raises. Evaluation and updates under `no_grad` are not reported.

## Why is this bad
Autograd keeps nothing of what runs there.

## Example
    @torch.no_grad()
    def forward(self, x):
        return self.layer(x)

## Use instead
    def forward(self, x):
        return self.layer(x)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint
from gradviz.diagnose.lost import Lost

CODE = "GV201"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "no_grad",
        "inside `no_grad` opened at {line}",
        _help,
    )


def _help(facts: Facts, lost: Lost) -> str:
    opener = facts.graph.sites.get(lost.site) if lost.site is not None else None
    rebound = _rebound(facts, lost)
    if rebound:
        return f"update the tensor in place, `{rebound} -= ...`: `{rebound} = ...` puts a new one without history there"
    if opener is not None and _draws(opener.text[opener.column : opener.end_column]):
        return "draw with `rsample()`, which keeps the history, or put the `log_prob` of the sample into the loss"
    if opener is not None and opener.text.lstrip().startswith("@"):
        return "remove the decorator, or open `enable_grad` for the part that is to be trained"
    return "take this out of `no_grad`, or open `enable_grad` for the part that is to be trained"


def _rebound(facts: Facts, lost: Lost) -> str:
    """The name of a leaf that was given the result of its own update: `w = w - 0.1 * w.grad`; empty for none."""
    op = facts.graph.ops[lost.op]
    target = facts.graph.sites[op.site].target if op.site is not None else ""
    leaf = target in facts.names(item for item in op.value_inputs if facts.graph.values[item].leaf)
    return target if op.name in ("add", "sub") and lost.state == "raised" and leaf else ""


def _draws(text: str) -> bool:
    """The expression is a call of `sample`, which distributions run under `no_grad`."""
    return re.search(r"\.sample\((?:[^()]|\([^()]*\))*\)$", text) is not None
