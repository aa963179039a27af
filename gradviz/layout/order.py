"""Order: who stands beside whom in each row, so that few wires cross and every frame's vertices stay together.

Rows are sorted by turns downwards and upwards, from several starts, and where wires still cross, neighbours change
places.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf

from gradviz.layout.rows import Sheet
from gradviz.layout.sorter import Rows, Sorter
from gradviz.layout.threads import rethread

_SMALL = 1500
_TINY = 400
_FEW = 150
"""On sheets of more vertices a start without crossings is good enough; on others the narrowest is looked for."""
_FEWEST = 40
"""On sheets of more vertices the order that stretches wires least is the one; on others each is placed to see."""
_THREADED = 64
"""On sheets of more vertices it would take long to lead every thread another way."""
_SWEEPS = 24
_TRIAL = 2
"""So many sweeps show which start leads furthest: one downwards, one upwards."""
_IDLE_SWEEPS = 3
_IDLE_UNCROSSED = 1
_LARGE_SWEEPS = 6
_CYCLE = 4
"""Sweeps differ in direction and in how they weigh neighbours; after so many they begin again."""
_TANGLED = 20
"""With more crossings the order as given may be far behind that of a walk."""
_FAR = 4
"""From an order with so many times the crossings of another one nothing has ever been seen to catch up."""
_NEAR = 1.5
"""An order with so many times the crossings of the best one is too far behind to be worth single exchanges."""


def orders(sheet: Sheet, whole: int = 0) -> list[Rows]:
    """The rows in their best order; more than one where several starts led to orders that cross equally little.

    whole   how many vertices there are with those of which the sheet is a part

    Sheets of up to `_SMALL` vertices are tried from three starts, with many sweeps. On larger ones the order as given
    is swept once, and kept if then no wire crosses another; else it is one start, and the first two sweeps that save
    nothing are the last.
    """
    if all(len(row) < 2 for row in sheet.rows):
        return [sheet.rows]
    count = len(sheet.kind)
    whole = max(whole, count)
    small = count <= (_TINY if whole > _SMALL else _SMALL)
    sorter = Sorter(sheet, remembers=small)
    if not small:
        return [_best_of_few(sorter)]
    many = whole > _FEW
    runs: list[_Run] = []
    # Boxes mostly come in an order that does already.
    for run in _starts(sorter) if many else map(partial(_Run, sorter), ("down", "up", "given")):
        runs.append(run)
        run.go_on(_TRIAL)
        if many and not runs[-1].least[0]:
            runs = runs[-1:]
            break
        # Where the two walks led to no crossing, the order as given has never been seen to be much better.
        if whole > _FEWEST and len(runs) == 2 and not any(run.least[0] for run in runs):
            break
    # Who is behind after the first sweeps stays behind.
    ahead = min(run.least[0] for run in runs)
    runs = [run for run in runs if run.least[0] == ahead]
    if count > _TINY:
        runs = runs[:1]
    for run in runs:
        run.go_on(_SWEEPS)
    least = min(run.least for run in runs)
    if whole > _FEWEST:
        runs = [next(run for run in runs if run.least == least)]
    if least[0] and count <= _THREADED and not sheet.fences:
        for run in runs:
            run.rethread()
        least = min(run.least for run in runs)
    candidates: list[Rows] = []
    for run in runs:
        if run.least[0] == least[0] and run.best not in candidates:
            candidates.append(run.best)
    return candidates


def _starts(sorter: Sorter) -> Iterator[_Run]:
    """The order as given, then those that walks give; a walk's alone where the given one begins far behind it."""
    given, tangle = _Run(sorter, "given"), sorter.about()
    others: list[_Run] = []
    for start in ("up", "down") if tangle > _TANGLED else ():
        others.append(_Run(sorter, start))
        if tangle > _FAR * sorter.about():
            yield others[-1]
            return
    yield given
    yield from others or map(partial(_Run, sorter), ("down", "up"))


class _Run:
    """The sweeps from one start.

    best    the order with the fewest crossings, and of those with the least stretch
    least   its crossings and its stretch
    """

    def __init__(self, sorter: Sorter, start: str) -> None:
        self.sorter = sorter
        sorter.begin(start)
        # A walk from below has put in order what is above it.
        self._downwards = start != "up"
        self.best: Rows = []
        self.least = (-1, -1)
        self._idle = 0
        self._passed: list[Rows] = [list(sorter.sheet.rows)]
        self._over = False

    def go_on(self, most: int) -> None:
        """Sweep until nothing is gained any more, or there were so many sweeps."""
        sorter = self.sorter
        sorter.resume(self._passed[-1])
        for sweep in range(len(self._passed) - 1, most):
            if self._over:
                break
            sorter.sweep(downwards=(sweep % 2 == 0) is self._downwards, median=sweep % 4 >= 2)
            far = _FAR * self.least[0] if self.least[0] > 0 else inf
            crossings = sorter.crossings(far)
            near = not self.best or crossings <= _NEAR * self.least[0]
            if crossings and near and sorter.transpose():
                crossings = sorter.crossings()
            rows = list(sorter.sheet.rows)
            # From where an order comes back, every order has been seen.
            self._over = sweep >= _CYCLE and rows == self._passed[-_CYCLE]
            self._passed.append(rows)
            if self._over:
                break
            if self.best and crossings > self.least[0]:
                self._idle += 1
            elif (score := (crossings, sorter.stretch())) < self.least or not self.best:
                self.best, self.least, self._idle = rows, score, 0
            else:
                self._idle += 1
            self._over = crossings > far or self._idle > (_IDLE_SWEEPS if self.least[0] else _IDLE_UNCROSSED)

    def rethread(self) -> None:
        """Lead threads where they cross less, from the best order on."""
        sorter = self.sorter
        sorter.resume(self.best)
        rethread(sorter)
        if (crossings := sorter.crossings()) < self.least[0]:
            self.best, self.least = list(sorter.sheet.rows), (crossings, sorter.stretch())


def _best_of_few(sorter: Sorter) -> Rows:
    """The order with the fewest crossings that a few sweeps find."""
    best: Rows = []
    least, idle = -1, 0
    sorter.begin("given")
    sorter.sweep(downwards=True, median=False)
    if not sorter.is_tangled():
        return list(sorter.sheet.rows)
    sorter.begin("down")
    for sweep in range(_LARGE_SWEEPS):
        sorter.sweep(downwards=sweep % 2 == 0, median=sweep % 4 >= 2)
        crossings = sorter.crossings()
        if not crossings:
            return list(sorter.sheet.rows)
        if not best or crossings < least:
            best, least, idle = list(sorter.sheet.rows), crossings, 0
        else:
            idle += 1
        if idle > 1:
            break
    return best
