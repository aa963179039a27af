"""The source around an op: its branch, what its function returns, what puts its result away, who made its module."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gradviz.diagnose.facts import Facts
from gradviz.events import Module, Statement
from gradviz.graphs import Op

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CALLED = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)\(")


def statements(facts: Facts, kind: str, site: int | None) -> list[Statement]:
    """The statements of a kind that speak for the line of `site`, those that speak for the fewest lines first."""
    place = facts.graph.sites.get(site) if site is not None else None
    if place is None:
        return []
    found = [s for s in facts.once(_statements).get((kind, place.file), ()) if s.first <= place.line <= s.last]
    return sorted(found, key=lambda statement: statement.last - statement.first)


def branch_around(facts: Facts, site: int | None) -> int | None:
    """The site of the test that decides whether `site` runs or, outside of all branches, its nearest caller."""
    while site is not None:
        found = statements(facts, "branch", site)
        if found:
            return found[0].site
        site = facts.graph.sites[site].caller
    return None


def called_around(facts: Facts, site: int | None, deed: str) -> str:
    """What the source at `site` calls, such as `d.step`, where it says nothing of the `deed` that was done in there.

    Empty where the deed is the source's own, and where only a part of the source is known.
    """
    place = facts.graph.sites.get(site) if site is not None else None
    if place is None or place.end_line > place.line or place.column < 0:
        return ""
    source = place.text[place.column : place.end_column]
    called = _CALLED.match(source)
    return called[1] if called is not None and deed not in source else ""


def fill_of(facts: Facts, container: str, values: Iterable[int]) -> Statement | None:
    """The statement that put `values` into `container`, as nearly as the source says."""
    sites = [site for value in values if (site := facts.maker_site(value)) is not None]
    places = [facts.graph.sites[site] for site in dict.fromkeys(sites)]
    names = {name for place in places for name in _IDENTIFIER.findall(place.target)}
    lines = {(place.file, line) for place in places for line in range(place.line, place.end_line + 1)}
    best: tuple[int, Statement] | None = None
    same_name = 0
    for (kind, file), told in facts.once(_statements).items():
        for statement in told if kind == "fill" else ():
            puts = not names.isdisjoint(statement.names) or any(
                (file, line) in lines for line in range(statement.first, statement.last + 1)
            )
            named = _tail(statement.target) == _tail(container)
            same_name += named
            rank = 2 * named + puts
            if rank and (best is None or rank > best[0]):
                best = rank, statement
    # A container of this name that something else is put into, too, may not be the one.
    return best[1] if best is not None and (best[0] != 2 or same_name == 1) else None


def module_site(facts: Facts, op: Op) -> int | None:
    """Where the module was made that runs `op`; None where the user wrote it, or the place is not known."""
    site = facts.graph.sites.get(op.site) if op.site is not None else None
    module = facts.once(_modules).get(op.scope)
    if site is None or module is None or module.site is None:
        return None
    return None if site.function.startswith(f"{module.kind}.") else module.site


def _statements(facts: Facts) -> dict[tuple[str, str], list[Statement]]:
    """The statements by kind and file, in order."""
    found: dict[tuple[str, str], list[Statement]] = {}
    for statement in facts.graph.statements:
        found.setdefault((statement.kind, facts.graph.sites[statement.site].file), []).append(statement)
    return found


def _modules(facts: Facts) -> dict[str, Module]:
    return {module.scope: module for module in facts.graph.modules}


def _tail(text: str) -> str:
    """The last part of what is written: `items` of `self.items`."""
    return text.rpartition(".")[2]
