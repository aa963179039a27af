"""A page: a large graph folded to what fits on one, loops first and then by its modules; or as its reader chose.

Leaves that one op takes by the dozen are shelved in a graph of any size: beside each other they fill several screens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from gradviz.collecting import uncollected
from gradviz.events import Module
from gradviz.fold.choice import Choice
from gradviz.fold.first_turns import first_turns, times_of, with_all_turns
from gradviz.fold.fit import MOST, PAGE, ROWS, count_boxes, fit
from gradviz.fold.joining import join_folds, stand_for
from gradviz.fold.leaves import shelve_leaves
from gradviz.fold.rows import count_rows
from gradviz.fold.steps import roll_steps
from gradviz.fold.turns import LEAST
from gradviz.fold.updates import KIND as UPDATES
from gradviz.fold.updates import without_updates
from gradviz.fold.views import is_view
from gradviz.graphs import Fold, Graph

WORTH = 8
"""A loop is rolled if that spares so many ops: of a loop that branches by chance, most runs are a few turns."""

LONG = 8
"""In a graph that would fit a page a loop of so many turns is rolled all the same: of ten equal steps one is enough."""


@uncollected
def fold_to_page(
    graph: Graph, choice: Choice, marked: Collection[int] = (), modules: Iterable[Module] = ()
) -> Graph:
    """`graph` with its loops rolled, what `fit` folds of the rest if it is large, and its leaves shelved.

    A small graph is drawn as it is, but for loops of LONG turns or more, and of more than LEAST where it is tall.

    marked   ops that their reader is looking for: a turn of a loop that has one in it is drawn by itself, unless it is
             a cut that each turn makes
    modules  which module runs as which scope
    """
    folded = _fold(graph, choice, marked, modules)
    return folded if choice.everything else shelve_leaves(folded, marked, choice.expand)


def _fold(graph: Graph, choice: Choice, marked: Collection[int], modules: Iterable[Module]) -> Graph:
    if choice.everything:
        return fit(graph, choice, marked, modules)
    kinds = {module.scope: module.kind for module in modules}
    large = count_boxes(graph) > MOST
    if not large and (choice.depth is not None or choice.collapse):
        return fit(graph, choice, marked, modules)
    rolled = roll_steps(graph, frozenset(marked) - {cut.op for cut in graph.cuts}, choice.expand)
    if not rolled.folds:
        return fit(graph, choice, marked, modules)
    updates = [fold for fold in rolled.folds if fold.kind == UPDATES]
    # All that a library does has the user's one line, so what its views have in common is not a loop.
    loops = [fold for fold in rolled.folds if fold.size - len(fold.turns[0]) >= WORTH]
    loops = [fold for fold in loops if fold.carried or not all(is_view(graph.ops[op]) for op in fold.turns[0])]
    loops = [replace(fold, module=kinds.get(fold.scope, "")) for fold in loops]
    if not large:
        return join_folds(graph, [fold for fold in loops if _is_long(fold, tall=count_rows(graph) > ROWS)])
    standing = stand_for(loops)
    first = without_updates(first_turns(graph, standing), updates)
    sought = {standing.shown(op) for op in marked} & first.ops.keys()
    # A page it was not; what is left of it has to be one, also where it is not large by itself.
    fitted = fit(first, choice, sought, modules, most=PAGE, times=times_of(loops))
    return join_folds(graph, [*loops, *updates, *with_all_turns(graph, fitted.folds, loops)])


def _is_long(loop: Fold, *, tall: bool) -> bool:
    """A loop that is better drawn as one turn even where all of its turns would fit a page."""
    return loop.times > LEAST if tall else loop.times >= LONG and loop.size - len(loop.turns[0]) >= 2 * WORTH
