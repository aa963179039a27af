"""The sheet: a ranked picture cut into rows, in which every wire goes from a row to the next one.

A long wire gets a bend in each row that it passes; long wires of one kind from one box share their bends, like cables
in one duct. A frame gets an edge on either side in each row that it spans, and a tab. Lengths are "along" the flow of
data or "across" it, so that one layout serves both directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from gradviz.layout.lanes import find_long
from gradviz.layout.strands import Strands

BOX, BEND, LABEL, NEAR_EDGE, FAR_EDGE, TAB = range(6)
"""What a vertex of the sheet stands for."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Boxes as the sheet sees them, in columns: how far each reaches across on either side of its axis, how long it is
    along with what sits beside it, how far from the axis wires may meet it, and its fence, or -1.
    """

    before: list[int]
    after: list[int]
    along: list[int]
    room: list[int]
    frame: list[int]


@dataclass(frozen=True, slots=True)
class Fence:
    """A frame as the sheet sees it: the frame around it, or -1, and the size of its tab across and along."""

    parent: int
    tab: tuple[int, int]


@dataclass(slots=True)
class Sheet:
    """Vertices by number, cells first. `rows` holds their order across; everything else is fixed once it is cut.

    There are no lists within lists, but tuples of numbers, which the garbage collector need not visit.

    item            the cell, strand or fence that the vertex belongs to
    upper, lower    the ends of each segment, a piece of wire between two neighbouring rows
    up, down        the segments at each vertex
    arrivals        for each strand its last segment; from there back, one segment leads to each bend
    aside           strand -> the bend from which it goes to its lane, for those that have one; the lane leads to the
                    bend before the last segment
    first, last     for each fence the rows that it spans
    edges           for each fence its near and its far edge's vertices, row by row
    tabs            fence -> its tab's vertex, where tabs have rows of their own
    weight          how much a kink in each segment would hurt
    on_road         whether the vertex lies on the main road
    tab_row         for each row, whether it holds tabs only
    """

    cells: Cells
    strands: Strands
    fences: Sequence[Fence]
    cell_count: int
    kind: list[int] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    along: list[int] = field(default_factory=list)
    fence: list[int] = field(default_factory=list)
    item: list[int] = field(default_factory=list)
    on_road: list[bool] = field(default_factory=list)
    upper: list[int] = field(default_factory=list)
    lower: list[int] = field(default_factory=list)
    weight: list[int] = field(default_factory=list)
    up: list[tuple[int, ...]] = field(default_factory=list)
    down: list[tuple[int, ...]] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)
    aside: dict[int, int] = field(default_factory=dict)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    edges: list[tuple[list[int], list[int]]] = field(default_factory=list)
    tabs: dict[int, int] = field(default_factory=dict)
    rows: list[tuple[int, ...]] = field(default_factory=list)
    tab_row: list[bool] = field(default_factory=list)

    def add(self, kind: int, row: int, fence: int, item: int, before: int = 0, after: int = 0, along: int = 0) -> int:
        """A new vertex; returns its number."""
        number = len(self.kind)
        self.kind.append(kind)
        self.row.append(row)
        self.before.append(before)
        self.after.append(after)
        self.along.append(along)
        self.fence.append(fence)
        self.item.append(item)
        return number

    def add_cells(self, rows: Sequence[int]) -> None:
        """The vertices of all cells, which come first."""
        cells = self.cells
        self.kind += [BOX] * len(rows)
        self.row += rows
        self.before += cells.before
        self.after += cells.after
        self.along += cells.along
        self.fence += cells.frame
        self.item += range(len(rows))

    def add_bends(self, rows: range, fence: int, item: int) -> range:
        """New bends, one in each of the rows; returns their numbers."""
        number, count = len(self.kind), len(rows)
        self.kind += [BEND] * count
        self.row += rows
        self.before += [0] * count
        self.after += [0] * count
        self.along += [0] * count
        self.fence += [fence] * count
        self.item += [item] * count
        return range(number, number + count)

    def join(self, upper: int, lower: int, weight: int) -> int:
        """A new segment between vertices of neighbouring rows; returns its number."""
        number = len(self.upper)
        self.upper.append(upper)
        self.lower.append(lower)
        self.weight.append(weight)
        return number

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Upper and lower end of each segment."""
        return zip(self.upper, self.lower, strict=True)

    def knit(self) -> None:
        """Note the vertices of each row and the segments at each vertex, once all are there."""
        self.rows = _at_each(len(self.tab_row), self.row)
        self.up, self.down = _at_each(len(self.kind), self.lower), _at_each(len(self.kind), self.upper)


def _at_each(count: int, ends: Sequence[int]) -> list[tuple[int, ...]]:
    """For each of `count` places the numbers of what ends there, in order."""
    found: list[tuple[int, ...]] = [()] * count
    crowds: dict[int, list[int]] = {}
    for number, place in enumerate(ends):
        if not found[place]:
            # At most places there is one, or none.
            found[place] = (number,)
        elif place in crowds:
            crowds[place].append(number)
        else:
            crowds[place] = [*found[place], number]
    for place, numbers in crowds.items():
        found[place] = tuple(numbers)
    return found


