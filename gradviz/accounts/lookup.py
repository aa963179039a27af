"""Lookup: which value a user means by `model.fc.weight`, `fc.weight`, `loss`, or by the place `train.py:14`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from gradviz.accounts.records import Choice
from gradviz.accounts.steps import describe, title
from gradviz.diagnose import diagnose
from gradviz.diagnose.facts import Facts
from gradviz.errors import UsageError
from gradviz.events import Site
from gradviz.graphs import Graph, Op
from gradviz.picture.wording import Wording, clean, join, plural
from gradviz.query import gradient_inputs
from gradviz.targets import single_target, unpacked_target

_NEAR = 3
_LISTED = 5
_NAME_LIMIT = 60
_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?(?::(?P<what>[^:]+))?")


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: one value and what is to be remarked about the choice, or several to choose from."""

    value: int | None = None
    remarks: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()


def look_up(graph: Graph, name: str) -> Found:
    """The value that `name` means in `graph`.

    A name is a variable or the path of a parameter, whole or from some dot on, with `[0]` as good as `.0`; or a place,
    `train.py:14`, with a column and the name of the op or of its result behind it where that is needed. Where a
    variable held several values, the last one that went into a backward pass is meant. Raises `UsageError`, with near
    names, for what is not there, and with what a finding says of it for a list or another object that is no tensor.
    """
    facts = Facts(graph)
    place = _PLACE.fullmatch(name)
    if place is not None and any(_is_file(site, place["file"]) for site in graph.sites.values()):
        return _at(facts, name, place["file"], int(place["line"]), int(place["column"] or 0), place["what"] or "")
    names = _names(facts)
    wanted = _plain(name)
    found = names.get(wanted) or _by_ending(names, wanted)
    if not found:
        _tell_container(graph, wanted)
        near = _near(facts, names, name, place is not None)
        raise UsageError(f"there is no tensor called `{_one_line(name)}`", help=near)
    return _last(facts, found)


def _names(facts: Facts) -> dict[str, list[int]]:
    """The tensors by their names, oldest first; a name that only an assignment gave comes after one that is held."""
    held: dict[str, dict[int, None]] = {}
    assigned: dict[str, dict[int, None]] = {}
    for value in facts.graph.values.values():
        for name in dict.fromkeys((value.name, facts.name(value.id))):
            if name:
                held.setdefault(_plain(name), {})[value.id] = None
        op = facts.graph.ops[value.op]
        target = facts.graph.sites[op.site].target if op.site is not None else ""
        target = single_target(target) or unpacked_target(target, value.index, len(op.outputs))
        if target:
            assigned.setdefault(_plain(target), {})[value.id] = None
    return {name: list(ids) for name, ids in {**assigned, **held}.items()}


def _tell_container(graph: Graph, wanted: str) -> None:
    """Raise with what the first finding knows of `wanted`, if one names it."""
    for finding in diagnose(graph):
        if wanted in map(_plain, finding.names):
            at = Wording(graph, name_file=True).place(finding.path, finding.line)
            told = f"{finding.severity.value} {finding.code}{f' at {at}' if at else ''}: {finding.message}"
            raise UsageError(f"`{_one_line(wanted)}` is no tensor, but a finding names it, {told}", help=finding.help)


def _plain(name: str) -> str:
    """`model.layers.0.weight` for `model.layers[0].weight`."""
    return re.sub(r"\[(\d+)\]", r".\1", name.strip())


def _by_ending(names: dict[str, list[int]], wanted: str) -> list[int]:
    """The tensor whose path ends with `wanted`, where that is only one."""
    ending = [name for name in names if name.endswith(f".{wanted}")] if wanted else []
    ending = _without_own(ending)
    return names[ending[0]] if len(ending) == 1 else []


def _without_own(names: list[str]) -> list[str]:
    """`names` without a method's `self.scale` where one of them says whose that is: `net.scale`."""
    told = {name.rpartition(".")[2] for name in names if not name.startswith("self.")}
    return [name for name in names if not name.startswith("self.") or name.removeprefix("self.") not in told]


