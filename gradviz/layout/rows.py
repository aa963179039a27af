"""The sheet: a ranked picture cut into rows, in which every wire goes from a row to the next one.

A long wire gets a bend in each row that it passes; long wires of one kind from one box share their bends, like cables
in one duct. A frame gets an edge on either side in each row that it spans, and a tab. Lengths are "along" the flow of
data or "across" it, so that one layout serves both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise


class Kind(IntEnum):
    """What a vertex of the sheet stands for."""

    BOX = 0
    BEND = 1
    LABEL = 2
    NEAR_EDGE = 3
    FAR_EDGE = 4
    TAB = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A box as the sheet sees it: how far it reaches across on either side of its axis, how long it is along.

    `room` is how far from the axis, on either side, wires may meet it.
    """

    before: int
    after: int
    along: int
    room: int
    frame: int


@dataclass(frozen=True, slots=True)
class Strand:
    """A wire as the sheet sees it: from cell to cell, in the direction of the flow; `duct` names whom it may run with.

    `weight` says how much a kink in it would hurt; `label` is the size of its label across and along, or None.
    """

    tail: int
    head: int
    duct: int
    weight: int = 1
    label: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    """A frame as the sheet sees it: the frame around it, or -1, and the size of its tab across and along."""

    parent: int
    tab: tuple[int, int]