def cut(
    cells: Cells,
    strands: Strands,
    fences: Sequence[Fence],
    ranks: Sequence[int],
    road: Sequence[int],
    tabs_in_rows: bool,
) -> Sheet:
    """The sheet of ranked cells. Every strand's head is of higher rank than its tail, every fence holds a cell.

    `road` lists the cells of the main road. With `tabs_in_rows` a tab has a row before its frame's first one, else it
    sits on the frame's near edge there.
    """
    sheet = Sheet(cells, strands, fences, len(ranks))
    paths = _paths(fences)
    row_of_rank, label_row = _number_rows(sheet, ranks, paths, tabs_in_rows)
    sheet.add_cells([row_of_rank[rank] for rank in ranks])
    _draw_fences(sheet, tabs_in_rows)
    _run_strands(sheet, paths, {row_of_rank[rank]: row for rank, row in label_row.items()})
    sheet.knit()
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
    for rank, frame in zip(ranks, sheet.cells.frame, strict=True):
        for fence in paths[frame] if frame >= 0 else ():
            first[fence] = min(first[fence], rank)
            last[fence] = max(last[fence], rank)
    level = [0] * len(fences)
    tab_rows = [0] * count
    for number, fence_of in enumerate(fences):
        if fence_of.parent >= 0 and first[fence_of.parent] == first[number]:
            level[number] = level[fence_of.parent] + 1
        if tabs_in_rows:
            tab_rows[first[number]] = max(tab_rows[first[number]], level[number] + 1)
    labelled = {ranks[sheet.strands.tails[strand]] for strand in sheet.strands.labels}
    row_of_rank: list[int] = []
    label_row: dict[int, int] = {}
    for rank in range(count):
        sheet.tab_row += [True] * tab_rows[rank]
        row_of_rank.append(len(sheet.tab_row))
        sheet.tab_row.append(False)
        if rank in labelled:
            label_row[rank] = len(sheet.tab_row)
            sheet.tab_row.append(False)
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
            near.append(sheet.add(NEAR_EDGE, row, number, number, half, half, along if on_edge else 0))
            if row == sheet.first[number] and tabs_in_rows:
                sheet.tabs[number] = sheet.add(TAB, row, number, number, 0, across, along)
            far.append(sheet.add(FAR_EDGE, row, number, number))
        sheet.edges.append((near, far))
        for side in (near, far):
            for upper, lower in pairwise(side):
                sheet.join(upper, lower, 1)


def _run_strands(sheet: Sheet, paths: Sequence[tuple[int, ...]], label_rows: dict[int, int]) -> None:
    """Lead every strand from row to row, long ones through bends.

    The bends of one duct that lie inside the same fence are a run, which its strands share from their common start on:
    however many they are, a run costs its length once.
    """
    row, frames, strands = sheet.row, sheet.cells.frame, sheet.strands
    uppers, lowers, weights = sheet.upper, sheet.lower, sheet.weight
    runs: dict[tuple[int, int, int], list[int]] = {}
    long = find_long(strands, row)
    for number, (tail, head) in enumerate(strands.ends()):
        start, end = row[tail] + 1, row[head] - 1
        upper, weight = tail, strands.weights[number]
        if start <= end:
            # Labelled wires run alone: the words would not say which one they are about.
            duct = strands.ducts[number] if number not in strands.labels else -1 - number
            stretches = [(-1, start, end)]
            if paths:
                stretches = _stretches(sheet, start, end, _path(paths, frames[tail]), _path(paths, frames[head]))
            for fence, first, last in [(*stretches[0][:2], start)] if number in long else stretches:
                run = runs.setdefault((duct, fence, first), [])
                missing = range(first + len(run), last + 1)
                if missing:
                    new = sheet.add_bends(missing, fence, number)
                    uppers.append(run[-1] if run else upper)
                    uppers += new[:-1]
                    lowers += new
                    weights += [weight] * len(new)
                    run += new
                upper = run[last - first]
            if number in long:
                sheet.aside[number] = upper
                (upper,) = sheet.add_bends(range(end, end + 1), stretches[-1][0], number)
        sheet.arrivals.append(len(uppers))
        uppers.append(upper)
        lowers.append(head)
        weights.append(weight)
    for number, (across, along) in strands.labels.items():
        vertex = uppers[sheet.arrivals[number]]
        while row[vertex] != label_rows[row[strands.tails[number]]]:
            vertex -= 1
        sheet.kind[vertex], sheet.after[vertex], sheet.along[vertex] = LABEL, across + 6, along


def _path(paths: Sequence[tuple[int, ...]], fence: int) -> tuple[int, ...]:
    return paths[fence] if fence >= 0 else ()


def _stretches(
    sheet: Sheet, start: int, end: int, tail: tuple[int, ...], head: tuple[int, ...]
) -> list[tuple[int, int, int]]:
    """The innermost fences that a wire runs inside of from row `start` to row `end`, each with its first and last row.

    `tail` and `head` are the fences around its ends.
    """
    if tail == head:
        return [(tail[-1] if tail else -1, start, end)]
    common = 0
    while common < min(len(tail), len(head)) and tail[common] == head[common]:
        common += 1
    turns = {start, *(sheet.last[fence] + 1 for fence in tail[common:])}
    turns.update(sheet.first[fence] for fence in head[common:])
    found: list[tuple[int, int, int]] = []
    for row in sorted(row for row in turns if start <= row <= end):
        fence = _fence_at(sheet, row, common, tail, head)
        if found and found[-1][0] == fence:
            continue
        if found:
            found[-1] = (*found[-1][:2], row - 1)
        found.append((fence, row, end))
    return found


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
    on_road = sheet.on_road = [False] * len(sheet.kind)
    steps = set(pairwise(road))
    for number in road:
        on_road[number] = True
    for number, step in enumerate(sheet.strands.ends()):
        if step in steps:
            steps.remove(step)
            vertex = sheet.upper[sheet.arrivals[number]]
            while vertex >= sheet.cell_count:
                on_road[vertex] = True
                # What comes out of a lane has nothing above it.
                vertex = sheet.upper[sheet.up[vertex][0]] if sheet.up[vertex] else -1
