"""A module wrote into its input, and the caller read the input again.

## What it does
Notes in-place operations of a module on a tensor that was made outside of the module's parent and is read outside of it
again afterwards, such as the `ReLU(inplace=True)` that begins a residual branch.

## Why is this bad
The skip connection adds the rectified input. Nothing is raised and the gradients fit; it is another network.

## Example
    branch = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(8, 8, 1))
    out = x + branch(x)

## Use instead
    branch = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 1))
    out = x + branch(x)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.surroundings import module_site

CODE = "GV304"


def check(facts: Facts) -> Iterator[Complaint]:
    """One note for each place that writes so."""
    graph = facts.graph
    told: set[int | None] = set()
    for op in graph.ops.values():
        parent = op.scope.rpartition(".")[0]
        before = op.inputs[op.alias or 0] if op.inplace and op.tracked and op.inputs else None
        if not parent or not isinstance(before, int) or op.site in told:
            continue
        if _within(graph.ops[graph.values[before].op].scope, parent):
            continue
        readers = [graph.ops[id] for id in facts.consumers.get(op.outputs[0], ())]
        outside = [reader for reader in readers if not _within(reader.scope, parent)]
        if outside and len(outside) < len(readers):
            told.add(op.site)
            made = module_site(facts, op)
            name = facts.name(op.outputs[0]) or facts.name(before) or "its input"
            yield Complaint(
                Severity.NOTE,
                f"`{name}` was changed in place by `{op.name}` in `{op.scope}` at {facts.line(op.site)} and read again "
                f"at {facts.line(outside[0].site)}",
                "pass `inplace=False`, unless the changed tensor is meant",
                op.site if made is None else made,
                (before,),
                ((op.site, "changed here"), (outside[0].site, "read again here")),
            )


def _within(scope: str, module: str) -> bool:
    return scope == module or scope.startswith(module + ".")