def _last(facts: Facts, values: list[int]) -> Found:
    """Of several values of one name the last that went into a backward pass, with a word on the others.

    A variable of the script itself goes before one of the same name in a function.
    """
    used = _used(facts, values)
    outer = [value for value in used if _function(facts, value) == "<module>"]
    chosen = (outer or used)[-1]
    made = [value for value in values if not facts.renews(_op(facts, value))]
    tensors = list(dict.fromkeys(facts.tensor(value) for value in made))
    if len(tensors) < 2:
        return Found(chosen)
    mine = facts.maker_site(facts.tensor(chosen))
    others = [facts.maker_site(tensor) for tensor in tensors]
    elsewhere = [where for site in others if (where := facts.wording.file_line(site)) != facts.wording.file_line(mine)]
    told = f"the last of {len(tensors):,} tensors of this name"
    if elsewhere:
        listed = join([f"`{where}`" for where in dict.fromkeys(elsewhere)])
        told = f"one of {len(tensors):,} tensors of this name; ask for the others by where they were made: {listed}"
    return Found(chosen, (told,))


def _function(facts: Facts, value: int) -> str:
    site = facts.graph.sites.get(facts.maker_site(facts.tensor(value)) or 0)
    return site.function if site is not None else ""


def _near(facts: Facts, names: dict[str, list[int]], name: str, is_place: bool) -> str:
    if is_place:
        files = sorted({PurePath(site.file).name for site in facts.graph.sites.values()})
        return f"the files are {join([f'`{file}`' for file in files], _LISTED)}" if files else ""
    known = _without_own(sorted(other for other in names if len(other) <= _NAME_LIMIT))
    if not known:
        return "no tensor has a name here; ask for a line, such as `train.py:14`"
    wanted = _plain(name)[:_NAME_LIMIT]
    alike = [other for other in known if other.lower() == wanted.lower() or other.endswith(f".{wanted}")]
    alike = alike or difflib.get_close_matches(wanted, known, n=_NEAR)
    alike = alike or difflib.get_close_matches(wanted, {other.rpartition(".")[2] for other in known}, n=_NEAR)
    if alike:
        return f"did you mean {' or '.join(f'`{_one_line(other)}`' for other in sorted(alike)[:_NEAR])}?"
    return f"the names are {join([f'`{_one_line(other)}`' for other in known], _LISTED)}"


def _one_line(name: str) -> str:
    return clean(" ".join(name.split()), _NAME_LIMIT)


# places


def _at(facts: Facts, name: str, file: str, line: int, column: int, what: str) -> Found:
    """The value made at a place; of several the only one that has a name."""
    made = _made_at(facts, file, line, column)
    if what:
        made = {value: count for value, count in made.items() if what in (_op(facts, value).name, facts.name(value))}
    if not made:
        raise UsageError(f"no tensor was made at `{_one_line(name)}`", help=_near_lines(facts, file, line))
    named = [value for value in made if facts.graph.values[value].name]
    if len(made) > 1 and len(named) != 1:
        return Found(choices=_choices(facts, made))
    value = (named or list(made))[0]
    others = len(made) - 1
    told = [f"the line makes {plural(others, 'more tensor')} on the way to it"] if others else []
    if made[value] > 1:
        told.append(f"the line ran {made[value]:,} times; this is the last one")
    return Found(value, tuple(told))


def _made_at(facts: Facts, file: str, line: int, column: int) -> dict[int, int]:
    """The last value of each op on a line, and how often that op ran: what later ops there used comes first."""
    inside, through = _ops_at(facts, file, line, column)
    # What a backward left in `.grad` is asked for only where the line makes nothing else.
    ops = [op for op in inside if op.name != "grad"] or inside or through
    last: dict[tuple[str, str, int, int, int], list[int]] = {}
    for op in ops:
        site = facts.graph.sites[op.site or 0]
        for index, output in enumerate(op.outputs):
            last.setdefault((op.name, facts.name(output), site.line, site.column, index), []).append(output)
    return {(_used(facts, values))[-1]: len(values) for values in last.values()}


