"""Foresight: why no gradient would come to some leaves if backward started at a value now."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from gradviz.diagnose import diagnose
from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Finding, Severity, place
from gradviz.events import Act, Gradient, Optimizer, Sweep
from gradviz.graphs import Cut, Graph
from gradviz.query import gradient_inputs

_RULES = ("GV1", "GV2", "GV401")
"""Rules on roads that are cut, on grad modes, and on what nothing uses."""


def foresee(graph: Graph, root: int, wanted: Collection[int]) -> tuple[Finding, ...]:
    """Why no gradient of `root` comes to the leaves `wanted`, each of which is among the `values` of some finding.

    The rules are asked about a backward from `root`, for an optimizer that owns those leaves; what the program did with
    gradients so far has no say. What no rule explains is told by where its last road ends. All findings are errors.
    """
    facts = Facts(graph)
    leaves = tuple(sorted({facts.tensor(leaf) for leaf in wanted}))
    if not leaves:
        return ()
    starts = graph.values[root].requires_grad
    gradients = tuple(Gradient(leaf, 1.0) for leaf in facts.leaves_behind([root])) if starts else ()
    backward = Sweep(0, "backward", (root,), gradients=gradients, error="" if starts else "it has no grad_fn")
    owner = Optimizer(0, "", leaves)
    step = Act("step", owner.values, optimizer=owner.id, after=max(graph.values))
    imagined = replace(graph, sweeps=(backward,), optimizers=(owner,), acts=(step,))
    found = [
        replace(finding, severity=Severity.ERROR, message=_without_optimizer(finding.message))
        for finding in diagnose(imagined, select=_RULES)
        if not set(leaves).isdisjoint(finding.values)
    ]
    explained = {value for finding in found for value in finding.values}
    return (*found, *_road_ends(facts, [leaf for leaf in leaves if leaf not in explained]))


def _without_optimizer(message: str) -> str:
    """What a rule says of parameters in the optimizer, said of parameters for which it was imagined."""
    for be, get in (("is", "gets"), ("are", "get")):
        message = message.replace(f" {be} in the optimizer but got no", f" {get} no")
        message = message.replace(f" {be} in the optimizer, but no", f" {get} no gradient: no")
    return message


def _road_ends(facts: Facts, leaves: Collection[int]) -> Iterator[Finding]:
    """One finding for each line on which the last road of some leaves ends, and one for those whose road is not cut."""
    last = _last_cuts(facts) if leaves else {}
    ends: dict[tuple[str, int | None], list[int]] = {}
    for leaf in leaves:
        versions = facts.parameters[leaf].versions if leaf in facts.parameters else (leaf,)
        cut = max((last[version] for version in versions if version in last), key=lambda cut: cut.op, default=None)
        ends.setdefault((cut.cause.value, cut.site) if cut is not None else ("", None), []).append(leaf)
    for (cause, site), values in ends.items():
        subject, it = facts.subject(values), verb(values, "it", "them")
        if cause:
            message = f"no gradient comes to {subject}: the road from {it} ends in `{cause}` at {facts.line(site)}"
            help = "go on with the tensor itself from there to the loss"
        else:
            message = f"no gradient comes to {subject}: no operation leads from {it} to the loss"
            help = f"use {it} in what the loss is made of"
        where: dict[str, Any] = place(facts.graph.sites.get(site) if site is not None else None)
        yield Finding(
            "", cause, Severity.ERROR, message, help, **where, names=facts.names(values), values=tuple(values)
        )


def _last_cuts(facts: Facts) -> dict[int, Cut]:
    """For each value the last cut that a gradient on its way to it would have had to pass."""
    last: dict[int, Cut] = {}
    for cut in facts.graph.cuts:
        last[cut.value] = max(last.get(cut.value, cut), cut, key=lambda cut: cut.op)
    for id in sorted(facts.graph.ops, reverse=True):
        op = facts.graph.ops[id]
        met = [last[output] for output in op.outputs if output in last]
        for item in gradient_inputs(facts.graph, op) if met else ():
            last[item] = max([*met, last.get(item, met[0])], key=lambda cut: cut.op)
    return last
