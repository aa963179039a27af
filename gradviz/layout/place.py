"""Place: where each vertex stands across, so that wires are straight where it counts and nothing overlaps.

Small sheets are solved exactly: the weighted sum of all kinks is as small as it can be, and of the two outermost such
solutions the mean is taken, which is one too and stands in the middle. Larger ones go the way of Brandes and Köpf. With
the main road held straight or not: the road wins unless it makes the drawing much wider or the other wires much longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, repeat
from operator import add, sub

from gradviz.layout.blocks import (
    GAPS,
    Alignment,
    Blocks,
    base_alignment,
    build,
    places,
    ports,
    separation,
    straighten_ports,
)
from gradviz.layout.rows import BOX, FAR_EDGE, NEAR_EDGE, Sheet
from gradviz.layout.simplex import extremes, longest_path
from gradviz.layout.tree import Edge, Kink

_EXACT_LIMIT = 1000
_CROOKED = 1.4
_CROOKED_AT_LEAST = 150
_FRAME_WEIGHT = 4
_SMALL = 400
_FEW = 150
"""Boxes of a picture that both ways are tried for in any case."""
_NARROW = 3
"""Times as wide as need be a larger one is with a straight road before the other way has ever been seen to win."""
_WORTH_MOVING = 60
_EDGES = (NEAR_EDGE, FAR_EDGE)


@dataclass(frozen=True, slots=True)
class Placement:
    """The axis of each vertex, and where each segment meets its upper and its lower vertex, from that vertex's axis.

    `cost` counts the sheet's width and how far its wires run across, each by its weight; it is higher where the main
    road was not held straight.
    """

    axes: list[int]
    upper_port: list[int]
    lower_port: list[int]
    cost: float


def place(sheet: Sheet, cells: int = 0) -> Placement:
    """Where everything on an ordered sheet stands across.

    cells   how many there are with those of which the sheet is a part

    The second way is not tried where it cannot win, nor, on larger sheets, where the first is narrow enough.
    """
    straight = _place(sheet, True)
    least = _least_width(sheet)
    if straight.cost <= _crooked_cost(2.0 * least):
        return straight
    if max(sheet.cell_count, cells) > _FEW and _width(sheet, straight.axes) <= _NARROW * least:
        return straight
    return min(straight, _place(sheet, False), key=lambda placement: placement.cost)


def _crooked_cost(cost: float) -> float:
    """What counts as the cost of a placement that does not hold the main road straight."""
    return cost * _CROOKED + _CROOKED_AT_LEAST


def settle_tabs(sheet: Sheet, placement: Placement) -> Placement:
    """Move a frame's tab to its far side where wires that come in then need fewer detours; for small sheets."""
    if len(sheet.kind) > _SMALL:
        return placement
    for fence, tab in sheet.tabs.items():
        number = sheet.row[tab]
        row = sheet.rows[number]
        start, end = row.index(tab), row.index(sheet.edges[fence][1][0])
        if not _is_in_the_way(sheet, placement, tab, row[start + 1 : end + 1]):
            continue
        sheet.rows[number] = (*row[:start], *row[start + 1 : end], tab, *row[end:])
        other = place(sheet)
        if _cost_with_frames(sheet, other) < _cost_with_frames(sheet, placement) - _WORTH_MOVING:
            placement = other
        else:
            sheet.rows[number] = row
    return placement


def _is_in_the_way(sheet: Sheet, placement: Placement, tab: int, beyond: Sequence[int]) -> bool:
    """Whether a tab touches the wire beside it, and holds it off its course or holds the frame's edge far out.

    Placing a sheet once more takes long, and most tabs could stand on either side. `beyond` is what stands between the
    tab and the frame's far edge, and that edge.
    """
    *wires, far = beyond
    axes = placement.axes
    if not wires or axes[wires[0]] - axes[tab] - separation(sheet, tab, wires[0]) > 1:
        return False
    bent = sum(
        sheet.weight[number] * abs(_kink(sheet, placement, number))
        for vertex in wires
        for number in (*sheet.up[vertex], *sheet.down[vertex])
    )
    room = axes[far] - axes[wires[-1]] - separation(sheet, wires[-1], far)
    return bent > _WORTH_MOVING or room > _WORTH_MOVING


def _kink(sheet: Sheet, placement: Placement, number: int) -> int:
    """How far apart across the ends of a segment stand."""
    leave = placement.axes[sheet.upper[number]] + placement.upper_port[number]
    return leave - placement.axes[sheet.lower[number]] - placement.lower_port[number]


def _cost_with_frames(sheet: Sheet, placement: Placement) -> float:
    axes = placement.axes
    return placement.cost + sum(axes[far[0]] - axes[near[0]] for near, far in sheet.edges)


