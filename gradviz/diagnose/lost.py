"""Lost roads: where the gradient that a tensor should get stops, for all the rules that name one cause of it.

A road is lost in one of four ways:

    raised    backward raised, because no gradient comes to its root at all
    starved   a trained parameter got no gradient from any sweep: the cut was on its last road to a loss
    term      a term that is added to the loss is a constant, though trained parameters went into it
    bypassed  a parameter's own numbers were used through `.data`: that use adds nothing to its gradient
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gradviz.diagnose.addends import addends, is_added_at, last_sweeps, returned_as, returned_number, term_name
from gradviz.diagnose.blaming import MODES, blame, cuts_by_op, exit_behind
from gradviz.diagnose.coming_back import into_terms, is_known, taken_for, ways_of
from gradviz.diagnose.deciding import deciding
from gradviz.diagnose.facts import Facts, Parameter
from gradviz.diagnose.following import followers
from gradviz.diagnose.owning import on_own_roads
from gradviz.events import Cause, Role, Sweep
from gradviz.graphs import Cut, Op
from gradviz.withholding import hands_on_integers

_LEAVING = ("item", "numpy", "retensor")


@dataclass(frozen=True, slots=True)
class Lost:
    """One loss of gradient. `op` cuts, `site` is to blame, `used` is the last place on the road before the cut.

    others       further places that cut for the same cause
    elsewhere    places that cut the same tensors' other roads, for other causes
    through      of a term, the lines without an op that went on with the numbers
    """

    kind: str
    state: str
    op: int
    site: int | None
    values: tuple[int, ...]
    used: int | None = None
    term: str = ""
    sweep: Sweep | None = None
    others: tuple[int | None, ...] = ()
    elsewhere: tuple[int | None, ...] = ()
    through: tuple[int, ...] = ()


def lost_roads(facts: Facts) -> tuple[Lost, ...]:
    """Every loss, each once."""
    return facts.once(_find_lost)


def _find_lost(facts: Facts) -> tuple[Lost, ...]:
    starved = tuple(_starved(facts))
    return (*_raised(facts), *starved, *_terms(facts, {lost.site for lost in starved}), *_bypassed(facts))


# backward raised


def _raised(facts: Facts) -> Iterator[Lost]:
    graph = facts.graph
    for sweep in graph.sweeps:
        if not sweep.error or not sweep.roots or any(graph.values[root].requires_grad for root in sweep.roots):
            continue
        cuts = cuts_behind(facts, sweep.roots)
        groups: dict[tuple[str, int | None], list[Cut]] = {}
        for cut in cuts:
            groups.setdefault(blame(facts, cut.op), []).append(cut)
        for (kind, site), members in groups.items():
            values = concerned(facts, members)
            last = max(members, key=lambda cut: cut.op)
            if values:
                yield Lost(kind, "raised", last.op, site, values, last.site, sweep=sweep)


def cuts_behind(facts: Facts, values: Iterable[int]) -> list[Cut]:
    """The first cuts that one comes to on the way back from untracked `values`, nearest first."""
    graph, cuts = facts.graph, facts.once(cuts_by_op)
    seen: set[int] = set()
    found: list[Cut] = []
    pending = list(values)
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.id in seen or op.tracked:
            continue
        seen.add(op.id)
        if facts.renews(op):
            continue
        found += cuts.get(op.id, [])
        pending += op.value_inputs  # of a value that is cut only what is untracked itself is looked into
    return sorted(found, key=lambda cut: (-cut.op, cut.position))


def concerned(facts: Facts, cuts: Iterable[Cut]) -> tuple[int, ...]:
    """The leaves that the gradient stopped by `cuts` was for; of those, what an optimizer owns, where it owns any."""
    graph = facts.graph
    leaves = [
        leaf
        for leaf in facts.leaves_behind(cut.value for cut in cuts)
        if graph.ops[graph.values[leaf].op].cause not in MODES  # a view made with grad off is no leaf of the user's
    ]
    owned = tuple(leaf for leaf in leaves if leaf in facts.parameters and facts.parameters[leaf].owners)
    if graph.optimizers:
        return owned
    inputs = tuple(leaf for leaf in leaves if graph.values[leaf].role is not Role.PARAMETER)
    return inputs or tuple(leaves)


# no sweep gave a parameter anything


def _starved(facts: Facts) -> Iterator[Lost]:
    graph = facts.graph
    starved = [*starved_parameters(facts), *_only_returned(facts)]
    if not starved:
        return
    keys, blamed = _blamed(facts)
    groups: dict[tuple[int, ...], list[Parameter]] = {}
    for parameter in starved:
        met = {key for version in parameter.versions for key in blamed.get(version, ())}
        # A draw has no history by its nature: its numbers may come to a reward, and the road was another one.
        meant = {key for key in met if keys[key][1] >= 2 and not _draws(facts, graph.ops[keys[key][0]])}
        met = meant or met
        best = max((keys[key][1] for key in met), default=0)
        if best >= 2 or (best and parameter.owners):
            groups.setdefault(tuple(sorted(k for k in met if keys[k][1] == best)), []).append(parameter)
    for reasons, members in groups.items():
        kinds: dict[str, list[int]] = {}
        owners = {owner for parameter in members for owner in parameter.owners}
        for op in deciding(facts, on_own_roads(facts, sorted(keys[key][0] for key in reasons), owners)):
            kinds.setdefault(blame(facts, op)[0], []).append(op)
        drawn = [kind for kind, ops in kinds.items() if all(_draws(facts, graph.ops[op]) for op in ops)]
        if len(drawn) < len(kinds):  # what is drawn has no history, and the road is another one
            kinds = {kind: ops for kind, ops in kinds.items() if kind not in drawn}
        values = tuple(parameter.id for parameter in members)
        told = {kind: list(dict.fromkeys(blame(facts, op)[1] for op in ops)) for kind, ops in kinds.items()}
        left: set[tuple[str, str]] = set()
        for kind, ops in kinds.items():
            site, *others = told[kind]
            if kind in _LEAVING:
                # A function that leaves for numbers and for arrays is one mistake: the first way out is to blame.
                functions = {(s.file, s.function) for id in told[kind] if (s := graph.sites.get(id or 0)) is not None}
                if functions and functions <= left:
                    continue
                left |= functions
            elsewhere = {facts.line(place): place for other in told if other != kind for place in told[other]}
            used = graph.ops[ops[-1]].site
            yield Lost(
                kind, "starved", ops[0], site, values, used, others=tuple(others), elsewhere=tuple(elsewhere.values())
            )


def starved_parameters(facts: Facts) -> list[Parameter]:
    """Trained parameters that got nothing from any sweep, though some sweep worked.

    Trained is what an optimizer owns that took a step or, where the program has no optimizer, what requires grad. One
    without elements, of which only device and dtype are asked, has nothing to get, and one that the program moves
    after another, as in a target network, is to get nothing.
    """
    if not any(not sweep.error for sweep in facts.graph.sweeps):
        return []
    return [
        parameter
        for parameter in facts.parameters.values()
        if not parameter.gradients
        and facts.is_trainable(parameter)
        and facts.is_trained(parameter)
        and parameter.id not in followers(facts)
        and 0 not in facts.graph.values[parameter.id].shape
    ]


def _only_returned(facts: Facts) -> list[Parameter]:
    """Parameters that an optimizer steps with, and whose gradients `autograd.grad` only ever gave back to the caller.

    A program that never calls `backward`, or puts gradients into `.grad` itself, may mean that.
    """
    sweeps = facts.graph.sweeps
    written = {facts.tensor(value) for act in facts.acts("write_grad") for value in act.values}
    if all(sweep.error or sweep.kind == "grad" for sweep in sweeps):
        return []
    return [
        parameter
        for parameter in facts.parameters.values()
        if parameter.gradients and all(sweeps[index].kind == "grad" for index, _ in parameter.gradients)
        if facts.stepped.intersection(parameter.owners) and parameter.id not in written
    ]


def _blamed(facts: Facts) -> tuple[list[tuple[int, int]], dict[int, frozenset[int]]]:
    """For each value the cuts that a gradient on its way to it would have met first.

    A cut is a key, one for all ops that cut on one line for one cause: (the last such op, how it leads on). How:
    4 to a root, 3 through numbers to a root, 2 probably so, 1 out of the program's tensors.
    """
    graph = facts.graph
    keys: list[tuple[int, int]] = []
    numbers: dict[tuple[str, int | None], int] = {}
    blamed: dict[int, frozenset[int]] = {}
    nothing: frozenset[int] = frozenset()
    for id in sorted(graph.ops, reverse=True):
        op = graph.ops[id]
        onward = nothing.union(*(blamed.get(output, nothing) for output in op.outputs)) if op.tracked else nothing
        cuts = not onward and (_indexes(facts, op) if op.tracked else op.cause is not None)
        if cuts and not facts.renews(op) and not facts.in_sweep(op):
            rank = _leads(facts, op)
            if not rank:
                continue
            kind, site = blame(facts, id)
            key = numbers.setdefault((kind, site), len(keys))
            if key == len(keys):
                keys.append((id, rank))
            elif keys[key][1] < rank:
                keys[key] = (id, rank)
            onward = frozenset({key})
        if onward:
            for item, needed in zip(op.inputs, op.needs, strict=False):
                if needed and isinstance(item, int):
                    blamed[item] = blamed.get(item, nothing) | onward
    return keys, blamed


_DRAWING = frozenset({"multinomial", "bernoulli", "normal", "poisson"})


def _draws(facts: Facts, op: Op) -> bool:
    """The op draws numbers, or a distribution's `sample` does with it."""
    site = facts.graph.sites.get(op.site) if op.site is not None else None
    text = site.text[max(0, site.column) : site.end_column] if site is not None else ""
    return op.name in _DRAWING or re.search(r"\.sample\([^()]*\)$", text) is not None


