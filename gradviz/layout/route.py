"""Route: the rows' places along the flow, and the way of each wire between its boxes.

Between two rows lies a zone that holds no box and no tab. A wire bends there and nowhere else; through the rows it runs
straight along its own axis, which placing has kept clear. So no wire can run through a box, whatever the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import add, sub

from gradviz.layout.drawing import Rectangle
from gradviz.layout.lanes import GAP, allot
from gradviz.layout.place import Placement
from gradviz.layout.rows import FAR_EDGE, LABEL, NEAR_EDGE, Sheet

FRAME_PADDING = 12
_APPROACH = 12
_MARKED_APPROACH = 28
_ZONE = 18
_TAB_ZONE = 8
_ZONE_GROWTH = 0.17
_MOST_GROWTH = 64
_SLACKNESS = 0.55


class Plan:
    """Where everything on a placed sheet lies; points and rectangles have across as x and along as y.

    axes        across, of each vertex; segments leave one and meet the next one beside these
    start, end, middle
                along, of each row
    zone_start, zone_end
                along, of the zone after each row, in which wires bend
    lanes       strand -> where its lane runs across, for those that have one
    labels      strand -> the rectangle of its label
    frames      for each fence its rectangle and its tab's
    area        the rectangle around all of it
    """

    def __init__(self, sheet: Sheet, placement: Placement) -> None:
        self.sheet = sheet
        axis_of = placement.axes.__getitem__
        self.axes = placement.axes
        self._leave = [*map(add, map(axis_of, sheet.upper), placement.upper_port)]
        self._meet = [*map(add, map(axis_of, sheet.lower), placement.lower_port)]
        count, row_of, kinds = len(sheet.rows), sheet.row, sheet.kind
        sizes = [0] * count
        for row, length in zip(row_of, sheet.along, strict=True):
            if length > sizes[row]:
                sizes[row] = length
        approach = [0 if tabs else 6 for tabs in sheet.tab_row]
        heads, marked = sheet.strands.heads, sheet.strands.marked
        for some, least in ((heads, _APPROACH), (compress(heads, marked), _MARKED_APPROACH)):
            for row in set(map(row_of.__getitem__, some)):
                approach[row] = least
        self.inside_first, self.inside_last = self._nesting()
        lead, trail = [0] * count, [0] * count
        for number in range(len(sheet.fences)):
            first, last = sheet.first[number], sheet.last[number]
            if not sheet.tab_row[first]:
                lead[first] = max(lead[first], FRAME_PADDING * self.inside_first[number] + 2)
            trail[last] = max(trail[last], FRAME_PADDING * self.inside_last[number] + 2)
        widest = [0] * count
        for upper, across in zip(sheet.upper, map(abs, map(sub, self._leave, self._meet)), strict=True):
            if across and across > widest[row_of[upper]] and kinds[upper] not in (NEAR_EDGE, FAR_EDGE):
                widest[row_of[upper]] = across
        self.start: list[float] = []
        self.end: list[float] = []
        self.zone_start: list[float] = []
        self.zone_end: list[float] = []
        at = float(lead[0])
        for row in range(count):
            self.start.append(at)
            self.end.append(at + sizes[row])
            bend_from = at + sizes[row] + trail[row]
            if row + 1 < count:
                base = _TAB_ZONE if sheet.tab_row[row] else _ZONE
                bend_to = bend_from + base + round(min(widest[row] * _ZONE_GROWTH, _MOST_GROWTH))
                at = bend_to + max(approach[row + 1], lead[row + 1])
                self.zone_start.append(bend_from)
                self.zone_end.append(bend_to)
        self.middle = [(start + end) / 2 for start, end in zip(self.start, self.end, strict=True)]
        self.lanes = self._lanes()
        self.labels = self._labels()
        self.frames = self._frames()
        self.area = self._area()

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

    def _lanes(self) -> dict[int, float]:
        """Beyond all that stands in the rows; strands that leave by one bend share a lane."""
        sheet = self.sheet
        ends: dict[int, int] = {}
        for strand, bend in sheet.aside.items():
            last = sheet.row[sheet.upper[sheet.arrivals[strand]]]
            ends[bend] = max(last, ends.get(bend, 0))
        bends = sorted(ends, key=lambda bend: (sheet.row[bend], bend))
        edge = self._far() + GAP if bends else 0
        lanes = dict(zip(bends, allot((sheet.row[bend], ends[bend]) for bend in bends), strict=True))
        return {strand: edge + GAP * lanes[bend] for strand, bend in sheet.aside.items()}

    def _labels(self) -> dict[int, Rectangle]:
        sheet, found = self.sheet, {}
        for vertex in range(sheet.cell_count, len(sheet.kind) if sheet.strands.labels else 0):
            if sheet.kind[vertex] == LABEL:
                along = sheet.along[vertex]
                start = self.middle[sheet.row[vertex]] - along / 2
                found[sheet.item[vertex]] = Rectangle(self.axes[vertex] + 6, start, sheet.after[vertex] - 6, along)
        return found

    def _frames(self) -> list[tuple[Rectangle, Rectangle]]:
        sheet = self.sheet
        found = []
        for number, fence in enumerate(sheet.fences):
            first, last = sheet.first[number], sheet.last[number]
            near, far = self.axes[sheet.edges[number][0][0]], self.axes[sheet.edges[number][1][0]]
            across, along = fence.tab
            in_row = sheet.tab_row[first]
            top = self.middle[first] if in_row else self.start[first] - FRAME_PADDING * self.inside_first[number]
            bottom = self.end[last] + FRAME_PADDING * self.inside_last[number]
            if in_row:
                tab = Rectangle(self.axes[sheet.tabs[number]], top - along / 2, across, along)
            else:
                tab = Rectangle(near - across / 2, top + 10, across, along)
            found.append((Rectangle(near, top, far - near, bottom - top), tab))
        return found

    def _far(self) -> float:
        """How far across anything reaches that stands in a row: a box with what is beside it, a label, a tab."""
        far: float = max(map(add, self.axes, self.sheet.after))
        return far

    def _area(self) -> Rectangle:
        across: list[float] = [min(map(sub, self.axes, self.sheet.before)), self._far(), *self.lanes.values()]
        along: list[float] = [self.start[0], self.end[-1]]
        for border, tab in self.frames:
            across += (border.x, border.right, tab.x, tab.right)
            along += (border.y, border.bottom, tab.y, tab.bottom)
        near, top = min(across), min(along)
        return Rectangle(near, top, max(across) - near, max(along) - top)

    def ways(
        self, tops: Sequence[float], lengths: Sequence[int], across_by: float, along_by: float
    ) -> tuple[list[str], list[tuple[float, ...]]]:
        """The steps and the numbers of each strand's way from tail to head, moved: straight in rows, curved in zones.

        tops, lengths: where each cell's box begins along, moved, and how long it is.
        """
        sheet, uppers, row, cell_count = self.sheet, self.sheet.upper, self.sheet.row, self.sheet.cell_count
        origins, targets = [at + across_by for at in self._leave], [at + across_by for at in self._meet]
        bottoms = [*map(add, tops, lengths)]
        zones = self._zones(along_by)
        turns = self._turns()
        letters: list[str] = []
        ways: list[tuple[float, ...]] = []
        aside = sheet.aside
        ends = zip(sheet.strands.tails, sheet.strands.heads, sheet.arrivals, strict=True)
        for strand, (tail, head, segment) in enumerate(ends):
            last = turns[segment]
            across, along, stop = origins[last], bottoms[tail], tops[head]
            vertex = uppers[last]
            if vertex < cell_count:
                # Nearly every wire is straight, or has one bend.
                target = targets[last]
                if target == across:
                    letters.append("V")
                    ways.append((across, along, stop))
                    continue
                start, leave, meet, end = zones[row[tail]]
                if start == along and end != stop:
                    letters.append("CV")
                    ways.append((across, along, across, leave, target, meet, target, end, stop))
                    continue
                bending = [last]
            else:
                # What bends on the way, from the segment at the tail to the last one.
                bending = [last]
                while vertex >= cell_count:
                    last = turns[(sheet.up[vertex] or sheet.up[aside[strand]])[0]]
                    bending.append(last)
                    vertex = uppers[last]
                bending.reverse()
                across = origins[last]
            steps = [(row[uppers[number]], targets[number]) for number in bending]
            if strand in aside:
                out, back = aside[strand], uppers[segment]
                lane, home = self.lanes[strand] + across_by, self.axes[back] + across_by
                steps[-1:-1] = [(row[out], lane), (row[back] - 1, home)]
            way, numbers = "", [across, along]
            for zone, target in steps:
                if target != across:
                    start, leave, meet, end = zones[zone]
                    if start != along:
                        way += "V"
                        numbers.append(start)
                    way += "C"
                    numbers += (across, leave, target, meet, target, end)
                    across, along = target, end
            if along != stop:
                way += "V"
                numbers.append(stop)
            letters.append(way)
            ways.append(tuple(numbers))
        return letters, ways

    def _zones(self, along_by: float) -> list[tuple[float, float, float, float]]:
        """Of a curve in each zone, moved: where it starts, its two controls, and where it ends, along."""
        found = []
        for before, after in zip(self.zone_start, self.zone_end, strict=True):
            start, end = before + along_by, after + along_by
            reach = (end - start) * _SLACKNESS
            found.append((start, start + reach, end - reach, end))
        return found

    def _turns(self) -> list[int]:
        """For each segment the last one on the way to its end, itself included, that bends or that leaves a cell."""
        sheet, axes, meet, cell_count = self.sheet, self.axes, self._meet, self.sheet.cell_count
        turns = list(range(len(sheet.upper)))
        if len(sheet.kind) == cell_count:
            return turns
        for number, upper in enumerate(sheet.upper):
            # What leads to a segment has a lower number than it has.
            if upper >= cell_count and sheet.up[upper] and axes[upper] == meet[number]:
                turns[number] = turns[sheet.up[upper][0]]
        return turns
