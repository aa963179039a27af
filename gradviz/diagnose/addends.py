"""The terms of a loss: what it is a sum of, and the numbers that were added to it from outside of the graph."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from gradviz.diagnose.carrying import carried
from gradviz.diagnose.facts import Facts
from gradviz.events import Site, Sweep

_ADDING = frozenset({"add", "sub", "rsub", "stack", "cat"})
LINEAR = _ADDING | {
    "sum",
    "mean",
    "neg",
    "mul",
    "div",
    "squeeze",
    "unsqueeze",
    "view",
    "reshape",
    "float",
    "double",
    "to",
    "clone",
}
"""Through these a sum of terms stays a sum of terms."""


def last_sweeps(facts: Facts) -> list[Sweep]:
    """The last sweep from each place in the source."""
    last = {sweep.site if sweep.site is not None else -sweep.id: sweep for sweep in facts.graph.sweeps}
    return list(last.values())


def addends(facts: Facts, roots: Iterable[int]) -> tuple[set[int], list[int], list[int]]:
    """The tracked values that `roots` are a sum of, the untracked numbers added to them, and ops that add a literal."""
    graph = facts.graph
    terms: set[int] = set()
    constants: dict[int, None] = {}
    literals: dict[int, None] = {}
    pending = list(roots)
    while pending:
        value = pending.pop()
        if value in terms:
            continue
        terms.add(value)
        op = graph.ops[graph.values[value].op]
        needed = [item for item, need in zip(op.inputs, op.needs, strict=False) if need]
        others = [item for item, need in zip(op.inputs, op.needs, strict=False) if not need and isinstance(item, int)]
        scaled = op.name in _ADDING or (len(needed) == 1 and all(_is_number(graph.values[i].shape) for i in others))
        if not op.tracked or op.name not in LINEAR or not scaled:
            continue
        pending += [item for item in needed if isinstance(item, int)]
        if op.name in _ADDING:
            for item, need in zip(op.inputs, op.needs, strict=False):
                if isinstance(item, str):
                    literals[op.id] = None
                elif not need and _is_number(graph.values[item].shape):
                    constants[item] = None
    return terms, list(constants), list(literals)


def _is_number(shape: tuple[int, ...]) -> bool:
    return all(extent == 1 for extent in shape)


def term_name(facts: Facts, value: int) -> str:
    """What the user calls a term: its own name, or that of what it was scaled from; else how the source writes it."""
    scaled = value
    while not facts.name(scaled):
        op = facts.graph.ops[facts.graph.values[scaled].op]
        if op.name not in LINEAR or not op.value_inputs:
            return _written(facts, value) or op.name
        scaled = op.value_inputs[0]
    return facts.name(scaled)


def _written(facts: Facts, value: int) -> str:
    """The expression that `value` is in the source, or the call of the function that returned it where it is added."""
    sites = facts.graph.sites
    used = [facts.graph.ops[id].site for id in facts.consumers.get(value, ())]
    functions = {(sites[site].file, sites[site].function) for site in used if site is not None}
    at = facts.maker_site(value)
    while at is not None:
        site = sites[at]
        if (site.file, site.function) in functions:
            whole = site.end_line == site.line and site.column >= 0
            text = site.text[site.column : site.end_column].strip() if whole else ""
            return text if len(text) <= _WRITTEN else ""
        at = site.caller
    return ""


_WRITTEN = 60
"""Longest expression, in characters, that stands for a name."""


def is_added_at(facts: Facts, value: int, site: int | None) -> bool:
    """Whether `site`, a call of a library that cut what went into the term `value`, adds it to the loss, too."""
    return site is not None and any(facts.graph.ops[op].site == site for op in facts.consumers.get(value, ()))


def returned_number(facts: Facts, exit: int) -> int | None:
    """The op behind a loss that used, as a literal, the number that `exit` took out.

    It is known by the name that the number was given, or stands around it in one expression.
    """
    op = facts.graph.ops[exit]
    site = facts.graph.sites.get(op.site) if op.site is not None else None
    if site is None:
        return None
    around = facts.once(_literal_users).get((site.file, site.function, site.caller, ""), ())
    for user in around:
        place = facts.graph.sites[facts.graph.ops[user].site or 0]
        if user > exit and (_encloses(place, site) or _is_stored(place, site)):
            return user
    for name in number_names(facts, exit):
        users = facts.once(_literal_users).get((site.file, site.function, site.caller, name), ())
        after = next((user for user in users if user > exit), None)
        if after is not None:
            return after
    return None


def returned_as(facts: Facts, exit: int, user: int) -> tuple[str, tuple[int, ...]]:
    """The variable in which `user` uses what left at `exit`, and the sites of the lines that computed it."""
    at = facts.graph.ops[user].site
    written = re.findall(r"[A-Za-z_]\w*", facts.graph.sites[at].text) if at is not None else []
    return next((told for told in number_names(facts, exit).items() if told[0] in written), ("", ()))


def number_names(facts: Facts, exit: int) -> dict[str, tuple[int, ...]]:
    """The variables that what left at `exit` goes on in, each with the sites of the lines that computed it."""
    op = facts.graph.ops[exit]
    site = facts.graph.sites.get(op.site) if op.site is not None else None
    return carried(facts, number_name(facts, exit), site) if site is not None else {}


def number_name(facts: Facts, exit: int) -> str:
    """The variable that what left at `exit` was put into, or what numpy computed of it on that line; else empty."""
    op = facts.graph.ops[exit]
    site = facts.graph.sites.get(op.site) if op.site is not None else None
    if site is None or site.target:
        return site.target if site is not None and site.target.isidentifier() else ""
    return _computed_into(site) if op.name in _ARRAYS and site.end_line == site.line else ""


def _computed_into(site: Site) -> str:
    """The variable that gets what numpy, `float` and arithmetic make of the array at `site`, as the source says."""
    margin = len(site.text) - len(site.text.lstrip())
    try:
        (statement,) = ast.parse(site.text.strip()).body
    except (SyntaxError, ValueError):  # a part of a statement, or several
        return ""
    parents = {child: parent for parent in ast.walk(statement) for child in ast.iter_child_nodes(parent)}
    columns = site.column - margin, site.end_column - margin
    exprs = (node for node in parents if isinstance(node, ast.expr))
    node: ast.AST | None = next((expr for expr in exprs if (expr.col_offset, expr.end_col_offset) == columns), None)
    while node is not None and node is not statement:
        around = parents[node]
        handed = isinstance(around, ast.Call) and node is not around.func
        if handed and ast.unparse(around.func).partition(".")[0] not in _COMPUTING:  # type: ignore[attr-defined]
            return ""
        if not isinstance(around, (ast.Call, ast.Attribute, ast.BinOp, ast.UnaryOp, ast.Assign)):
            return ""
        node = around
    if not isinstance(node, ast.Assign) or len(node.targets) > 1 or not isinstance(node.targets[0], ast.Name):
        return ""
    return node.targets[0].id


_ARRAYS = frozenset({"numpy", "__array__"})
_COMPUTING = frozenset({"np", "numpy", "math", "float", "abs", "sum"})


def _encloses(outer: Site, inner: Site) -> bool:
    """The expression at `inner` is a part of the one at `outer`, and not the same: one call of a library does both."""
    starts, begins = (outer.line, outer.column), (inner.line, inner.column)
    ends, stops = (outer.end_line, outer.end_column), (inner.end_line, inner.end_column)
    return starts <= begins and stops <= ends and (starts, ends) != (begins, stops)


def _is_stored(store: Site, taken: Site) -> bool:
    """The number that was taken is put into what `store` writes, on the same line: `matrix[i] = x.item()`."""
    return bool(store.target) and store.line == taken.line and taken.target.startswith(f"{store.target}[")


def _literal_users(facts: Facts) -> dict[tuple[str, str, int | None, str], list[int]]:
    """Ops that feed a root and take a number as argument, by the names in their source: (file, function, caller, name).

    All of one function are under the empty name.
    """
    users: dict[tuple[str, str, int | None, str], list[int]] = {}
    for op in facts.graph.ops.values():
        site = facts.graph.sites.get(op.site) if op.site is not None else None
        numbers = [item for item in op.inputs if isinstance(item, str)]
        if site is None or not numbers or facts.feeding.isdisjoint(op.outputs):
            continue
        whole = site.text if site.end_line > site.line else site.text[max(0, site.column) : site.end_column]
        for name in ["", *sorted(set(re.findall(r"[A-Za-z_]\w*", whole)))]:
            users.setdefault((site.file, site.function, site.caller, name), []).append(op.id)
    return users
