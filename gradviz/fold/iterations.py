"""Iterations: turns of a loop that each go backward, and which of them went backward alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradviz.fold.turns import Turns
from gradviz.graphs import Graph


class Sweeps:
    """The backward passes of a graph, by the ops whose results they started from.

    failed   the ops that a pass which raised started from
    """

    def __init__(self, graph: Graph) -> None:
        self.failed: set[int] = set()
        self._forms: dict[int, list[tuple[object, ...]]] = {}
        for sweep in graph.sweeps:
            roots = [graph.values[root].op for root in sweep.roots]
            if sweep.error:
                self.failed.update(roots)
            given = sweep.gradients
            # How many leaves got a gradient, and of what kind: the numbers are others each time.
            form = (sweep.kind, sweep.site, sweep.create_graph, len(given), *((one.zero, one.nan) for one in given))
            for root in roots:
                self._forms.setdefault(root, []).append(form)

    def are_in(self, turns: Turns) -> bool:
        """Whether the turns go backward."""
        return any(op.id in self._forms for op in turns.turn(0))

    def split(self, turns: Turns) -> Iterator[Turns]:
        """The turns in parts in each of which all of them went backward alike.

        Where a loop adds up what a pass starts from after it, its last turn makes the root: that is no difference.
        """
        if not self._lie_in(turns):
            yield turns
            return
        forms = [self._form(turns, number) for number in range(turns.times)]
        first = 0
        for number in range(1, turns.times + 1):
            if number == turns.times or not _goes_on(forms, number):
                yield turns._replace(start=turns.start + first * turns.length, times=number - first)
                first = number

    def _lie_in(self, turns: Turns) -> bool:
        """Whether a pass started from anything in the turns."""
        end = turns.start + turns.length * turns.times
        if len(self._forms) < end - turns.start:
            places = turns.track.places
            return any(turns.start <= places.get(root, -1) < end for root in self._forms)
        return any(op.id in self._forms for op in turns.track.ops[turns.start : end])

    def _form(self, turns: Turns, number: int) -> list[tuple[object, ...]]:
        """What went backward from where in a turn."""
        forms = self._forms
        return [(place, *forms[op.id]) for place, op in enumerate(turns.turn(number)) if op.id in forms]


def _goes_on(forms: Sequence[object], number: int) -> bool:
    """Turn `number` goes on with what the one before it did, or ends it by making what a pass starts from."""
    form = forms[number]
    return form == forms[number - 1] or (not forms[number - 1] and form not in forms[number + 1 : number + 2])
