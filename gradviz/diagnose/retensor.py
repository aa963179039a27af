"""A tensor was made anew from the numbers of tensors with a history.

## What it does
Looks for `tensor(...)`, `Parameter(...)` and the like called on tracked tensors, behind which a trained parameter gets
no gradient or a term of the loss is a constant.

## Why is this bad
The new tensor is a leaf. With `requires_grad=True` backward works, and gives the gradient to the copy.

## Example
    loss = torch.tensor([loss_a, loss_b], requires_grad=True).sum()

## Use instead
    loss = torch.stack([loss_a, loss_b]).sum()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint
from gradviz.diagnose.lost import Lost

CODE = "GV105"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "retensor",
        "a copy of the numbers at {line}",
        _help,
    )


def _help(facts: Facts, lost: Lost) -> str:
    if facts.graph.ops[lost.op].name == "Parameter":
        return "use the tensor itself: `nn.functional` and `torch.func.functional_call` take it as a weight"
    return "join tensors with `stack` or `cat`, which keep the history"