@dataclass(slots=True)
class Sheet:
    """Vertices by number. `rows` holds their order across; everything else is fixed once it is cut.

    item            the cell, strand or fence that the vertex belongs to
    segments        upper and lower vertex of each piece of wire between two neighbouring rows
    up, down        the segments at each vertex
    chains          for each strand its segments, from tail to head
    first, last     for each fence the rows that it spans
    edges           for each fence its near and its far edge's vertices, row by row
    tabs            fence -> its tab's vertex, where tabs have rows of their own
    weight          how much a kink in each segment would hurt
    on_road         whether the vertex lies on the main road
    tab_row         for each row, whether it holds tabs only
    """

    cells: Sequence[Cell]
    strands: Sequence[Strand]
    fences: Sequence[Fence]
    kind: list[Kind] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    along: list[int] = field(default_factory=list)
    fence: list[int] = field(default_factory=list)
    item: list[int] = field(default_factory=list)
    on_road: list[bool] = field(default_factory=list)
    segments: list[tuple[int, int]] = field(default_factory=list)
    weight: list[int] = field(default_factory=list)
    up: list[list[int]] = field(default_factory=list)
    down: list[list[int]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    edges: list[tuple[list[int], list[int]]] = field(default_factory=list)
    tabs: dict[int, int] = field(default_factory=dict)
    rows: list[list[int]] = field(default_factory=list)
    tab_row: list[bool] = field(default_factory=list)

    def add(self, kind: Kind, row: int, fence: int, item: int, before: int = 0, after: int = 0, along: int = 0) -> int:
        """A new vertex at the end of its row; returns its number."""
        number = len(self.kind)
        self.kind.append(kind)
        self.row.append(row)
        self.before.append(before)
        self.after.append(after)
        self.along.append(along)
        self.fence.append(fence)
        self.item.append(item)
        self.on_road.append(False)
        self.up.append([])
        self.down.append([])
        self.rows[row].append(number)
        return number

    def add_cells(self, rows: Sequence[int]) -> None:
        """The vertices of all cells, which come first, each at the end of its row."""
        cells, count = self.cells, len(rows)
        self.kind += [Kind.BOX] * count
        self.row += rows
        self.before += [cell.before for cell in cells]
        self.after += [cell.after for cell in cells]
        self.along += [cell.along for cell in cells]
        self.fence += [cell.frame for cell in cells]
        self.item += range(count)
        self.on_road += [False] * count
        self.up += [[] for _ in cells]
        self.down += [[] for _ in cells]
        for number, row in enumerate(rows):
            self.rows[row].append(number)

    def join(self, upper: int, lower: int, weight: int) -> int:
        """A new segment between vertices of neighbouring rows; returns its number."""
        number = len(self.segments)
        self.segments.append((upper, lower))
        self.weight.append(weight)
        self.down[upper].append(number)
        self.up[lower].append(number)
        return number


def cut(
    cells: Sequence[Cell],
    strands: Sequence[Strand],
    fences: Sequence[Fence],
    ranks: Sequence[int],
    road: Sequence[int],
    tabs_in_rows: bool,
) -> Sheet:
    """The sheet of ranked cells. Every strand's head is of higher rank than its tail, every fence holds a cell.

    `road` lists the cells of the main road. With `tabs_in_rows` a tab has a row before its frame's first one, else it
    sits on the frame's near edge there.
    """
    sheet = Sheet(cells, strands, fences)
    paths = _paths(fences)
    row_of_rank, label_row = _number_rows(sheet, ranks, paths, tabs_in_rows)
    sheet.add_cells([row_of_rank[rank] for rank in ranks])
    _draw_fences(sheet, tabs_in_rows)
    _run_strands(sheet, paths, {row_of_rank[rank]: row for rank, row in label_row.items()})
    _mark_road(sheet, road)
    return sheet


def _paths(fences: Sequence[Fence]) -> list[tuple[int, ...]]:
    """For each fence those around it and itself, outermost first. A parent's number is lower than its child's."""
    paths: list[tuple[int, ...]] = []
    for number, fence in enumerate(fences):
        paths.append((*(paths[fence.parent] if fence.parent >= 0 else ()), number))
    return paths


def _number_rows(
    sheet: Sheet, ranks: Sequence[int], paths: Sequence[tuple[int, ...]], tabs_in_rows: bool
) -> tuple[list[int], dict[int, int]]:
    """Make the rows, with those for tabs before and for labels after a rank's own; which rows ranks and labels got."""
    fences = sheet.fences
    count = max(ranks) + 1
    first = [count] * len(fences)
    last = [-1] * len(fences)
    for number, cell in enumerate(sheet.cells):
        for fence in paths[cell.frame] if cell.frame >= 0 else ():
            first[fence] = min(first[fence], ranks[number])
            last[fence] = max(last[fence], ranks[number])
    level = [0] * len(fences)
    tab_rows = [0] * count
    for number, frame in enumerate(fences):
        if frame.parent >= 0 and first[frame.parent] == first[number]:
            level[number] = level[frame.parent] + 1
        if tabs_in_rows:
            tab_rows[first[number]] = max(tab_rows[first[number]], level[number] + 1)
    labelled = {ranks[strand.tail] for strand in sheet.strands if strand.label is not None}
    row_of_rank: list[int] = []
    label_row: dict[int, int] = {}
    for rank in range(count):
        sheet.tab_row += [True] * tab_rows[rank]
        row_of_rank.append(len(sheet.tab_row))
        sheet.tab_row.append(False)
        if rank in labelled:
            label_row[rank] = len(sheet.tab_row)
            sheet.tab_row.append(False)
    sheet.rows = [[] for _ in sheet.tab_row]
    for number in range(len(fences)):
        start = row_of_rank[first[number]]
        sheet.first.append(start - tab_rows[first[number]] + level[number] if tabs_in_rows else start)
        sheet.last.append(row_of_rank[last[number]])
    return row_of_rank, label_row


def _draw_fences(sheet: Sheet, tabs_in_rows: bool) -> None:
    for number, fence in enumerate(sheet.fences):
        across, along = fence.tab
        near, far = [], []
        for row in range(sheet.first[number], sheet.last[number] + 1):
            on_edge = row == sheet.first[number] and not tabs_in_rows
            half = across // 2 if on_edge else 0
            near.append(sheet.add(Kind.NEAR_EDGE, row, number, number, half, half, along if on_edge else 0))
            if row == sheet.first[number] and tabs_in_rows:
                sheet.tabs[number] = sheet.add(Kind.TAB, row, number, number, 0, across, along)
            far.append(sheet.add(Kind.FAR_EDGE, row, number, number))
        sheet.edges.append((near, far))
        for side in (near, far):
            for upper, lower in pairwise(side):
                sheet.join(upper, lower, 1)


def _run_strands(sheet: Sheet, paths: Sequence[tuple[int, ...]], label_rows: dict[int, int]) -> None:
    shared: dict[tuple[int, int, int], int] = {}
    joined: dict[tuple[int, int], int] = {}
    for number, strand in enumerate(sheet.strands):
        start, end = sheet.row[strand.tail], sheet.row[strand.head]
        if end == start + 1:
            sheet.chains.append([sheet.join(strand.tail, strand.head, strand.weight)])
            continue
        # Labelled wires run alone: the words would not say which one they are about.
        duct = strand.duct if strand.label is None else -1 - number
        tail_path = _path_of(paths, sheet.cells[strand.tail].frame)
        head_path = _path_of(paths, sheet.cells[strand.head].frame)
        common = 0
        while common < min(len(tail_path), len(head_path)) and tail_path[common] == head_path[common]:
            common += 1
        words = label_rows.get(start, -1) if strand.label is not None else -1
        upper, chain = strand.tail, []
        for row in range(start + 1, end):
            fence = _fence_at(sheet, row, common, tail_path, head_path)
            key = (duct, row, fence)
            if key not in shared:
                if row == words and strand.label is not None:
                    across, along = strand.label
                    shared[key] = sheet.add(Kind.LABEL, row, fence, number, 0, across + 6, along)
                else:
                    shared[key] = sheet.add(Kind.BEND, row, fence, number)
            lower = shared[key]
            if (upper, lower) not in joined:
                joined[upper, lower] = sheet.join(upper, lower, strand.weight)
            chain.append(joined[upper, lower])
            upper = lower
        chain.append(sheet.join(upper, strand.head, strand.weight))
        sheet.chains.append(chain)


def _path_of(paths: Sequence[tuple[int, ...]], fence: int) -> tuple[int, ...]:
    return paths[fence] if fence >= 0 else ()


def _fence_at(sheet: Sheet, row: int, common: int, tail: tuple[int, ...], head: tuple[int, ...]) -> int:
    """The innermost fence that a passing wire runs inside of in a row: it leaves and enters through the short sides."""
    out, into = common, common
    while out < len(tail) and sheet.first[tail[out]] <= row <= sheet.last[tail[out]]:
        out += 1
    while into < len(head) and sheet.first[head[into]] <= row <= sheet.last[head[into]]:
        into += 1
    if out > common and into > common:
        # Two frames side by side: it changes over between them.
        out = into = common
    path, depth = (tail, out) if out >= into else (head, into)
    return path[depth - 1] if depth else -1


def _mark_road(sheet: Sheet, road: Sequence[int]) -> None:
    steps = set(pairwise(road))
    for number in road:
        sheet.on_road[number] = True
    done: set[tuple[int, int]] = set()
    for number, strand in enumerate(sheet.strands):
        step = (strand.tail, strand.head)
        if step in steps and step not in done:
            done.add(step)
            for segment in sheet.chains[number][1:]:
                sheet.on_road[sheet.segments[segment][0]] = True
