"""Gradients were clipped before there were any, or while a scaler had them scaled.

## What it does
Looks for calls of `clip_grad_norm_` that found no gradient at a parameter which the next backward gave one, and never
found one on that line. Besides, for calls between a backward and the `unscale_` of a `GradScaler`, which the scaler's
`step` calls where the program does not.

## Why is this bad
Before backward nothing is clipped, and the step takes the gradient as long as it is. Of gradients that are scaled by
65536 all are longer than the bound, so each step is clipped to next to nothing. Nothing is raised.

## Example
    clip_grad_norm_(model.parameters(), 1.0)
    loss.backward()
    optimizer.step()

## Use instead
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Act, Sweep

CODE = "GV412"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that clips too early."""
    graph = facts.graph
    met = {(act.site, facts.tensor(value)) for act in facts.acts("read_grad") for value in act.values}
    early: dict[int | None, dict[int, int]] = {}
    for act in facts.acts("clip"):
        for value in map(facts.tensor, act.values):
            parameter = facts.parameters.get(value)
            fed = parameter.gradients if parameter is not None else ()
            sweep = next((index for index, _ in fed if max(graph.sweeps[index].roots) >= act.after), None)
            if sweep is not None and (act.site, value) not in met:
                early.setdefault(act.site, {}).setdefault(value, sweep)
    for site, found in early.items():
        backward = graph.sweeps[min(found.values())].site
        yield Complaint(
            Severity.WARNING,
            f"nothing is clipped at {facts.line(site)}: {facts.subject(found)} had no gradient there, and the backward "
            f"at {facts.line(backward)} came after it",
            "clip between `backward` and `step`",
            site,
            tuple(found),
            ((backward, "the gradients come here"),),
        )
    for site, (unscaled, values) in _scaled(facts).items():
        optimizer = facts.graph.sites[unscaled].text if unscaled is not None else ""
        named = re.search(r"\w*\.(?:step|unscale_)\(\s*([\w.]+)", optimizer)
        yield Complaint(
            Severity.WARNING,
            f"gradients are clipped at {facts.line(site)} while they are scaled: the scaler divides them by its factor "
            f"at {facts.line(unscaled)}, after that",
            f"call `scaler.unscale_({named[1] if named else 'optimizer'})` before they are clipped",
            site,
            tuple(values),
            ((unscaled, "they are scaled back here"),),
        )


def _scaled(facts: Facts) -> dict[int | None, tuple[int | None, dict[int, None]]]:
    """By each line that clips scaled gradients: the one that scales them back afterwards, and the parameters."""
    waiting: dict[int | None, dict[int, None]] = {}
    found: dict[int | None, tuple[int | None, dict[int, None]]] = {}
    for item in facts.graph.order:
        if isinstance(item, Sweep):
            waiting = {}
        elif isinstance(item, Act) and item.kind == "read_grad":
            if clips(facts, item.site):
                waiting.setdefault(item.site, {}).update(dict.fromkeys(map(facts.tensor, item.values)))
        elif isinstance(item, Act) and item.kind == "unscale":
            for site, values in waiting.items():
                owned = {id: None for id in values if item.optimizer in facts.owners(id)}
                if owned:
                    found.setdefault(site, (item.site, {}))[1].update(owned)
            waiting = {}
    return found


def clips(facts: Facts, place: int | None) -> bool:
    """What stands at `place` is a call that clips gradients; of a call of several lines the first one says it."""
    site = facts.graph.sites.get(place) if place is not None else None
    if site is None:
        return False
    whole = site.column >= 0 and site.end_line == site.line
    return "clip_grad" in (site.text[site.column : site.end_column] if whole else site.text)