def _indexes(facts: Facts, op: Op) -> bool:
    """Of a tracked op, only the integers beside its values (`topk(2).indices`) went on to a root."""
    return hands_on_integers(facts.graph, op, facts.feeding)


def _leads(facts: Facts, op: Op) -> int:
    """Where the numbers of a cut went on to: see `_blamed`."""
    if not facts.feeding.isdisjoint(op.outputs):
        return 4
    exit = exit_behind(facts, op)
    if exit is None:
        return 0
    if is_known(facts, exit):
        return 3
    if ways_of(facts, exit) or exit in facts.once(into_terms):
        return 2
    return int(facts.graph.ops[exit].name != "item" or op.cause is Cause.INTEGER)


def ways_back(facts: Facts, lost: Lost) -> tuple[tuple[int, int], ...]:
    """The ops by which data left on the lost roads, each with one that it probably came back by."""
    sites = {lost.site, *lost.others, *lost.elsewhere} - {None}
    exits = [op.id for op in facts.graph.ops.values() if op.site in sites and not op.outputs]
    return tuple((exit, back) for exit in exits for back in ways_of(facts, exit))


# a term of the loss is a constant


def _terms(facts: Facts, explained: set[int | None]) -> Iterator[Lost]:
    """Terms that are constants. A term that one of the sites `explained` cuts is told of already."""
    told: set[tuple[str, int | None]] = set()
    for sweep in last_sweeps(facts):
        if sweep.error:
            continue
        terms, constants, numbers = addends(facts, sweep.roots)
        for value in constants:
            cuts = cuts_behind(facts, [value])
            groups: dict[tuple[str, int | None], list[Cut]] = {}
            for cut in cuts:
                if cut.value not in terms and not is_added_at(facts, value, cut.site):
                    groups.setdefault(blame(facts, cut.op), []).append(cut)
            if any(site in explained for _, site in groups):
                continue
            kinds = {kind for kind, _ in groups}
            copied = list(_copied(facts, sweep, terms, value)) if not cuts or kinds == {"detach"} else []
            yield from (lost for lost in copied if lost.site not in explained)
            # What is detached inside of a term that is cut elsewhere too was meant to be: an advantage, a target.
            several = bool(copied) or len(kinds) > 1
            meant = [key for key in groups if key[0] == "detach"] if several else []
            for (kind, site), members in groups.items():
                values = concerned(facts, members)
                if values and (kind, site) not in told and (kind, site) not in meant:
                    told.add((kind, site))
                    name = term_name(facts, value)
                    yield Lost(kind, "term", members[0].op, site, values, members[0].site, name, sweep)
        yield from _numbers(facts, sweep, terms, numbers)


