"""Arrange: a picture becomes a drawing. Parts that nothing joins are laid out one by one and packed side by side."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from gradviz.collecting import uncollected
from gradviz.layout import measure, place, rank, rows, spine, stages
from gradviz.layout.drawing import MODULE_KINDS, Direction, Drawing
from gradviz.layout.pack import LaidOut, pack
from gradviz.layout.parts import LITERAL_GAP, LOOP, PORT_MARGIN, Part, Survey, picked
from gradviz.layout.route import Plan
from gradviz.layout.strands import Strands, turn_round
from gradviz.picture.records import BoxKind, Picture, WireKind

_FIRST = (WireKind.GRADIENT, WireKind.CUT, WireKind.TRACKED)
_KINDS = [*_FIRST, *(kind for kind in WireKind if kind not in _FIRST)]
_PLACE_OF = {kind: place for place, kind in enumerate(_KINDS)}
_GRADIENT = 0
_ACCENTED = 2
"""Kinds before this one are to catch the eye."""
_OUTPUTS = (BoxKind.OUTPUT, BoxKind.OFF_OUTPUT)
_ROAD_WEIGHT = 1000
"""One wire that carries gradient outweighs any number that do not, when the main road is chosen."""

_OFTEN = 40
"""Parts of up to so many boxes are remembered: a picture may hold many that look the same."""


def arrange(picture: Picture, direction: Direction = "TB") -> Drawing:
    """Give every box, wire and frame of a picture its place.

    `direction` is "TB" for data that flows from top to bottom, "LR" for left to right. Raises `ValueError` for another
    direction, or for a wire or a frame that refers to what the picture does not hold.
    """
    if direction not in ("TB", "LR"):
        raise ValueError(f"unknown direction `{direction}`")
    return _arrange(picture, direction)


@uncollected
def _arrange(picture: Picture, direction: Direction) -> Drawing:
    # What layout needs on the way is gone when this returns, before the garbage collector is back.
    survey = Survey(picture, direction)
    known: dict[Hashable, Plan] = {}
    return pack(survey, [_lay_out(survey, part, known) for part in survey.parts()])


def _lay_out(survey: Survey, part: Part, known: dict[Hashable, Plan]) -> LaidOut:
    """Rank, order, place and route one part, unless it looks just like a small one before it."""
    fence_at = {frame: number for number, frame in enumerate(part.frames)}
    cells = _cells(survey, part, fence_at)
    strands, worth, turned = _strands(survey, part)
    fences = [_fence(survey, frame, fence_at) for frame in part.frames]
    modules = [survey.frames[frame].kind in MODULE_KINDS for frame in part.frames]
    sinks = _sinks(survey, part, strands)
    if len(part.boxes) > _OFTEN:
        return LaidOut(part, _plan(survey, cells, strands, worth, fences, modules, sinks), turned)
    look: Hashable = tuple(
        map(
            tuple,
            (
                *(cells.before, cells.after, cells.along, cells.room, cells.frame),
                *(strands.tails, strands.heads, strands.ducts, strands.marked, strands.labels.items()),
                *(fences, modules, sinks, strands.weights, worth),
            ),
        )
    )
    if look not in known:
        known[look] = _plan(survey, cells, strands, worth, fences, modules, sinks)
    return LaidOut(part, known[look], turned)


def _plan(
    survey: Survey,
    cells: rows.Cells,
    strands: Strands,
    worth: Sequence[int],
    fences: Sequence[rows.Fence],
    modules: Sequence[bool],
    sinks: Sequence[int],
) -> Plan:
    count = len(cells.along)
    groups = [rank.Group(*pair) for pair in zip(_members(cells, fences), modules, strict=True)]
    ranks = rank.ranks(count, strands, groups, sinks)
    road = spine.main_road(count, strands, worth)
    sheet = rows.cut(cells, strands, fences, ranks, road, tabs_in_rows=survey.direction == "TB")
    return Plan(sheet, place.settle_tabs(sheet, stages.solve(sheet)))


def _cells(survey: Survey, part: Part, fence_at: dict[int, int]) -> rows.Cells:
    """The part's boxes with what sits beside them."""
    along, frame_of = survey.along, survey.frame_of
    half = [breadth // 2 for breadth in picked(survey.across, part.boxes)]
    cells = rows.Cells(
        half,
        half.copy(),
        [*picked(along, part.boxes)],
        [max(reach - PORT_MARGIN, 0) for reach in half],
        [fence_at.get(frame_of[box], -1) for box in part.boxes] if fence_at else [-1] * len(half),
    )
    special = survey.badges | survey.literals.keys() | survey.loops.keys()
    for number, box in enumerate(part.boxes if special else ()):
        if box not in special:
            continue
        reach = [half[number], half[number]]
        if box in survey.badges:
            # The road runs through the scissors, not through the middle of the badge.
            cells.room[number] = 3
            if survey.direction == "TB":
                reach = [measure.BADGE_AXIS, survey.across[box] - measure.BADGE_AXIS]
        edges = tuple(reach)
        for literal in survey.literals.get(box, ()):
            side = 0 if literal.near else 1
            reach[side] = max(reach[side], edges[side] + LITERAL_GAP + survey.across[literal.box])
            length = math.ceil(2 * abs(literal.offset)) + along[literal.box]
            cells.along[number] = max(cells.along[number], length)
        if box in survey.loops:
            reach[1] = max(reach[1], edges[1] + LOOP)
        cells.before[number], cells.after[number] = reach
    return cells


def _fence(survey: Survey, frame: int, fence_at: dict[int, int]) -> rows.Fence:
    parent = survey.parent_of[frame]
    title, tags = measure.tab_text(survey.frames[frame].title), len(survey.frames[frame].findings)
    size = measure.tab_size(title, tags)
    return rows.Fence(fence_at[parent] if parent >= 0 else -1, _turn(size, survey.direction))


def _turn(size: tuple[int, int], direction: Direction) -> tuple[int, int]:
    """Width and height as across and along, and back."""
    return size if direction == "TB" else size[::-1]


def _members(cells: rows.Cells, fences: Sequence[rows.Fence]) -> list[list[int]]:
    """The cells in each fence, those of inner fences too."""
    members: list[list[int]] = [[] for _ in fences]
    for number, fence in enumerate(cells.frame if fences else ()):
        while fence >= 0:
            members[fence].append(number)
            fence = fences[fence].parent
    return members


def _sinks(survey: Survey, part: Part, strands: Strands) -> list[int]:
    """The outputs that lead nowhere else: they belong at the end."""
    boxes = survey.picture.boxes
    found = [number for number, box in enumerate(part.boxes) if boxes[box].kind in _OUTPUTS]
    tails = set(strands.tails) if found else set()
    return [number for number in found if number not in tails]


def _strands(survey: Survey, part: Part) -> tuple[Strands, list[int], list[bool]]:
    """The part's wires, what each is worth to the main road, and which were turned round."""
    wires = picked(survey.picture.wires, part.wires)
    tails, heads = [*picked(survey.tails, part.wires)], [*picked(survey.heads, part.wires)]
    if len(part.boxes) < len(survey.picture.boxes):
        local = dict(zip(part.boxes, range(len(part.boxes)), strict=True))
        tails, heads = [local[tail] for tail in tails], [local[head] for head in heads]
    fed = set(heads)
    kinds = [_PLACE_OF[wire.kind] for wire in wires]
    # How short and straight each should be. A leaf may stand further off: it is often shared.
    weights = [
        (2 if tail in fed else 0) + (2 if kind < _ACCENTED else 1) for tail, kind in zip(tails, kinds, strict=True)
    ]
    turned, by_head = turn_round(len(part.boxes), tails, heads)
    marked = [wire.lost for wire in wires]
    count, variants = len(part.boxes), 2 * len(_KINDS)
    ducts = [
        tail * variants + 2 * kind + lost for tail, kind, lost in zip(tails, kinds, marked, strict=True)
    ]
    pairs = [duct * count + head for duct, head in zip(ducts, heads, strict=True)]
    if len(set(pairs)) < len(pairs):
        # Wires between the same two boxes run side by side, so that one can see how many they are.
        twins: dict[int, int] = {}
        for number, pair in enumerate(pairs):
            twin = twins[pair] = twins.get(pair, -1) + 1
            ducts[number] += twin * count * variants
    labels = {
        number: _turn(measure.label_size(measure.label_text(wire.label)), survey.direction)
        for number, wire in enumerate(wires)
        if wire.label
    }
    worth = [_ROAD_WEIGHT if kind == _GRADIENT else 1 for kind in kinds]
    return Strands(tails, heads, weights, ducts, labels, marked, by_head), worth, turned
