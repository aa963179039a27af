"""A tensor that backward needs was overwritten through `.data`, where no version check sees it.

## What it does
Looks for in-place writes through `.data` to memory that a tracked operation saved, before the backward that reads it.

## Why is this bad
Nothing is raised, and the gradient is wrong.

## Example
    attention = scores.softmax(-1)
    attention.data[:, 2:] = 0

## Use instead
    attention = scores.softmax(-1) * mask
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Cause
from gradviz.graphs import Op

CODE = "GV303"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that writes so."""
    graph = facts.graph
    through = _through_data(facts)
    writes = [op for id in through if (op := graph.ops[id]).inplace and not op.tracked]
    if not writes:
        return
    savers = facts.once(_savers)
    told: set[int | None] = set()
    for write in writes:
        storage = graph.values[write.outputs[0]].storage
        for saver, name in savers.get(storage, ()):
            later = [i for i in facts.swept.get(saver.id, ()) if max(graph.sweeps[i].roots) > write.id]
            if saver.id < write.id and later and write.site not in told:
                told.add(write.site)
                values = facts.leaves_behind(saver.outputs)
                yield Complaint(
                    Severity.WARNING,
                    f"the gradient of {facts.subject(values)} is wrong: `{name}`, which `{saver.name}` saved at "
                    f"{facts.line(saver.site)}, was overwritten through `.data` at {facts.line(write.site)}",
                    "make a new tensor in place of writing into this one",
                    write.site,
                    values,
                    ((saver.site, "saved here"), (graph.sweeps[later[0]].site, "backward reads it here")),
                    "inplace_saved",
                )


def _through_data(facts: Facts) -> dict[int, None]:
    """The ops whose result is `.data` of something, or a view or a later version of such a result, by id."""
    graph = facts.graph
    found: dict[int, None] = {}
    for op in graph.ops.values():
        if op.alias is not None:
            above = op.inputs[op.alias]
            if op.cause is Cause.DATA or (isinstance(above, int) and graph.values[above].op in found):
                found[op.id] = None
    return found


def _savers(facts: Facts) -> dict[int, list[tuple[Op, str]]]:
    """By storage: the tracked ops that saved a tensor in it, and what that tensor is called."""
    graph = facts.graph
    found: dict[int, list[tuple[Op, str]]] = {}
    for op in graph.ops.values():
        for saved in op.saved:
            if saved.source is None or saved.is_gone:
                continue
            value = op.outputs[-1 - saved.source] if saved.source < 0 else op.inputs[saved.source]
            if isinstance(value, int):
                found.setdefault(graph.values[value].storage, []).append((op, facts.name(value) or saved.name))
    return found