def _used(facts: Facts, values: list[int]) -> list[int]:
    return [value for value in values if value in facts.feeding] or values


def _ops_at(facts: Facts, file: str, line: int, column: int) -> tuple[list[Op], list[Op]]:
    """The ops of a line and, for where it only calls functions, the last op of each call."""
    sites = facts.graph.sites
    here = {
        id for id, site in sites.items() if _is_file(site, file) and site.line <= line <= max(site.line, site.end_line)
    }
    if column:
        here = {id for id in here if sites[id].column + 1 == column}
    calls = _calls(sites, here)
    inside: list[Op] = []
    through: dict[int, Op] = {}
    for op in facts.graph.ops.values():
        if op.site is None or not op.outputs:
            continue
        if op.site in here:
            inside.append(op)
        elif op.site in calls:
            through[calls[op.site]] = op
    return inside, list(through.values())


def _calls(sites: Mapping[int, Site], here: Collection[int]) -> dict[int, int]:
    """For each site inside of a function that a site of `here` called, at whatever depth, that site of `here`."""
    calls: dict[int, int] = {}
    for id in sites:
        chain = []
        at: int | None = id
        while at is not None and at not in here and at not in calls and at not in chain:
            chain.append(at)
            at = sites[at].caller
        if at is not None and at not in chain:
            calls.update(dict.fromkeys(chain, calls.get(at, at)))
    return calls


def _near_lines(facts: Facts, file: str, line: int) -> str:
    """The nearest lines of the file that made something."""
    sites = facts.graph.sites
    used = {op.site for op in facts.graph.ops.values() if op.outputs and op.site is not None}
    made = {sites[id].line for id in used if _is_file(sites[id], file)}
    nearest = sorted(sorted(made, key=lambda other: (abs(other - line), other))[:_NEAR])
    return f"the nearest lines that made one are {join([str(other) for other in nearest])}" if nearest else ""


def _is_file(site: Site, file: str) -> bool:
    """`train.py` and `src/train.py` both mean `/home/me/src/train.py`."""
    asked, known = PurePath(file).parts, PurePath(site.file).parts
    return bool(asked) and known[-len(asked) :] == asked


def _choices(facts: Facts, made: Collection[int]) -> tuple[Choice, ...]:
    """The values of one line, each with the shortest way to ask for it alone."""
    ways = {value: _ways(facts, value) for value in made}
    taken = [way for each in ways.values() for way in each]
    return tuple(
        _choice(facts, value, next((way for way in each if taken.count(way) == 1), each[-1]))
        for value, each in ways.items()
    )


def _ways(facts: Facts, value: int) -> list[str]:
    site = facts.graph.sites[facts.maker_site(value) or 0]
    place, name, op = f"{PurePath(site.file).name}:{site.line}", facts.name(value), _op(facts, value).name
    column = f"{place}:{site.column + 1}"
    return [*([f"{place}:{name}"] if name else []), f"{place}:{op}", column, f"{column}:{op}"]


def _choice(facts: Facts, value: int, pick: str) -> Choice:
    found, op, name = facts.graph.values[value], _op(facts, value), facts.name(value)
    passed = value in facts.once(_walked)
    told = "gradient comes to it" if passed else "no gradient" if found.requires_grad else "requires no grad"
    shown = f"{clean(name)} = {clean(op.name)}" if name else title(facts, value)
    return Choice(value, clean(pick, 200), shown, describe(facts, value), told)


def _op(facts: Facts, value: int) -> Op:
    return facts.graph.ops[facts.graph.values[value].op]


def _walked(facts: Facts) -> frozenset[int]:
    """The values that a sweep brought a gradient to."""
    graph = facts.graph
    met = {item for id in facts.swept for item in gradient_inputs(graph, graph.ops[id])}
    return frozenset(met | {root for sweep in graph.sweeps if not sweep.error for root in sweep.roots})