def _place(sheet: Sheet, with_road: bool) -> Placement:
    place = places(sheet)
    upper_port, lower_port = ports(sheet, place, with_road)
    alignment = base_alignment(sheet, place, with_road)
    straight = len(alignment)
    # As many blocks as no segment joins to another, and as many kinks as segments are left.
    if len(sheet.kind) + len(sheet.upper) - 2 * straight <= _EXACT_LIMIT:
        axes = _exact(sheet, build(sheet, alignment, upper_port, lower_port), upper_port, lower_port)
    else:
        axes = _brandes_koepf(sheet, alignment, place, upper_port, lower_port)
    _tighten(sheet, place, axes)
    straighten_ports(sheet, axes, upper_port, lower_port)
    bent = sum(
        [
            weight * abs(axes[upper] + leave - axes[lower] - meet)
            for upper, lower, leave, meet, weight in zip(
                sheet.upper, sheet.lower, upper_port, lower_port, sheet.weight, strict=True
            )
        ]
    )
    cost = bent + 2.0 * _width(sheet, axes)
    return Placement(axes, upper_port, lower_port, cost if with_road else _crooked_cost(cost))


def _width(sheet: Sheet, axes: Sequence[int]) -> int:
    right: int = max(map(add, axes, sheet.after))
    left: int = min(map(sub, axes, sheet.before))
    return right - left


def _least_width(sheet: Sheet) -> int:
    """How much room the widest row needs; no placement is narrower."""
    most: int = max(map(add, sheet.before, sheet.after))
    before, after, kinds = sheet.before, sheet.after, sheet.kind
    for row in sheet.rows:
        if len(row) > 1:
            left = row[0]
            room = before[left] + after[row[-1]]
            for right in row[1:]:
                room += after[left] + GAPS[kinds[left]][kinds[right]] + before[right]
                left = right
            if room > most:
                most = room
    return most


def _exact(sheet: Sheet, blocks: Blocks, upper_port: Sequence[int], lower_port: Sequence[int]) -> list[int]:
    """The mean of the leftmost and the rightmost of the solutions with the least kinks."""
    wall = blocks.count
    block, shift = blocks.block, blocks.shift
    edges: list[Edge] = list(zip(blocks.left, blocks.right, blocks.least, repeat(0)))
    # What has nothing on its left leans on a wall, which holds all together.
    leaning = set(range(wall)).difference(blocks.right)
    start = [*longest_path(wall, edges), 0]
    edges += [(wall, one, 0, 0) for one in sorted(leaning)]
    edges += [(block[near[0]], block[far[0]], 0, _FRAME_WEIGHT) for near, far in sheet.edges]
    kinks: list[Kink] = []
    for number, (upper, lower) in enumerate(sheet.pairs()):
        above, below = block[upper], block[lower]
        if above != below:
            # From one port to the other, each from its own block's column.
            length = shift[upper] + upper_port[number] - shift[lower] - lower_port[number]
            kinks.append((above, below, length, sheet.weight[number] * _stiffness(sheet, upper, lower)))
    left, right = extremes(wall + 1, edges, kinks, start)
    fixed = _road_block(sheet, blocks)
    return _between(blocks, left, right, left[fixed] - right[fixed])


def _road_block(sheet: Sheet, blocks: Blocks) -> int:
    """The block of the main road's first vertex."""
    return blocks.block[sheet.on_road.index(True)] if True in sheet.on_road else 0


