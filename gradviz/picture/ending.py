"""Ending: the boxes that a drawing leads to; what backward started from comes first, and stands out from the rest."""

from __future__ import annotations

from gradviz.graphs import Graph, Value
from gradviz.picture.records import BoxKind
from gradviz.picture.wording import dots, shape_dtype, shorten


class Endings:
    """What is said of the values that a graph ends in.

    A value that was there when a backward pass began elsewhere, and that nothing uses, is told from a root: the unused
    cell state of an LSTM is no loss. Where no pass began afterwards, each of them may be what the program is about.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.roots = {root for sweep in graph.sweeps for root in sweep.roots}
        self._last = max(self.roots, default=0)

    def candidates(self, loose: set[int]) -> list[int]:
        """The values that may be ends: the roots first, then those that are `loose`, which nothing consumed."""
        return [*sorted(root for root in self.roots if root in self._graph.values), *sorted(loose - self.roots)]

    def words(self, value: Value) -> tuple[BoxKind, str, str]:
        """The kind of the box that shows the value, its title and its second line."""
        passed_by = value.id not in self.roots and value.id < self._last
        state = "" if not passed_by else "used elsewhere" if value.id in self._graph.onward else "not used"
        if not value.requires_grad:
            return BoxKind.OFF_OUTPUT, shorten(value.name) or "output", dots("no grad_fn", state)
        if passed_by:
            return BoxKind.RESULT, shorten(value.name) or "result", dots(shape_dtype(value), state)
        return BoxKind.OUTPUT, shorten(value.name) or "output", shape_dtype(value)
