"""A tensor was detached on the last road that a parameter had to the loss.

## What it does
Looks for `detach()` and `detach_()` behind which a trained parameter gets no gradient, or a term of the loss is a
constant. A detached use beside a living one is not reported: targets, running means and probes are made like that.

## Why is this bad
The parameter stays at its first values for ever, and nothing says so.

## Example
    features = encoder(x).detach()
    loss = head(features).sum()

## Use instead
    features = encoder(x)
    loss = head(features).sum()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.addends import last_sweeps
from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint
from gradviz.diagnose.lost import Lost
from gradviz.diagnose.surroundings import called_around
from gradviz.query import ancestors

CODE = "GV101"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "detach",
        _how,
        _help,
    )


def _how(facts: Facts, lost: Lost) -> str:
    within = called_around(facts, lost.site, "detach")
    return f"a `detach` inside of `{within}` at {{line}}" if within else "`detach()` at {line}"


def _help(facts: Facts, lost: Lost) -> str:
    graph = facts.graph
    within = called_around(facts, lost.site, "detach")
    if within:
        return f"look for an option of `{within}` that keeps the graph, or do without it where gradient is to pass"
    if lost.state == "starved":
        fed = [sweep for sweep in last_sweeps(facts) if lost.op in ancestors(graph, sweep.roots)]
        if len(fed) > 1:
            lines = " and ".join(facts.line(sweep.site) for sweep in fed)
            which = "both losses" if len(fed) == 2 else "several losses"
            trained = verb(lost.values, "this parameter", "these parameters")
            return f"{which} ({lines}) get the detached tensor: give the tensor itself to what is to train {trained}"
        if not graph.optimizers:
            return "remove the `detach()`, or freeze what is not to be trained with `requires_grad_(False)`"
        return "remove the `detach()`, or take these parameters out of the optimizer"
    return "remove the `detach()`"