def _between(blocks: Blocks, left: Sequence[int], right: Sequence[int], move: int) -> list[int]:
    """The axes of all vertices, with their blocks half way between two placements, the second one moved by `move`."""
    # Rounding down both ends of a distance that is at least a whole number leaves it at least that.
    columns = [(a + b + move) // 2 for a, b in zip(left, right, strict=True)]
    return [columns[block] + shift for block, shift in zip(blocks.block, blocks.shift, strict=True)]


def _stiffness(sheet: Sheet, upper: int, lower: int) -> int:
    """How much worse a kink is here than in a wire from a leaf: long wires and chains of ops are to be straight."""
    bends = (sheet.kind[upper] != BOX) + (sheet.kind[lower] != BOX)
    if bends:
        return 16 if sheet.tab_row[sheet.row[upper]] else 8 if bends == 2 else 4
    if len(sheet.down[upper]) == 1 and len(sheet.up[lower]) == 1:
        return 6
    return 3 if sheet.up[upper] else 2


def _tighten(sheet: Sheet, place: Sequence[int], axes: list[int]) -> None:
    """Draw each frame's edges up to what it holds, inner frames first, and its tab up to the edge beside it."""
    for number in range(len(sheet.fences) - 1, -1, -1):
        near, far = sheet.edges[number]
        tab = sheet.tabs.get(number, -1)
        at_far = tab >= 0 and place[tab] != place[near[0]] + 1
        near_limits, far_limits = [], []
        for vertex, other in zip(near, far, strict=True):
            row = sheet.rows[sheet.row[vertex]]
            first, last = row[place[vertex] + 1], row[place[other] - 1]
            if first != other and not (first == tab and at_far):
                near_limits.append(axes[first] - separation(sheet, vertex, first))
            if last != vertex and not (last == tab and not at_far):
                far_limits.append(axes[last] + separation(sheet, last, other))
        near_axis, far_axis = min(near_limits), max(far_limits)
        if at_far:
            axes[tab] = far_axis - separation(sheet, tab, far[0])
            near_axis = min(near_axis, axes[tab] - separation(sheet, near[0], tab))
        elif tab >= 0:
            axes[tab] = near_axis + separation(sheet, near[0], tab)
            far_axis = max(far_axis, axes[tab] + separation(sheet, tab, far[0]))
        for vertex, other in zip(near, far, strict=True):
            axes[vertex], axes[other] = near_axis, far_axis


def _brandes_koepf(
    sheet: Sheet,
    alignment: Alignment,
    place: Sequence[int],
    upper_port: Sequence[int],
    lower_port: Sequence[int],
) -> list[int]:
    """The mean of two placements of the same blocks, one packed to either side.

    Source: U. Brandes and B. Köpf, "Fast and simple horizontal coordinate assignment" (2001), whose four placements
    differ in their blocks, too: their mean bends what one of them holds straight. Distances are kept by compacting the
    blocks as one graph, as their 2020 erratum asks for.
    """
    for downwards in (True, False):
        _align_medians(sheet, alignment, place, downwards)
    blocks = build(sheet, alignment, upper_port, lower_port)
    pairs = _Pairs(blocks)
    left, right = _compact(sheet, blocks, pairs, True), _compact(sheet, blocks, pairs, False)
    fixed = _road_block(sheet, blocks)
    return _between(blocks, left, right, left[fixed] - right[fixed])


def _align_medians(sheet: Sheet, alignment: Alignment, place: Sequence[int], downwards: bool) -> None:
    """Let each vertex that nothing holds yet stand below or above the middle one of its neighbours."""
    kinds = sheet.kind
    place_of = [place[end] for end in (sheet.upper if downwards else sheet.lower)].__getitem__
    around = sheet.up if downwards else sheet.down
    for row in sheet.rows if downwards else reversed(sheet.rows):
        for vertex in row:
            numbers = around[vertex]
            if not numbers or kinds[vertex] in _EDGES:
                continue
            if alignment.held_above[vertex] if downwards else alignment.below[vertex] >= 0:
                continue
            if len(numbers) == 1:
                alignment.add(numbers[0])
                continue
            ranked = sorted(numbers, key=place_of)
            low, high = (len(ranked) - 1) // 2, len(ranked) // 2
            if not alignment.add(ranked[low]) and low != high:
                alignment.add(ranked[high])


def _compact(sheet: Sheet, blocks: Blocks, pairs: _Pairs, leftwards: bool) -> list[int]:
    """Columns of the blocks, packed to one side, then drawn towards their neighbours on the other."""
    first, second, least = pairs.from_left if leftwards else pairs.from_right
    columns = [0] * blocks.count
    for one, other, distance in zip(first, second, least, strict=True):
        if columns[one] + distance > columns[other]:
            columns[other] = columns[one] + distance
    loose = {blocks.block[side[0 if not leftwards else 1][0]] for side in sheet.edges}
    for one, group in groupby(range(len(first) - 1, -1, -1), key=first.__getitem__):
        if one not in loose:
            limit = min([columns[second[at]] - least[at] for at in group])
            if limit > columns[one]:
                columns[one] = limit
    return columns if leftwards else [-column for column in columns]


class _Pairs:
    """The neighbours among blocks, from left to right and the other way: first ones, second ones, distances.

    Whatever keeps a block back comes before what the block keeps back, and pairs of one first block are together.
    """

    def __init__(self, blocks: Blocks) -> None:
        order = _from_left(blocks)
        self.from_left = self._sorted(blocks.left, blocks.right, blocks.least, order)
        self.from_right = self._sorted(blocks.right, blocks.left, blocks.least, [-at for at in order])

    def _sorted(
        self, first: Sequence[int], second: Sequence[int], least: Sequence[int], order: Sequence[int]
    ) -> tuple[list[int], list[int], list[int]]:
        numbers = sorted(range(len(first)), key=[order[one] for one in first].__getitem__)
        return [first[at] for at in numbers], [second[at] for at in numbers], [least[at] for at in numbers]


def _from_left(blocks: Blocks) -> list[int]:
    """For each block a number that is higher than that of any block that it has on its left."""
    count, right = blocks.count, blocks.right
    by_left = sorted(range(len(right)), key=blocks.left.__getitem__)
    leading, waiting = [0] * (count + 1), [0] * count
    for left, other in zip(blocks.left, right, strict=True):
        leading[left + 1] += 1
        waiting[other] += 1
    start = list(accumulate(leading))
    order = [0] * count
    ready = [block for block in range(count) if not waiting[block]]
    for at, block in enumerate(ready):
        order[block] = at
        for number in range(start[block], start[block + 1]):
            other = right[by_left[number]]
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return order
