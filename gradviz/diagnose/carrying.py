"""Carrying: the variables that numbers taken out of a tensor go on in, over the lines that compute with them.

Those lines run no op: the recording tells of them as statements, by the names in the source.
"""

from __future__ import annotations

from gradviz.diagnose.facts import Facts
from gradviz.events import Site, Statement


def carried(facts: Facts, name: str, taken: Site) -> dict[str, tuple[int, ...]]:
    """`name`, and what the function of `taken` computes from it further down: each with the sites that lead there."""
    found: dict[str, tuple[int, ...]] = {name: ()} if name else {}
    for statement in facts.once(_carrying).get((taken.file, taken.function), ()) if name else ():
        origin = next((one for one in statement.names if one in found), None)
        if origin is not None and facts.graph.sites[statement.site].line > taken.line:
            found.setdefault(statement.target, (*found[origin], statement.site))
    return found


def _carrying(facts: Facts) -> dict[tuple[str, str], list[Statement]]:
    """The statements that go on with numbers, by file and function, in order."""
    found: dict[tuple[str, str], list[Statement]] = {}
    sites = facts.graph.sites
    for statement in facts.graph.statements:
        if statement.kind == "carry":
            found.setdefault((sites[statement.site].file, sites[statement.site].function), []).append(statement)
    return {key: sorted(told, key=lambda one: sites[one.site].line) for key, told in found.items()}
