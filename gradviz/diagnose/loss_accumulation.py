"""A total of losses, or a list of results, keeps the graph of every step alive.

## What it does
Looks for a sum, or a moving average, that was carried over three or more steps with its history and that no backward
used, and for lists that hold a tracked result of each of several steps.

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
from dataclasses import dataclass

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.held import held_bytes
from gradviz.diagnose.surroundings import fill_of
from gradviz.events import Statement
from gradviz.picture.wording import join, plural
from gradviz.query import gradient_inputs

CODE = "GV503"
STEPS = 3


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each total and each list."""
    yield from _totals(facts)
    yield from _lists(facts)


def _totals(facts: Facts) -> Iterator[Complaint]:
    graph = facts.graph
    sums: dict[int, _Sum] = {}
    if not graph.sweeps:
        return
    for op in graph.ops.values():
        if not op.tracked or not op.outputs or op.id in facts.swept:
            continue
        inputs = gradient_inputs(graph, op)
        before = [sums.get(graph.values[item].op) for item in inputs]
        if op.name in ("add", "sub"):
            grown = max((past for past in before if past and past.site == op.site), key=_steps_of, default=None)
            carried = inputs[before.index(grown)] if grown else None
            sums[op.id] = _Sum(op.site, op.id, 1 + _steps_of(grown), tuple(v for v in inputs if v != carried))
        elif op.name in ("mul", "div") and len(inputs) == 1 and before[0]:
            sums[op.id] = before[0]  # a moving average: `total = 0.9 * total + loss`
    in_lists = {facts.maker_site(value) for kept in facts.once(_kept).values() for value in kept}
    ends = {total.site: total for total in sums.values() if total.steps >= STEPS}
    for site, total in ends.items():
        if facts.behind(total.summed) & {past.op for past in sums.values() if past.site == site}:
            continue  # a residual connection: what is added comes from the sum so far
        value = graph.ops[total.op].outputs[0]
        if total.summed and not facts.name(value) and in_lists.issuperset(map(facts.maker_site, total.summed)):
            continue  # such as the mean of a list: nothing keeps the sum, and the list is told of
        called = f"`{name}`" if (name := facts.name(value)) else "a sum"
        item = _unscaled(facts, total.summed[-1]) if total.summed else ""
        added = f"`{item}`" if item else "a value without a name"
        yield Complaint(
            Severity.WARNING,
            f"{called} keeps the graphs of {plural(total.steps, 'step')} alive{_held(facts, [value])}: "
            f"{facts.line(site)} adds {added} to it with its history",
            _cut_off(item, is_number=all(extent == 1 for extent in graph.values[value].shape)),
            site,
            (value,),
        )


def _cut_off(item: str, *, is_number: bool) -> str:
    """How to add what is called `item` without its history; `item()` is for numbers only."""
    ways = [f"`{item}.{way}()`" for way in (("item", "detach") if is_number else ("detach",))]
    if item:
        return f"add {' or '.join(ways)} in place of `{item}`"
    return f"call {' or '.join(ways)} on it before it is added"


@dataclass(frozen=True, slots=True)
class _Sum:
    """A sum as it stands after `op`, which added `summed` at `site`, for the time that `steps` says."""

    site: int | None
    op: int
    steps: int
    summed: tuple[int, ...]


def _steps_of(total: _Sum | None) -> int:
    return total.steps if total else 0


def _unscaled(facts: Facts, value: int) -> str:
    """The name of `value`, or of what it is a multiple of; empty for none."""
    graph = facts.graph
    op = graph.ops[graph.values[value].op]
    while not facts.name(value) and op.name in ("mul", "div") and len(gradient_inputs(graph, op)) == 1:
        value = gradient_inputs(graph, op)[0]
        op = graph.ops[graph.values[value].op]
    return facts.name(value)


