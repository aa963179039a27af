"""Route: the rows' places along the flow, and the way of each wire between its boxes.

Between two rows lies a zone that holds no box and no tab. A wire bends there and nowhere else; through the rows it runs
straight along its own axis, which placing has kept clear. So no wire can run through a box, whatever the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradviz.layout.drawing import Piece, Point, Rectangle
from gradviz.layout.place import Placement
from gradviz.layout.rows import Kind, Sheet

FRAME_PADDING = 12
_APPROACH = 12
_MARKED_APPROACH = 28
_ZONE = 18
_TAB_ZONE = 8
_ZONE_GROWTH = 0.17
_MOST_GROWTH = 64
_SLACKNESS = 0.55


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything on a sheet lies; points and rectangles have across as x and along as y.

    centers     for each cell where its axis crosses the middle of its row
    ways        for each strand its start and its pieces, from tail to head
    labels      for each strand its label's rectangle, or None
    frames, tabs
                for each fence
    """

    centers: list[Point]
    ways: list[tuple[Point, tuple[Piece, ...]]]
    labels: list[Rectangle | None]
    frames: list[Rectangle]
    tabs: list[Rectangle]


def route(
    sheet: Sheet, placement: Placement, marked: Sequence[bool]
) -> Plan:
    """The plan of a placed sheet. `marked` says for each strand whether a mark must fit before its head."""
    rows = _Rows(sheet, placement, marked)
    axes = placement.axes
    labels: list[Rectangle | None] = [None] * len(sheet.strands)
    for vertex, kind in enumerate(sheet.kind):
        if kind is Kind.LABEL:
            along = sheet.along[vertex]
            middle = rows.middle[sheet.row[vertex]]
            area = Rectangle(axes[vertex] + 6, middle - along / 2, sheet.after[vertex] - 6, along)
            labels[sheet.item[vertex]] = area
    return Plan(
        [(axes[cell], rows.middle[sheet.row[cell]]) for cell in range(len(sheet.cells))],
        [rows.way(number) for number in range(len(sheet.strands))],
        labels,
        *rows.frames(),
    )


class _Rows:
    """Start, end and middle of each row along the flow, and the zone after it in which wires bend."""

    def __init__(
        self,
        sheet: Sheet,
        placement: Placement,
        marked: Sequence[bool],
    ) -> None:
        self.sheet = sheet
        axes = self.axes = placement.axes
        upper_port = self.upper_port = placement.upper_port
        lower_port = self.lower_port = placement.lower_port
        count = len(sheet.rows)
        sizes = [max((sheet.along[vertex] for vertex in row), default=0) for row in sheet.rows]
        approach = [0 if tabs else 6 for tabs in sheet.tab_row]
        for number, strand in enumerate(sheet.strands):
            row = sheet.row[strand.head]
            approach[row] = max(approach[row], _MARKED_APPROACH if marked[number] else _APPROACH)
        self.inside_first, self.inside_last = self._nesting()
        lead, trail = [0] * count, [0] * count
        for number in range(len(sheet.fences)):
            first, last = sheet.first[number], sheet.last[number]
            if not sheet.tab_row[first]:
                lead[first] = max(lead[first], FRAME_PADDING * self.inside_first[number] + 2)
            trail[last] = max(trail[last], FRAME_PADDING * self.inside_last[number] + 2)
        widest = [0] * count
        for number, (upper, lower) in enumerate(sheet.segments):
            if sheet.kind[upper] not in (Kind.NEAR_EDGE, Kind.FAR_EDGE):
                row = sheet.row[upper]
                across = axes[upper] + upper_port[number] - axes[lower] - lower_port[number]
                widest[row] = max(widest[row], abs(across))
        self.start: list[float] = []
        self.end: list[float] = []
        self.zone: list[tuple[float, float]] = []
        at = float(lead[0])
        for row in range(count):
            self.start.append(at)
            self.end.append(at + sizes[row])
            bend_from = at + sizes[row] + trail[row]
            if row + 1 < count:
                base = _TAB_ZONE if sheet.tab_row[row] else _ZONE
                bend_to = bend_from + base + round(min(widest[row] * _ZONE_GROWTH, _MOST_GROWTH))
                at = bend_to + max(approach[row + 1], lead[row + 1])
                self.zone.append((bend_from, bend_to))
        self.middle = [(start + end) / 2 for start, end in zip(self.start, self.end, strict=True)]

    def _nesting(self) -> tuple[list[int], list[int]]:
        """For each fence how many, with itself, lie in each other where it begins, and where it ends."""
        sheet = self.sheet
        first, last = [1] * len(sheet.fences), [1] * len(sheet.fences)
        for number in range(len(sheet.fences) - 1, -1, -1):
            parent = sheet.fences[number].parent
            if parent < 0:
                continue
            if sheet.first[parent] == sheet.first[number]:
                first[parent] = max(first[parent], first[number] + 1)
            if sheet.last[parent] == sheet.last[number]:
                last[parent] = max(last[parent], last[number] + 1)
        return first, last

    def way(self, number: int) -> tuple[Point, tuple[Piece, ...]]:
        """A strand's path: straight through rows, curved through zones."""
        sheet = self.sheet
        chain = sheet.chains[number]
        strand = sheet.strands[number]
        tail, head = strand.tail, strand.head
        across = float(self.axes[tail] + self.upper_port[chain[0]])
        along = self.middle[sheet.row[tail]] + sheet.along[tail] / 2
        path = _Path((across, along))
        for segment in chain:
            upper, lower = sheet.segments[segment]
            bend_from, bend_to = self.zone[sheet.row[upper]]
            target = float(self.axes[lower] + self.lower_port[segment])
            if target != path.at[0]:
                path.line(bend_from)
                path.curve(target, bend_to)
        path.line(self.middle[sheet.row[head]] - sheet.along[head] / 2)
        return path.begin, tuple(path.pieces)

    def frames(self) -> tuple[list[Rectangle], list[Rectangle]]:
        """The rectangles of frames and of their tabs."""
        sheet = self.sheet
        frames, tabs = [], []
        for number, fence in enumerate(sheet.fences):
            first, last = sheet.first[number], sheet.last[number]
            near, far = self.axes[sheet.edges[number][0][0]], self.axes[sheet.edges[number][1][0]]
            across, along = fence.tab
            in_row = sheet.tab_row[first]
            top = self.middle[first] if in_row else self.start[first] - FRAME_PADDING * self.inside_first[number]
            bottom = self.end[last] + FRAME_PADDING * self.inside_last[number]
            frames.append(Rectangle(near, top, far - near, bottom - top))
            if in_row:
                tabs.append(Rectangle(self.axes[sheet.tabs[number]], top - along / 2, across, along))
            else:
                tabs.append(Rectangle(near - across / 2, top + 10, across, along))
        return frames, tabs


class _Path:
    """A path under way, its straight stretches joined."""

    def __init__(self, begin: Point) -> None:
        self.begin = begin
        self.at = begin
        self.pieces: list[Piece] = []

    def line(self, along: float) -> None:
        if along != self.at[1]:
            self.at = (self.at[0], along)
            self.pieces.append((self.at,))

    def curve(self, across: float, along: float) -> None:
        reach = (along - self.at[1]) * _SLACKNESS
        controls = ((self.at[0], self.at[1] + reach), (across, along - reach))
        self.at = (across, along)
        self.pieces.append((*controls, self.at))
