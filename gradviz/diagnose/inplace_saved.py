"""A tensor that backward needs was changed in place.

## What it does
Looks for a backward that raised because a saved tensor had a newer version, and names the write. Where the write is an
optimizer's step and the tensor was saved in the step before, a state carries the graph over, and that is named.

## Why is this bad
The gradient would be computed from numbers that are not those of the forward pass. PyTorch says which tensor, not which
line changed it.

## Example
    y = w.exp()
    y += 1
    y.sum().backward()

## Use instead
    y = w.exp()
    y = y + 1
    y.sum().backward()
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.backward_twice import carried_over
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Sweep
from gradviz.graphs import Op
from gradviz.query import gradient_inputs

CODE = "GV301"
RAISED = "modified by an inplace operation"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each backward that raised for this."""
    graph = facts.graph
    for index, sweep in enumerate(graph.sweeps):
        if RAISED not in sweep.error:
            continue
        told = [value for value in sweep.concerned if value in graph.values] or _deduced(facts, index)
        writes = [value for value in told if graph.ops[graph.values[value].op].inplace]
        looked_up = _looked_up(facts, index) if not writes else None
        if looked_up is not None:
            yield _renormed(facts, sweep, *looked_up)
            continue
        if not writes:
            yield Complaint(
                Severity.ERROR,
                "backward needs a tensor as it was when it was saved, but it was changed in place since",
                "use an out-of-place form of the change, or move it after `backward()`",
                sweep.site,
            )
            continue
        written, write = writes[-1], graph.ops[graph.values[writes[-1]].op]
        saver = next((graph.ops[graph.values[value].op] for value in told if value not in writes), None)
        carried = _carried(facts, index, saver) if write.name == "step" and saver is not None else None
        if saver is not None and carried is not None:
            state = facts.lasting_name(carried)
            yield Complaint(
                Severity.ERROR,
                f"`{state}` carries the graph of the step before into this one: backward at {facts.line(sweep.site)} "
                f"comes through it, made at {facts.line(facts.maker_site(carried))}, to parameters that `step` at "
                f"{facts.line(write.site)} has changed since",
                f"detach it at the end of the step: {facts.detaching(carried)}; then `retain_graph` is not needed",
                facts.maker_site(carried),
                (),
                ((write.site, "changed here"), (sweep.site, "backward comes to it here")),
                named=(state,),
            )
            continue
        name = facts.name(written) or facts.name(graph.values[written].storage)
        saved = f" after `{saver.name}` saved it at {facts.line(saver.site)}" if saver is not None else ""
        related: list[tuple[int | None, str]] = (
            [(saver.site, f"`{saver.name}` saved it here")] if saver is not None else []
        )
        yield Complaint(
            Severity.ERROR,
            f"`{name or 'a tensor'}` was changed in place by `{write.name}` at {facts.line(write.site)}{saved}, and "
            f"backward at {facts.line(sweep.site)} needs it as it was",
            _help(write.name, name),
            write.site,
            (written,),
            (*related, (sweep.site, "backward needs it here")),
        )


def _looked_up(facts: Facts, index: int) -> tuple[Op, Op] | None:
    """An `embedding` with `max_norm`, which shortens rows in place, and an earlier op that used the same rows."""
    graph, walked = facts.graph, facts.walked(index)
    for id in sorted(walked, reverse=True):
        op = graph.ops[id]
        limited = any(name == "max_norm" and text != "None" for name, text in op.attrs)
        rows = gradient_inputs(graph, op) if limited and op.name in ("embedding", "embedding_bag") else ()
        users = [user for item in rows for user in facts.consumers[item] if user < id and user in walked]
        if users:
            return op, graph.ops[users[0]]
    return None


def _renormed(facts: Facts, sweep: Sweep, op: Op, user: Op) -> Complaint:
    rows = gradient_inputs(facts.graph, op)
    name = facts.name(rows[0]) or "the table"
    return Complaint(
        Severity.ERROR,
        f"`{name}` was changed in place by `{op.name}` at {facts.line(op.site)}, which shortens rows to `max_norm`, "
        f"after `{user.name}` used it at {facts.line(user.site)}",
        f"give the earlier use a copy, `{name}.clone()`, or look the rows up first",
        op.site,
        rows,
        ((user.site, "used here"), (sweep.site, "backward needs it here")),
    )


def _carried(facts: Facts, index: int, saver: Op) -> int | None:
    """The value by which a sweep comes to what `saver` saved for an earlier turn of the same loop; None for no loop."""
    graph = facts.graph
    site = graph.sweeps[index].site
    turns = [at for at in facts.swept.get(saver.id, ()) if at < index and graph.sweeps[at].site == site]
    older = frozenset().union(*(facts.walked(at) for at in turns))
    return carried_over(facts, facts.walked(index) - older, older)


def _deduced(facts: Facts, index: int) -> list[int]:
    """What a node of the sweep saved and what was written over it, by the shape and the version in the error's text."""
    graph = facts.graph
    told = re.search(r"\[\S*Tensor \[([\d, ]*)\]\].* is at version (\d+)", graph.sweeps[index].error)
    if told is None:
        return []
    shape, version = tuple(int(part) for part in told[1].split(",") if part.strip()), int(told[2])
    writes = [op for op in graph.ops.values() if op.inplace and op.outputs]
    written = {graph.values[op.outputs[0]].storage: op.outputs[0] for op in writes}
    for id in sorted(facts.walked(index), reverse=True):
        op = graph.ops[id]
        for saved in op.saved:
            if saved.source is None or saved.shape != shape:
                continue
            held = op.outputs[-1 - saved.source] if saved.source < 0 else op.inputs[saved.source]
            over = written.get(graph.values[held].storage) if isinstance(held, int) else None
            if over is not None and over > id and graph.values[over].version == version:
                return [op.outputs[0], over]
    return []


def _help(op: str, name: str) -> str:
    if op == "step":
        return "run every backward that uses these parameters before `step()`, or run the forward pass again after it"
    return f"write the result to a new tensor in place of `{name or 'it'}`, or move the change after `backward()`"
