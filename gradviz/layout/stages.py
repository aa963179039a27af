"""Stages: a sheet cut in rows where all that goes on from above to below is one vertex.

What stands in one stage has no say in any other, so each is ordered and placed by itself, and those that look alike
are so once: a deep model is mostly one block time after time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter, sub
from typing import NamedTuple, TypeAlias

from gradviz.layout import order, place
from gradviz.layout.place import Placement
from gradviz.layout.rows import Cells, Sheet
from gradviz.layout.sorter import Rows

Picker: TypeAlias = Callable[[Sequence[int]], tuple[int, ...]]
"""What picks some places of a column."""

_MOST = 0.75
"""A sheet of which one stage has more than this share is solved as a whole: cutting off the rest would not pay."""

_ALIKE = 8
"""Stages look alike where no size differs by more: by two letters of a line on either side."""


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


class Form(NamedTuple):
    """What stages that look alike have in common, and all that their order depends on.

    Their vertices and segments are named by their places in the stage; `row` is counted from its first one.
    """

    row: tuple[int, ...]
    kind: tuple[int, ...]
    on_road: tuple[int, ...]
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    weight: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Look:
    """A stage by itself, with room for all that look alike.

    sizes                of the first of those that look alike: `before`, `after` and `room`
    before, after, room  of each vertex how far it reaches, the most of any; of each box its room for ports, the least
    """

    form: Form
    sizes: tuple[Sequence[int], Sequence[int], Sequence[int]]
    before: list[int] = field(init=False)
    after: list[int] = field(init=False)
    room: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.after, self.room = map(list, self.sizes)

    def takes_in(self, sizes: tuple[Sequence[int], Sequence[int], Sequence[int]]) -> bool:
        """Make room for another one of the same form, if its sizes are nearly the same; whether they are."""
        if sizes == self.sizes:
            return True
        for mine, its in zip(self.sizes, sizes, strict=True):
            if mine != its and max(map(abs, map(sub, mine, its))) > _ALIKE:
                return False
        before, after, room = sizes
        self.before, self.after = [*map(max, self.before, before)], [*map(max, self.after, after)]
        self.room = [*map(min, self.room, room)]
        return True

    def sheet(self, whole: Sheet) -> Sheet:
        """The stage as a sheet of its own."""
        before, after, room = self.before, self.after, self.room
        form = self.form
        own = Sheet(
            Cells(before, after, [], room, []), whole.strands, (), len(room), [*form.kind], [*form.row], before, after,
            fence=[-1] * len(form.kind), on_road=[*map(bool, form.on_road)], upper=[*form.upper], lower=[*form.lower],
            weight=[*form.weight], tab_row=[False] * (max(form.row) + 1),
        )  # fmt: skip
        own.knit()
        return own


class _Solver:
    """Solves the stages of a sheet one after the other; of those that look alike only the first.

    looks    the looks of one form
    orders   what stages of one form may be ordered as
    solved   the placement of the stages of one look, and what picks the vertices of each row in its order
    """

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.looks: dict[Form, list[Look]] = {}
        self.orders: dict[Form, Sequence[Rows]] = {}
        self.solved: dict[Look, tuple[Placement, list[Picker]]] = {}

    def solve(self, stages: Sequence[Stage]) -> Placement:
        """The placement of the sheet, whose rows are in order then."""
        sheet = self.sheet
        axes = [0] * len(sheet.kind)
        upper_port, lower_port = [0] * len(sheet.upper), [0] * len(sheet.upper)
        rows: Rows = []
        cost, waist = 0.0, -1
        looks = [self._find_look(stage) for stage in stages]
        for stage, look in zip(stages, looks, strict=True):
            placement, order_of_stage = self._solve(look)
            vertices = stage.vertices
            rows[stage.first :] = [pick(vertices) for pick in order_of_stage]
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

    def _find_look(self, stage: Stage) -> Look:
        """The look of a stage, which is the same for those that look alike."""
        sheet, vertices, segments = self.sheet, stage.vertices, stage.segments
        at = dict(zip(vertices, range(len(vertices)), strict=True)).__getitem__
        of_vertices, of_segments = _picker(vertices), _picker(segments)
        form = Form(
            tuple([row - stage.first for row in of_vertices(sheet.row)]),
            of_vertices(sheet.kind),
            of_vertices(sheet.on_road),
            tuple(map(at, of_segments(sheet.upper))),
            tuple(map(at, of_segments(sheet.lower))),
            of_segments(sheet.weight),
        )
        boxes = vertices[: bisect_left(vertices, sheet.cell_count)]
        sizes = of_vertices(sheet.before), of_vertices(sheet.after), _picker(boxes)(sheet.cells.room)
        alike = self.looks.setdefault(form, [])
        for look in alike:
            if look.takes_in(sizes):
                return look
        alike.append(Look(form, sizes))
        return alike[-1]

    def _solve(self, look: Look) -> tuple[Placement, list[Picker]]:
        """The placement of the stages of one look, and what picks each row in the order that it is of."""
        if look not in self.solved:
            sheet, form = look.sheet(self.sheet), look.form
            if form not in self.orders:
                self.orders[form] = order.orders(sheet, len(self.sheet.kind))
            placement = _best(sheet, self.orders[form], self.sheet.cell_count)
            self.solved[look] = placement, [*map(_picker, sheet.rows)]
        return self.solved[look]


def _picker(numbers: Sequence[int]) -> Picker:
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda column: tuple([column[number] for number in numbers])
