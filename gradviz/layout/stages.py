"""Stages: a sheet cut in rows where all that goes on from above to below is one vertex.

What stands in one stage has no say in any other, so each is ordered and placed by itself, and those that look alike
are so once: a deep model is mostly one block time after time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from gradviz.layout import order, place
from gradviz.layout.place import Placement
from gradviz.layout.rows import Cells, Sheet
from gradviz.layout.sorter import Rows

T = TypeVar("T")

_MOST = 0.75
"""A sheet of which one stage has more than this share is solved as a whole: cutting off the rest would not pay."""


def solve(sheet: Sheet) -> Placement:
    """Bring the rows of a sheet in their best order, and find where everything on it stands across."""
    stages = find_stages(sheet)
    if not stages or max(len(stage.vertices) for stage in stages) > _MOST * len(sheet.kind):
        return _best(sheet, order.orders(sheet), sheet.cell_count)
    return _Solver(sheet).solve(stages)


def _best(sheet: Sheet, orders: Sequence[Rows], cells: int) -> Placement:
    """The best placement of a sheet, which gets the order that it is of; `cells` are those of the whole sheet."""
    candidates = []
    for rows in orders:
        sheet.rows = rows
        candidates.append((place.place(sheet, cells), rows))
    placement, sheet.rows = min(candidates, key=lambda candidate: candidate[0].cost)
    return placement


@dataclass(frozen=True, slots=True)
class Stage:
    """Rows `first` to `last` of a sheet; of the last one the vertex alone through which all goes on, if anything does.

    vertices, segments   their numbers on the sheet, ascending
    """

    first: int
    last: int
    vertices: list[int]
    segments: list[int]


def find_stages(sheet: Sheet) -> list[Stage]:
    """The stages of a sheet, from above to below; none of one that has frames."""
    if sheet.fences:
        return []
    rows, up, down, last = sheet.rows, sheet.up, sheet.down, len(sheet.rows) - 1
    # Whatever else stands in such a row comes from nothing, and goes with what is below.
    waists = {row: passing[0] for row in range(1, last) if len(passing := [v for v in rows[row] if up[v]]) == 1}
    found = []
    for first, end in _stretches([*waists, last]):
        vertices = [*chain.from_iterable(rows[first:end])]
        segments = sorted(chain.from_iterable([down[vertex] for vertex in vertices]))
        vertices += [waists[end]] if end in waists else rows[end]
        found.append(Stage(first, end, sorted(vertices), segments))
    return found


def _stretches(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last row of each stage; they begin and end in `rows`, several of which on end make one stage."""
    first = before = 0
    for row in rows:
        if row > before + 1:
            if first < before:
                yield first, before
            yield before, row
            first = row
        before = row
    if first < before:
        yield first, before


class _Solver:
    """Solves the stages of a sheet one after the other; of those that look alike only the first.

    orders   what stages of one form may be ordered as, by places among a stage's own vertices
    solved   the placement of stages of one look, and the order that it is of
    """

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.orders: dict[Hashable, Sequence[Rows]] = {}
        self.solved: dict[Hashable, tuple[Placement, Rows]] = {}

    def solve(self, stages: Iterable[Stage]) -> Placement:
        """The placement of the sheet, whose rows are in order then."""
        sheet = self.sheet
        axes = [0] * len(sheet.kind)
        upper_port, lower_port = [0] * len(sheet.upper), [0] * len(sheet.upper)
        rows: Rows = []
        cost, waist = 0.0, -1
        for stage in stages:
            placement, order_of_stage = self._solve(stage)
            vertices = stage.vertices
            rows[stage.first :] = [tuple(map(vertices.__getitem__, row)) for row in order_of_stage]
            # The vertex that two stages share stands where the upper one has it.
            shift = axes[waist] - placement.axes[vertices.index(waist)] if waist >= 0 else 0
            for vertex, axis in zip(vertices, placement.axes, strict=True):
                axes[vertex] = axis + shift
            ports = zip(stage.segments, placement.upper_port, placement.lower_port, strict=True)
            for number, leave, meet in ports:
                upper_port[number], lower_port[number] = leave, meet
            cost += placement.cost
            waist = rows[-1][0]
        sheet.rows = rows
        return Placement(axes, upper_port, lower_port, cost)

    def _solve(self, stage: Stage) -> tuple[Placement, Rows]:
        """The placement of one stage and the order that it is of, by places among its own vertices and segments."""
        sheet, vertices, segments = self.sheet, stage.vertices, stage.segments
        at = dict(zip(vertices, range(len(vertices)), strict=True)).__getitem__
        row = [row - stage.first for row in _picked(sheet.row, vertices)]
        kind, on_road = _picked(sheet.kind, vertices), _picked(sheet.on_road, vertices)
        upper, lower = [*map(at, _picked(sheet.upper, segments))], [*map(at, _picked(sheet.lower, segments))]
        before, after = _picked(sheet.before, vertices), _picked(sheet.after, vertices)
        weight = _picked(sheet.weight, segments)
        room = _picked(sheet.cells.room, [vertex for vertex in vertices if vertex < sheet.cell_count])
        form = _key(row, kind, on_road, upper, lower)
        look = form, _key(before, after, weight, room)
        if look not in self.solved:
            own = Sheet(
                Cells(before, after, [], room, []), sheet.strands, (), len(room), kind, row, before, after,
                fence=[-1] * len(vertices), on_road=on_road, upper=upper, lower=lower, weight=weight,
                tab_row=[False] * (stage.last - stage.first + 1),
            )  # fmt: skip
            own.knit()
            if form not in self.orders:
                self.orders[form] = order.orders(own, len(sheet.kind))
            self.solved[look] = _best(own, self.orders[form], sheet.cell_count), own.rows
        return self.solved[look]


def _picked(column: Sequence[T], numbers: Iterable[int]) -> list[T]:
    return [*map(column.__getitem__, numbers)]


def _key(*columns: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    return tuple([tuple(column) for column in columns])
