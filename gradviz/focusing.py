"""Focusing: the part of a graph around one scope, one value or one road, and the graph without its shadow.

Each function takes all of a graph and, as `part`, what is drawn where nothing else is asked for, mostly one iteration
of a training loop. What was asked for is looked up there first, and in all of the graph where it is not found.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from gradviz.columns import count_acting
from gradviz.errors import UsageError
from gradviz.events import Note
from gradviz.graphs import Graph, Op, Value
from gradviz.picture.composing import BADGES
from gradviz.picture.wording import Wording, clean, dots, join, plural, shorten
from gradviz.query import ancestors, consumers, cuts_between, descendants
from gradviz.roads import keeps_history
from gradviz.selecting import SELECTION, called

NAME_LIMIT = 200
"""Longest name that is compared with others."""

KNOWN_TOLD = 5
"""How many scopes an error lists where none is near the one that was asked for."""


def focus_scope(graph: Graph, part: Graph, name: str) -> Graph:
    """What ran in the scopes that are called `name`, or in those inside them.

    In `name`, `*` stands for anything (`encoder.layer.*.attention`), and its beginning can be left out. Where no module
    has such a scope, it is the name of a function: what ran in it, or was called from it. What comes in stands at the
    edge. Raises `UsageError` with near names where nothing ran there.
    """
    for matching, asked in ((_by_scope, name), (_by_scope, f"*.{name}"), (_by_function, name)):
        for some in (part, graph):
            chosen = matching(some, asked) if name else None
            if chosen:
                return _noting(graph, some.subset(chosen), f"those in `{shorten(name)}`")
    raise UsageError(f"nothing ran in a scope called `{clean(name)}`", help=_near_scope(graph, name))


def focus_around(graph: Graph, part: Graph, name: str, hops: int = 2) -> Graph:
    """The ops within `hops` ops of the value called `name`: those it came from and those that came from it.

    Raises `UsageError` with near names where there is no such value.
    """
    value = _preferred(graph, part, name)[0]
    some = part if value.id in part.values else graph
    chosen = _behind(some, value, hops) | _ahead(some, value, hops)
    return _noting(graph, some.subset(chosen), f"those within {plural(hops, 'op')} of `{shorten(name)}`")


def focus_path(graph: Graph, part: Graph, source: str, target: str) -> Graph:
    """Every op on a road that data took from the value called `source` to the one called `target`.

    A road that gradient cannot take back is one of them. Of several values of one name it is the last two that a road
    joins. Raises `UsageError` with near names where there is no such value, and where there is no road says where it
    ended.
    """
    sources, targets = _preferred(graph, part, source), _preferred(graph, part, target)
    for some in (part, graph):
        ends = _joined(some, _within(some, sources), _within(some, targets))
        if ends is not None:
            start, end = ends
            chosen = descendants(some, [start.id]) & ancestors(some, [end.id])
            told = f"those between `{shorten(source)}` and `{shorten(target)}`"
            return _noting(graph, some.subset(chosen), told + _cuts_told(some, start, end))
    raise _no_road(graph, sources, targets, source, target)


def without_shadow(graph: Graph, also: Collection[int] = ()) -> Graph:
    """`graph` without what autograd does not keep: skipped ops, and data that left for Python.

    A cut that the program wrote down (`detach`, ...) stays, and so do the roots of sweeps, the values that an error is
    about, and the ops `also` with what leads from them to a root. What an op of the rest uses stands at its edge.
    """
    roots = {root for sweep in graph.sweeps for root in sweep.roots}
    told = roots | {value for sweep in graph.sweeps for value in sweep.concerned}
    told |= {value for error in graph.errors for value in error.values}
    stay = {graph.values[value].op for value in told} | set(also)
    blamed = [output for id in also for output in graph.ops[id].outputs]
    stay |= descendants(graph, blamed) & ancestors(graph, roots) if blamed else set()
    left = [op for op in graph.ops.values() if op.id not in stay and _is_shadow(graph, op)]
    if not left:
        return graph
    chosen = graph.ops.keys() - {op.id for op in left}
    # A leaf that only the shadow used goes with it.
    chosen -= _idle(graph, chosen) - _idle(graph, graph.ops.keys()) - stay
    exits = sum(1 for op in left if not op.outputs)
    ops = len(left) - exits
    cuts = sum(1 for op in left if op.outputs and op.cause is not None)
    what = join([f"{plural(ops, 'op')} without gradient"] * bool(ops) + [_left_for_python(exits)] * bool(exits))
    among = f", {cuts:,} of them cuts," if cuts else ""
    text = f"{what}{among} {'is' if len(left) == 1 else 'are'} left out by `--no-shadow`"
    part = graph.subset(chosen)
    return replace(part, notes=(*part.notes, Note("shadow", text)))


def _idle(graph: Graph, ops: Collection[int]) -> set[int]:
    """Those of `ops` that make leaves which none of `ops` uses."""
    used = {graph.values[item].op for id in ops for item in graph.ops[id].value_inputs}
    return {id for id in ops if graph.ops[id].is_source and id not in used}


def _left_for_python(count: int) -> str:
    return f"{plural(count, 'value')} that left for Python"


def _is_shadow(graph: Graph, op: Op) -> bool:
    """Autograd keeps nothing of the op, and the program did not ask for a cut there."""
    if op.tracked or op.is_source or keeps_history(graph, op):
        return False
    return not op.outputs or op.cause not in BADGES


def _noting(graph: Graph, part: Graph, told: str) -> Graph:
    """`part`, with a note that says how much of `graph` it is and what was asked for."""
    drawn, all_ops = count_acting(part.ops), count_acting(graph.ops)
    note = Note(SELECTION, f"{drawn:,} of {all_ops:,} ops are drawn, {told}; `--all` draws everything")
    return replace(part, notes=(*(n for n in part.notes if n.kind != SELECTION), note))


# scopes and functions


def _by_scope(graph: Graph, name: str) -> set[int]:
    """The ops of the scopes that match `name`, and of those inside them."""
    plain = name.replace("[", "[[]").replace("?", "[?]")
    scopes = {op.scope for op in graph.ops.values()}
    matching = {scope for scope in scopes if fnmatchcase(scope, plain) or fnmatchcase(scope, f"{plain}.*")}
    return {op.id for op in graph.ops.values() if op.scope and op.scope in matching}


def _by_function(graph: Graph, name: str) -> set[int]:
    """The ops that ran in a function called `name`, or below a call that it made."""
    inside: dict[int | None, bool] = {None: False}
    for id in graph.sites:
        road: list[int] = []
        step: int | None = id
        while step not in inside and step is not None and not _is_called(graph.sites[step].function, name):
            road.append(step)
            step = graph.sites[step].caller
        within = inside.get(step, True)
        inside.update(dict.fromkeys(road if step is None else [*road, step], within))
    return {op.id for op in graph.ops.values() if inside[op.site] and op.inputs}


def _is_called(function: str, name: str) -> bool:
    """A method or an inner function goes by its own name as well as with what it is part of."""
    return function == name or function.endswith(f".{name}")


def _near_scope(graph: Graph, name: str) -> str:
    """The scopes, and the functions, that the user may have meant."""
    known: dict[str, None] = {}
    for scope in dict.fromkeys(op.scope for op in graph.ops.values()):
        parts = scope.split(".") if scope else []
        known.update(dict.fromkeys(".".join(parts[:depth]) for depth in range(1, len(parts) + 1)))
    functions = (site.function.rpartition("<locals>.")[2] for site in graph.sites.values())
    known.update(dict.fromkeys(function for function in functions if "<" not in function))
    if not known:
        return "the program has neither modules nor functions: leave `--focus` out"
    short = name[-NAME_LIMIT:]
    near = [scope for scope in known if scope.endswith(f".{short}")][:3]
    near = near or difflib.get_close_matches(short, [scope for scope in known if len(scope) <= NAME_LIMIT], n=3)
    if near:
        return "did you mean " + " or ".join(f"`{shorten(scope)}`" for scope in near) + "?"
    listed = ", ".join(f"`{shorten(scope)}`" for scope in [*known][:KNOWN_TOLD])
    return f"there are {listed}" + (f" and {len(known) - KNOWN_TOLD:,} more" if len(known) > KNOWN_TOLD else "")


# values and roads


def _preferred(graph: Graph, part: Graph, name: str) -> Sequence[Value]:
    """The values called `name`, those in `part` before the others."""
    return sorted(called(graph, name), key=lambda value: value.id not in part.values)


def _within(graph: Graph, values: Sequence[Value]) -> list[Value]:
    return [value for value in values if value.id in graph.values]


def _behind(graph: Graph, value: Value, hops: int) -> set[int]:
    """The op that made `value`, and those from which data came to it, `hops` in a row at most."""
    found: set[int] = set()
    level = {value.op}
    for _ in range(hops):
        found |= level
        level = {graph.values[item].op for id in level for item in graph.ops[id].value_inputs} - found
        if not level:
            break
    return found


def _ahead(graph: Graph, value: Value, hops: int) -> set[int]:
    """The ops that data of `value` went to, `hops` in a row at most."""
    users = consumers(graph)
    found: set[int] = set()
    level = set(users[value.id])
    for _ in range(hops):
        found |= level
        level = {user for id in level for output in graph.ops[id].outputs for user in users[output]} - found
        if not level:
            break
    return found


def _joined(graph: Graph, sources: Sequence[Value], targets: Sequence[Value]) -> tuple[Value, Value] | None:
    """The first of `targets` that one of `sources` leads to, and the first of those that lead there."""
    following = descendants(graph, [source.id for source in sources])
    target = next((value for value in targets if value.op in following), None)
    if target is None:
        return None
    used = {item for id in ancestors(graph, [target.id]) for item in graph.ops[id].value_inputs}
    return next(source for source in sources if source.id in used), target


def _cuts_told(graph: Graph, start: Value, end: Value) -> str:
    """`, where gradient is cut by detach at line 9`, or empty where nothing on the road cuts it."""
    words = Wording(graph)
    cuts = [(cut.cause, words.line(cut.site)) for cut in cuts_between(graph, start.id, end.id)]
    told = [f"{cause} at {line}" if line else str(cause) for cause, line in dict.fromkeys(cuts)]
    return f", where gradient is cut by {join(told)}" if told else ""


def _no_road(
    graph: Graph, sources: Sequence[Value], targets: Sequence[Value], source: str, target: str
) -> UsageError:
    """What to say where no road leads from one value to the other: where it ended."""
    message = f"no road leads from `{shorten(source)}` to `{shorten(target)}`"
    if _joined(graph, targets, sources) is not None:
        return UsageError(message, help=f"data flowed the other way: `--path {shorten(target)} {shorten(source)}`")
    words = Wording(graph)
    following = [graph.ops[id] for id in sorted(descendants(graph, [value.id for value in sources]))]
    before = [op for op in following if not op.outputs and op.id < targets[0].op]
    if before:
        ended = f"its data left for Python by {dots(f'`{clean(before[-1].name)}`', words.line(before[-1].site))}"
    elif following:
        last = following[-1]
        made = f"`{words.value(last.outputs[0])}`" if last.outputs else f"`{clean(last.name)}`"
        ended = f"the last that came of it is {dots(made, words.line(last.site))}"
    else:
        ended = "nothing used it"
    return UsageError(f"{message}: {ended}", help=f"`--of {shorten(target)}` shows where `{shorten(target)}` came from")
