"""A value was computed from trained parameters and never reached a backward.

## What it does
Looks for trained parameters without a gradient whose operations are all tracked, but lead to a value that no sweep
starts from or passes, or whose numbers alone were copied into another tensor (`.data = ...`, `load_state_dict`). Notes
them where that value is a result of a library's module that gave the loss another one.

## Why is this bad
A loss term that is built and logged, but not added to what is differentiated, trains nothing.

## Example
    loss = main + 0.1 * auxiliary
    main.backward()

## Use instead
    loss = main + 0.1 * auxiliary
    loss.backward()
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradviz.diagnose.addends import addends
from gradviz.diagnose.copying import copy_of
from gradviz.diagnose.facts import Facts, shared_owner, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import lost_roads, starved_parameters
from gradviz.diagnose.surroundings import called_around, statements
from gradviz.events import Cause
from gradviz.graphs import Op
from gradviz.withholding import hands_on_integers

CODE = "GV406"

_TRANSFORMS = frozenset({"grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp", "vmap"})
"""Functions of `torch.func` that differentiate a function, or run one that does."""


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each value that was left out."""
    graph = facts.graph
    explained = {value for lost in lost_roads(facts) for value in lost.values}
    ends: dict[int, list[int]] = {}
    for parameter in starved_parameters(facts):
        uses = facts.uses(parameter)
        if parameter.id in explained or not uses or any(use in facts.swept for use in uses):
            continue
        if not parameter.owners and all(graph.ops[use].name in _TRANSFORMS for use in uses):
            continue  # its gradient is what the transform gives
        last = max(facts.farthest[version] for version in parameter.versions if version in facts.farthest)
        end = graph.ops[last].outputs[0]
        ends.setdefault(end, []).append(parameter.id)
    for end, values in ends.items():
        name = facts.name(end)
        site = facts.maker_site(end)
        op = graph.ops[graph.values[end].op]
        if hands_on_integers(graph, op, facts.consumers):
            yield Complaint(
                Severity.ERROR,
                f"{facts.subject(values)} got no gradient: {verb(values, 'it', 'they')} only went into `{op.name}` "
                f"({facts.line(site)}), and of what that gives, only the indices were used",
                f"use the values that `{op.name}` gives beside the indices, such as by multiplying by them",
                site,
                tuple(values),
            )
            continue
        copied = copy_of(facts, end)
        if copied is not None:
            told = copied.told.format(it=verb(values, "it", "them"), they=verb(values, "it", "they"))
            yield Complaint(
                Severity.ERROR,
                f"{facts.subject(values)} got no gradient: {told}",
                copied.help,
                copied.site,
                tuple(values),
                tuple((sweep.site, "backward starts here") for sweep in graph.sweeps[-1:]),
            )
            continue
        within = "" if name else _unasked_in(facts, op)
        if within:
            yield Complaint(
                Severity.NOTE,
                f"{facts.subject(values)} got no gradient: {verb(values, 'it', 'they')} only went into `{op.name}` "
                f"inside of `{within}` ({facts.line(site)}), which no loss uses: one uses what else that gave",
                "nothing, if that is meant; else use what is made of "
                f"{verb(values, 'it', 'them')}; under DistributedDataParallel pass `find_unused_parameters=True`",
                site,
                tuple(values),
            )
            continue
        returned = _returned_instead(facts, end)
        number = next((op for id in facts.consumers.get(end, ()) if (op := graph.ops[id]).name == "item"), None)
        taken = ((number.site, "only its number was taken here"),) if number is not None else ()
        yield Complaint(
            Severity.ERROR,
            f"{facts.subject(values)} got no gradient: {verb(values, 'it', 'they')} only went into "
            f"`{name or graph.ops[graph.values[end].op].name}` ({facts.line(site)}), which no backward started from"
            + (f": {facts.line(returned)} returns something else" if returned is not None else ""),
            f"return `{name}`" if returned is not None else _help(facts, end, as_number=bool(taken)),
            site if returned is None else returned,
            tuple(values),
            ((site, "left out here"), *taken, *((sweep.site, "backward starts here") for sweep in graph.sweeps[-1:])),
        )


def _unasked_in(facts: Facts, op: Op) -> str:
    """The library's module that a line of the user's calls and that ran `op`, where a loss uses what else it gave.

    What such a module gives besides, such as what a pooler makes of the hidden states, is for those who ask for it.
    """
    graph = facts.graph
    call = graph.sites.get(op.site) if op.site is not None else None
    if call is None:
        return ""
    # Whoever called the function that it stands in.
    alike = {id for id, site in graph.sites.items() if replace(site, id=call.id, caller=call.caller) == call}
    together = [other for other in graph.ops.values() if other.site in alike]
    if facts.swept.keys().isdisjoint(other.id for other in together):
        return ""
    called = shared_owner([f"{other.scope}." for other in together])
    is_module = called in {other.scope for other in together} | {module.scope for module in graph.modules}
    return called_around(facts, op.site, op.name) or called if called and is_module else ""


def _help(facts: Facts, end: int, *, as_number: bool) -> str:
    """What to do with `end`: start backward there if a part of it was the root, else add it to the loss."""
    name = facts.name(end)
    taken = _taken_by_data(facts, end)
    if name and taken is not None:
        return f"use `{name}` in place of `{name}.data` at {facts.line(taken.site)}, which has none of its history"
    parts, _, _ = addends(facts, [end])
    for sweep in reversed(facts.graph.sweeps):
        part = next((facts.name(root) for root in sweep.roots if root in parts and facts.name(root)), "")
        if name and part and part != name:
            return f"call `{name}.backward()` in place of `{part}.backward()` at {facts.line(sweep.site)}"
    if as_number:
        return f"add {f'`{name}`' if name else 'the tensor'} itself to the loss, not its number"
    return f"add `{name}` to the loss, or call backward on it too" if name else "add it to the loss"


def _taken_by_data(facts: Facts, end: int) -> Op | None:
    """Where `end.data` is asked for and goes on into memory that a backward started from: `total.data += loss.data`."""
    graph = facts.graph
    fed = {graph.values[value].storage for value in facts.feeding}
    for op in (graph.ops[id] for id in facts.consumers.get(end, ())):
        users = [user for output in op.outputs for user in facts.consumers.get(output, ())]
        written = {graph.values[made].storage for user in users for made in graph.ops[user].outputs}
        if op.cause is Cause.DATA and not fed.isdisjoint(written):
            return op
    return None


def _returned_instead(facts: Facts, end: int) -> int | None:
    """The `return` that gives back a part of `end`, from which backward started, in place of `end` itself."""
    graph = facts.graph
    site = facts.maker_site(end)
    target = graph.sites[site].target if site is not None else ""
    returns = statements(facts, "return", site)
    if not target or any(target in statement.names for statement in returns):
        return None
    parts, _, _ = addends(facts, [end])
    roots = {root for sweep in graph.sweeps for root in sweep.roots} & parts
    names = {graph.sites[made].target for root in roots if (made := facts.maker_site(root)) is not None}
    return next((statement.site for statement in returns if not names.isdisjoint(statement.names)), None)
