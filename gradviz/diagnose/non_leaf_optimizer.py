"""An optimizer was given a tensor that is the result of operations.

## What it does
Looks for a program that ended because an optimizer refused a tensor that is no leaf, and names the operation that made
it none.

## Why is this bad
Only leaves get a `.grad`, by which an optimizer could change them. A leaf that was scaled, moved or converted is the
result of that.

## Example
    w = torch.randn(4, 2, requires_grad=True) * 0.1
    optimizer = torch.optim.SGD([w])

## Use instead
    w = (torch.randn(4, 2) * 0.1).requires_grad_()
    optimizer = torch.optim.SGD([w])
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.pointing import pointed_at
from gradviz.events import Error
from gradviz.graphs import Op

CODE = "GV421"
_RAISED = "can't optimize a non-leaf Tensor"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint where the program ended so."""
    graph = facts.graph
    for error in graph.errors:
        made = _made(facts, error) if _RAISED in error.message else None
        if made is None:
            continue
        value = made.outputs[0]
        name = facts.name(value)
        yield Complaint(
            Severity.ERROR,
            f"the optimizer of {facts.line(error.site)} cannot take `{name}`, which is no leaf: it is the result of "
            f"`{made.name}`",
            f"make the parameter last: `{name} = nn.Parameter(...)` around the result"
            if any(graph.ops[graph.values[leaf].op].name == "Parameter" for leaf in facts.leaves_behind([value]))
            else f"leave `requires_grad=True` out of what it is made from, and call `requires_grad_()` on the result: "
            f"`{name} = (...).requires_grad_()`",
            made.site,
            (value,),
            ((error.site, "the optimizer is made here"),),
        )


def _made(facts: Facts, error: Error) -> Op | None:
    """What made the tensor: the last result that requires grad, has a name and stands in the call, or before it."""
    graph = facts.graph
    for value in (*pointed_at(facts, error.site), *sorted(graph.values, reverse=True)):
        op = graph.ops[graph.values[value].op]
        if op.tracked and op.outputs[0] == value and graph.values[value].requires_grad and facts.name(value):
            return op
    return None