def _copied(facts: Facts, sweep: Sweep, terms: set[int], value: int) -> Iterator[Lost]:
    """A term that was made anew of numbers which left under a name, or on the same line."""
    exits = taken_for(facts, value)
    told: set[int | None] = set()
    for id in sorted(facts.graph.ops, reverse=True) if exits else ():
        op = facts.graph.ops[id]
        if op.cause is None or op.tracked or (exit := exit_behind(facts, op)) is None or exit not in exits:
            continue
        kind, site = blame(facts, id)
        values = concerned(facts, [cut for cut in facts.once(cuts_by_op).get(id, []) if cut.value not in terms])
        if values and site not in told:
            told.add(site)
            through = exits[exit]
            yield Lost(kind, "term", id, site, values, None, term_name(facts, value), sweep, through=through)


def _numbers(facts: Facts, sweep: Sweep, terms: set[int], adding: list[int]) -> Iterator[Lost]:
    """Terms that went through a Python number before they were added."""
    wanted = set(adding)
    told: set[int | None] = set()
    for id in sorted(facts.graph.ops, reverse=True):
        op = facts.graph.ops[id]
        if op.cause is None or op.tracked or not wanted:
            continue
        exit = exit_behind(facts, op)
        user = returned_number(facts, exit) if exit is not None else None
        if exit is None or user not in wanted:
            continue
        kind, site = blame(facts, id)
        cuts = [cut for cut in facts.once(cuts_by_op).get(id, []) if cut.value not in terms]
        values = concerned(facts, cuts)
        exit_site = facts.graph.ops[exit].site
        if values and site not in told and exit_site is not None:
            told.add(site)
            taken = facts.graph.sites[exit_site]
            added = facts.line(facts.graph.ops[user].site)
            into, through = returned_as(facts, exit, user)
            into = into if added != facts.line(exit_site) else ""
            told_as = into or taken.target or taken.text[taken.column : taken.end_column].strip()
            yield Lost(kind, "term", id, site, values, None, told_as, sweep, through=through)


# a parameter's numbers were used past autograd


def _bypassed(facts: Facts) -> Iterator[Lost]:
    for cut in facts.graph.cuts:
        op = facts.graph.ops[cut.op]
        parameter = facts.parameters.get(facts.tensor(cut.value))
        if cut.cause is not Cause.DATA or parameter is None or not parameter.gradients:
            continue
        trained = bool(parameter.owners) or not facts.graph.optimizers
        region = facts.graph.regions.get(op.region) if op.region is not None else None
        if trained and (region is None or region.enabled) and not facts.feeding.isdisjoint(op.outputs):
            yield Lost("data", "bypassed", op.id, op.site, (parameter.id,))
