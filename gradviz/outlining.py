"""An outline: a graph in a few lines, for a prompt, a debugger and a failed assertion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from gradviz.graphs import Graph
from gradviz.picture.wording import clean, plural

NAMED = 3
"""So many leaves, cuts, regions and sweeps are named; the others are counted."""

NAME_LIMIT = 40


def outline(graph: Graph) -> str:
    """Ops, leaves that require grad, cuts, regions and sweeps: one line each, where there are any."""
    ops = [op for op in graph.ops.values() if not op.is_source]
    tracked = sum(op.tracked for op in ops)
    folds = f", {plural(len(graph.folds), 'fold')}" if graph.folds else ""
    lines = [f"Graph: {plural(len(ops), 'op')}, {tracked:,} tracked{folds}"]
    for title, told in (
        ("leaves", _leaves(graph)),
        ("cuts", [f"{clean(cut.cause, NAME_LIMIT)}{_at(graph, cut.site)}" for cut in graph.cuts]),
        ("regions", [f"{clean(one.kind, NAME_LIMIT)}{_at(graph, one.site)}" for one in graph.regions.values()]),
        ("sweeps", [f"{sweep.kind}{_at(graph, sweep.site)}" for sweep in graph.sweeps]),
    ):
        if told:
            lines.append(f"{title}: {', '.join(_few(told, len(told)))}")
    listed = "\n ".join(lines)
    return f"<{listed}>"


def _leaves(graph: Graph) -> list[str]:
    """The leaves that require grad, each memory once: a leaf that was updated in place is one leaf."""
    leaves = [value for value in graph.values.values() if value.leaf and value.requires_grad]
    names = {leaf.storage: clean(leaf.name, NAME_LIMIT) or f"a {leaf.dtype} of shape {leaf.shape}" for leaf in leaves}
    return list(names.values())


def _at(graph: Graph, site: int | None) -> str:
    place = graph.sites.get(site) if site is not None else None
    return f" at line {place.line}" if place is not None and place.line else ""


def _few(told: Iterable[str], count: int) -> Iterator[str]:
    yield from islice(told, NAMED)
    if count > NAMED:
        yield f"{count - NAMED:,} more"