def _lists(facts: Facts) -> Iterator[Complaint]:
    ends = _ends(facts)
    for container, held in facts.once(_kept).items():
        kept = list(held)
        fill = fill_of(facts, container, kept)
        kept += _still_in_its_variable(facts, kept, fill)
        made = facts.maker_site(kept[-1])
        site = made if fill is None else fill.site
        makers = {facts.maker_site(value) for value in kept}
        steps = max(_steps(facts, ends, [v for v in kept if facts.maker_site(v) == maker]) for maker in makers)
        steps = steps if ends else 1
        lines = join(list(dict.fromkeys(facts.line(facts.maker_site(value)) for value in kept)))
        yield Complaint(
            Severity.WARNING,
            f"`{container}` holds {plural(len(kept), 'tensor')} made at {lines}"
            + (f" in {steps} steps" if steps > 1 else "")
            + (f" and put there at {facts.line(site)}" if site != made else "")
            + f", each with the graph that made it{_held(facts, kept)}"
            + ("" if _is_swept(facts, kept) else ", which no backward used"),
            _help(facts, kept, _called(facts, kept, fill)),
            site,
            (),
            ((made, "made here"),),
            named=(container,),
        )


def _kept(facts: Facts) -> dict[str, list[int]]:
    """By container, the results of each of several steps that it holds with their history."""
    graph, ends = facts.graph, _ends(facts)
    found: dict[str, list[int]] = {}
    for container, values in containers(facts).items():
        by_maker: dict[int | None, list[int]] = {}
        for value in values:
            if graph.values[value].requires_grad and not graph.values[value].leaf:
                by_maker.setdefault(facts.maker_site(value), []).append(value)
        kept = [value for alike in by_maker.values() if _steps(facts, ends, alike) >= STEPS for value in alike]
        if kept:
            found[container] = kept
    return found


def _help(facts: Facts, kept: list[int], name: str) -> str:
    """What to keep instead; what a backward needs cannot be computed without a graph."""
    keep = f"keep `{name}.detach()` in its place" if name else "call `.detach()` on each before it is put there"
    return keep if _is_swept(facts, kept) else f"{keep}, or compute it under `torch.no_grad()`"


def _is_swept(facts: Facts, values: list[int]) -> bool:
    return any(facts.graph.values[value].op in facts.swept for value in values)


def _still_in_its_variable(facts: Facts, kept: list[int], fill: Statement | None) -> list[int]:
    """The last tensor of the container, which goes by the name of the variable that it was put there from."""
    if fill is None:
        return []
    makers = {facts.maker_site(value) for value in kept}
    later = [value for value in facts.graph.values if value > max(kept) and facts.maker_site(value) in makers]
    return [value for value in later if facts.graph.values[value].name in fill.names]


def _called(facts: Facts, values: list[int], fill: Statement | None) -> str:
    """The variable that all of `values` were in before they were put away; empty where there is no one name for it."""
    graph = facts.graph
    if fill is not None and len(fill.names) == 1 and fill.names[0] in _targets(facts, values):
        return fill.names[0]
    makers = {facts.maker_site(value) for value in values}
    alike = [value for value in graph.values if facts.maker_site(value) in makers] if len(makers) == 1 else []
    names = [name for value in reversed(alike) if (name := facts.name(value)).isidentifier()]
    return names[0] if names else ""


def _targets(facts: Facts, values: list[int]) -> set[str]:
    """What the lines that made `values` assign to."""
    sites = [facts.graph.sites[site] for value in values if (site := facts.maker_site(value)) is not None]
    return {site.target for site in sites}


def _held(facts: Facts, values: list[int]) -> str:
    """What the graphs behind `values` still keep in memory, where that is anything."""
    held = held_bytes(facts, facts.behind(values))
    return f" ({held:,} bytes saved for backward)" if held else ""


def _ends(facts: Facts) -> list[list[int]]:
    """For each line that calls backward, where its sweeps begin: one step may have several of those lines."""
    lines: dict[int | None, set[int]] = {}
    for sweep in facts.graph.sweeps:
        if sweep.roots:
            lines.setdefault(sweep.site, set()).add(max(sweep.roots))
    return [sorted(roots) for roots in lines.values()]


def _steps(facts: Facts, ends: list[list[int]], values: list[int]) -> int:
    """In how many steps `values`, of one line, were made. Where no backward ran or used them, each may be one."""
    if not ends:
        return len(values)
    return max(len({bisect_left(roots, value) for value in values}) for roots in ends)


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
