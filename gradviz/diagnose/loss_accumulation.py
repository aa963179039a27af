"""A total of losses, or a list of results, keeps the graph of every step alive.

## What it does
Looks for a sum that was carried over three or more steps with its history and that no backward used, and for lists that
hold a tracked result of each of several steps.

## Why is this bad
Each graph, and every tensor that it saved, stays in memory until the total or the list goes.

## Example
    total += loss

## Use instead
    total += loss.item()
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.held import held_bytes
from gradviz.diagnose.surroundings import fill_of
from gradviz.picture.wording import plural
from gradviz.query import gradient_inputs

CODE = "GV503"
STEPS = 3


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each total and each list."""
    yield from _totals(facts)
    yield from _lists(facts)


def _totals(facts: Facts) -> Iterator[Complaint]:
    graph = facts.graph
    length: dict[int, int] = {}
    if not graph.sweeps:
        return
    for op in graph.ops.values():
        if op.tracked and op.name in ("add", "sub") and op.outputs and op.id not in facts.swept:
            before = [graph.ops[graph.values[item].op] for item in gradient_inputs(graph, op)]
            grown = max((length.get(past.id, 0) for past in before if past.site == op.site), default=0)
            length[op.id] = grown + 1
    ends = {graph.ops[id].site: id for id, steps in length.items() if steps >= STEPS}
    for site, id in ends.items():
        total = graph.ops[id].outputs[0]
        makers = {graph.values[item].op: item for item in gradient_inputs(graph, graph.ops[id])}
        summed = [item for maker, item in makers.items() if graph.ops[maker].site != site]
        if facts.behind(summed) & {maker for maker in makers if graph.ops[maker].site == site}:
            continue  # a residual connection: what is added comes from the sum so far
        name = facts.name(total) or graph.ops[id].name
        item = facts.name(summed[-1]) if summed else ""
        added = f"`{item}`" if item else "a value without a name"
        yield Complaint(
            Severity.WARNING,
            f"`{name}` keeps the graphs of {plural(length[id], 'step')} alive{_held(facts, [total])}: "
            f"{facts.line(site)} adds {added} to it with its history",
            f"add `{item}.item()` or `{item}.detach()` in place of `{item}`"
            if item
            else "call `.item()` or `.detach()` on it before it is added",
            site,
            (total,),
        )


def _lists(facts: Facts) -> Iterator[Complaint]:
    graph = facts.graph
    ends = sorted({max(sweep.roots) for sweep in graph.sweeps if sweep.roots})
    for container, values in containers(facts).items():
        by_maker: dict[int | None, list[int]] = {}
        for value in values:
            if graph.values[value].requires_grad and not graph.values[value].leaf:
                by_maker.setdefault(facts.maker_site(value), []).append(value)
        kept = [value for alike in by_maker.values() if _steps(facts, ends, alike) >= STEPS for value in alike]
        if not kept:
            continue
        fill = fill_of(facts, container, kept)
        made = facts.maker_site(kept[-1])
        site = made if fill is None else fill.site
        steps = len({bisect_left(ends, value) for value in kept})
        yield Complaint(
            Severity.WARNING,
            f"`{container}` holds {plural(len(kept), 'tensor')} made at {facts.line(made)}"
            + (f" in {steps} steps" if steps > 1 else "")
            + (f" and put there at {facts.line(site)}" if site != made else "")
            + f", each with the graph that made it{_held(facts, kept)}"
            + ("" if any(graph.values[value].op in facts.swept for value in kept) else ", which no backward used"),
            f"keep it detached: `{_called(facts, kept)}.detach()`, or compute it under `torch.no_grad()`",
            site,
            (),
            ((made, "made here"),),
            named=(container,),
        )


def _called(facts: Facts, values: list[int]) -> str:
    """The variable that all of `values` were in before they were put away; `x` where there is no one name for it."""
    graph = facts.graph
    makers = {facts.maker_site(value) for value in values}
    alike = [value for value in graph.values if facts.maker_site(value) in makers] if len(makers) == 1 else []
    names = [name for value in reversed(alike) if (name := facts.name(value)).isidentifier()]
    return names[0] if names else "x"


def _held(facts: Facts, values: list[int]) -> str:
    """What the graphs behind `values` still keep in memory, where that is anything."""
    held = held_bytes(facts, facts.behind(values))
    return f" ({held:,} bytes saved for backward)" if held else ""


def _steps(facts: Facts, ends: list[int], values: list[int]) -> int:
    """In how many steps `values` were made. Where no backward ran or used them, each may be one."""
    if not ends:
        return len(values)
    return len({bisect_left(ends, value) for value in values})


def containers(facts: Facts) -> dict[str, list[int]]:
    """The values that lists and the like hold at the end, by the outermost one that has the most entries of them."""
    entries: dict[str, set[str]] = {}
    places: dict[int, list[tuple[str, str]]] = {}
    last = {value.name: value for value in facts.graph.values.values() if value.name.find("[") > 0}
    for value in last.values():  # what had the name before is not there any more
        found = [(value.name[: match.start()], match[0]) for match in re.finditer(r"\[\d+\]", value.name)]
        if found:
            places[value.id] = found
            for container, entry in found:
                entries.setdefault(container, set()).add(entry)
    held: dict[str, list[int]] = {}
    for value_id, found in places.items():
        held.setdefault(max(found, key=lambda place: len(entries[place[0]]))[0], []).append(value_id)
    return held
