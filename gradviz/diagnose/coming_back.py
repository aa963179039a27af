"""Coming back: where data that left for Python or numpy probably came back on the road to a root.

No op says so. A number is recognised by its value or its line, an array by the function that took it out, and a loss
that begins anew at numbers by there being nothing else that it could come from.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from gradviz.diagnose.addends import addends, last_sweeps, number_name, returned_number
from gradviz.diagnose.carrying import carried
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.surroundings import statements
from gradviz.events import Site
from gradviz.graphs import Op
from gradviz.query import gradient_inputs


def ways_of(facts: Facts, exit: int) -> list[int]:
    """The ops by which what left at `exit` probably came back on the road to a root."""
    user = returned_number(facts, exit)
    if user is not None:
        return [user]
    root = _bare_root(facts, exit)
    return [root] if root is not None else _returned_arrays(facts, exit)


def is_known(facts: Facts, exit: int) -> bool:
    """The source says by which way it was, and not only that the loss begins at numbers."""
    return returned_number(facts, exit) is not None or bool(_returned_arrays(facts, exit))


def _returned_arrays(facts: Facts, exit: int) -> list[int]:
    """The tensors that the function that took data out at `exit` made of such before the next root came of them.

    Of a lone number that is only said where both are on one line: `torch.tensor(x.item() * 2)`.
    """
    graph = facts.graph
    op = graph.ops[exit]
    site = graph.sites.get(op.site or 0)
    if op.name not in ("numpy", "__array__", "tolist", "item") or site is None:
        return []
    roots = facts.once(_roots)
    at = bisect_right(roots, exit)
    made = facts.once(_from_arrays).get((site.file, site.function, site.caller), [])
    first: dict[int | None, int] = {}  # what a line makes again is of what leaves later
    for source in made if at < len(roots) else ():
        if exit < source < roots[at]:
            first.setdefault(graph.ops[source].site, source)
    later = [source for source in first.values() if not facts.feeding.isdisjoint(graph.ops[source].outputs)]
    return [s for s in later if op.name != "item" or graph.sites[graph.ops[s].site or 0].line == site.line]


def _from_arrays(facts: Facts) -> dict[tuple[str, str, int | None], list[int]]:
    """The ops that made tensors of arrays, by the functions that they ran in and what called those."""
    found: dict[tuple[str, str, int | None], list[int]] = {}
    for op in facts.graph.ops.values():
        site = facts.graph.sites.get(op.site) if op.site is not None else None
        if op.is_source and op.name in _OF_NUMBERS and site is not None:
            found.setdefault((site.file, site.function, site.caller), []).append(op.id)
    return found


def taken_for(facts: Facts, value: int) -> dict[int, tuple[int, ...]]:
    """The ops by which the numbers left that an untracked `value` was made anew of, as the names in the source say.

    Each with the sites of the lines that went on with the numbers before.
    """
    graph = facts.graph
    made: list[Op] = []
    pending, seen = [value], {value}
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.is_source and op.name in _OF_NUMBERS:
            made.append(op)
        elif not op.tracked:
            new = [item for item in op.value_inputs if item not in seen]
            seen.update(new)
            pending += new
    found: dict[int, tuple[int, ...]] = {}
    for source in made:
        here = graph.sites.get(source.site) if source.site is not None else None
        if here is None or here.end_line > here.line:
            continue
        names = set(re.findall(r"[A-Za-z_]\w*", here.text[max(0, here.column) : here.end_column]))
        for exit in facts.once(_exits).get((here.file, here.function), ()):
            site = graph.sites[exit.site or 0]
            filled = next((statement.target for statement in statements(facts, "fill", exit.site)), "")
            into = site.target or number_name(facts, exit.id) or filled
            held = carried(facts, into, site) if into.isidentifier() else {}
            through = next((sites for name, sites in held.items() if name in names), None)
            inside = site.line == here.line and site.column > here.column
            if exit.id < source.id and (through is not None or inside):
                found.setdefault(exit.id, through or ())
    return found


def into_terms(facts: Facts) -> frozenset[int]:
    """The ops by which numbers left that terms of a loss were made anew of, which are constants for that."""
    terms = (value for sweep in last_sweeps(facts) for value in addends(facts, sweep.roots)[1])
    return frozenset(exit for value in terms for exit in taken_for(facts, value))


def _exits(facts: Facts) -> dict[tuple[str, str], list[Op]]:
    """The ops by which data left, by file and function."""
    found: dict[tuple[str, str], list[Op]] = {}
    for op in facts.graph.ops.values():
        site = facts.graph.sites.get(op.site) if op.site is not None else None
        if not op.outputs and site is not None:
            found.setdefault((site.file, site.function), []).append(op)
    return found


def _bare_root(facts: Facts, exit: int) -> int | None:
    """What made the leaf that the next backward after `exit` starts at: of Python's numbers, and probably of this."""
    roots = facts.once(_roots)
    at = bisect_right(roots, exit)
    if at == len(roots):
        return None
    maker = facts.graph.ops[facts.graph.values[roots[at]].op]
    begun = facts.once(_begun_anew).get(roots[at])
    # The check of an argument leaves for Python too, and so does an action that was drawn.
    if begun is not None and begun > exit and True in facts.graph.ops[exit].needs:
        return begun
    used = any(facts.graph.ops[op].outputs for op in facts.consumers.get(roots[at], ()))  # to print it is no use
    bare = maker.is_source and maker.id > exit and not used
    return maker.id if bare and _goes_into(facts, exit, maker) else None


def _goes_into(facts: Facts, exit: int, maker: Op) -> bool:
    """What `exit` took out may be in what `maker` made: taken by the function itself or one that called it, or given
    back by a call that stands in its line or gave a name in it."""
    sites = facts.graph.sites
    frames: dict[tuple[int | None, str], Site] = {}
    at = maker.site
    while at is not None:
        frames.setdefault((sites[at].caller, sites[at].function), sites[at])
        at = sites[at].caller
    at = start = facts.graph.ops[exit].site
    while at is not None:
        taken, made = sites[at], frames.get((sites[at].caller, sites[at].function))
        if made is not None:
            names = re.findall(r"[A-Za-z_]\w*", made.text)
            return at == start or taken.line == made.line or taken.target in names
        at = taken.caller
    return start is None


def _begun_anew(facts: Facts) -> dict[int, int]:
    """For each root whose gradient comes to one tensor only, made of Python's numbers for it, what made that."""
    graph = facts.graph
    found: dict[int, int] = {}
    for index, sweep in enumerate(graph.sweeps):
        met = {item for id in facts.walked(index) for item in gradient_inputs(graph, graph.ops[id])}
        leaves = {facts.tensor(item) for item in met if graph.values[item].leaf}
        if len(leaves) != 1 or sweep.error or not graph.optimizers:
            continue
        (leaf,) = leaves
        maker = graph.ops[graph.values[leaf].op]
        owned = leaf in facts.parameters and facts.parameters[leaf].owners
        if maker.is_source and maker.name in _OF_NUMBERS and not owned:
            found.update(dict.fromkeys(sweep.roots, maker.id))
    return found


_OF_NUMBERS = ("tensor", "as_tensor", "from_numpy", "asarray")


def _roots(facts: Facts) -> list[int]:
    return sorted(root for sweep in facts.graph.sweeps if not sweep.error for root in sweep.roots)
