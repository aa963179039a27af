"""Arrange: a picture becomes a drawing. Parts that nothing joins are laid out one by one and packed side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradviz.layout import measure, order, place, rank, route, rows, spine
from gradviz.layout.drawing import MODULE_KINDS, Direction, Drawing
from gradviz.layout.pack import LaidOut, pack
from gradviz.layout.parts import LITERAL_GAP, LOOP, PORT_MARGIN, Part, Survey
from gradviz.picture.records import BoxKind, Picture, Wire, WireKind

_ACCENTED = (WireKind.GRADIENT, WireKind.CUT)
_OUTPUTS = (BoxKind.OUTPUT, BoxKind.OFF_OUTPUT)
_ROAD_WEIGHT = 1000
"""One wire that carries gradient outweighs any number that do not, when the main road is chosen."""


def arrange(picture: Picture, direction: Direction = "TB") -> Drawing:
    """Give every box, wire and frame of a picture its place.

    `direction` is "TB" for data that flows from top to bottom, "LR" for left to right. Raises `ValueError` for another
    direction, or for a wire or a frame that refers to what the picture does not hold.
    """
    if direction not in ("TB", "LR"):
        raise ValueError(f"unknown direction `{direction}`")
    survey = Survey(picture, direction)
    return pack(survey, [_lay_out(survey, part) for part in survey.parts()])


def _lay_out(survey: Survey, part: Part) -> LaidOut:
    """Rank, order, place and route one part."""
    local = {box: number for number, box in enumerate(part.boxes)}
    fence_at = {frame: number for number, frame in enumerate(part.frames)}
    wires = [survey.picture.wires[number] for number in part.wires]
    ends = [survey.ends[number] for number in part.wires]
    heads = {head for _, head in ends}
    links = [
        rank.Link(local[tail], local[head], _weight(wire.kind, tail in heads))
        for (tail, head), wire in zip(ends, wires, strict=True)
    ]
    forward = rank.acyclic(len(local), links)
    cells = [_cell(survey, box, fence_at) for box in part.boxes]
    fences = [_fence(survey, frame, fence_at) for frame in part.frames]
    modules = [survey.frames[frame].kind in MODULE_KINDS for frame in part.frames]
    groups = [rank.Group(*pair) for pair in zip(_members(cells, fences), modules, strict=True)]
    ranks = rank.ranks(len(cells), forward, groups, _sinks(survey, part, forward))
    road = spine.main_road(
        len(cells),
        [
            (link.tail, link.head, _ROAD_WEIGHT if wire.kind is WireKind.GRADIENT else 1)
            for link, wire in zip(forward, wires, strict=True)
        ],
    )
    strands = _strands(wires, forward, survey.direction)
    sheet = rows.cut(cells, strands, fences, ranks, road, tabs_in_rows=survey.direction == "TB")
    candidates = []
    for ordered in order.orders(sheet):
        sheet.rows = ordered
        candidates.append((place.place(sheet), ordered))
    placement, sheet.rows = min(candidates, key=lambda candidate: candidate[0].cost)
    placement = place.settle_tabs(sheet, placement)
    plan = route.route(sheet, placement, [wire.lost for wire in wires])
    turned = [link is not kept for link, kept in zip(links, forward, strict=True)]
    return LaidOut(part, plan, turned)


def _weight(kind: WireKind, from_op: bool) -> int:
    """How short and straight a wire should be. A leaf may stand further off: it is often shared."""
    if from_op:
        return 4 if kind in _ACCENTED else 3
    return 2 if kind in _ACCENTED else 1


def _cell(survey: Survey, box: int, fence_at: dict[int, int]) -> rows.Cell:
    """A box with what sits beside it."""
    across, along = survey.across(box), survey.along(box)
    before = after = across // 2
    room = max(before - PORT_MARGIN, 0)
    if survey.picture.boxes[box].kind is BoxKind.CUT:
        # The road runs through the scissors, not through the middle of the badge.
        room = 3
        if survey.direction == "TB":
            before, after = measure.BADGE_AXIS, across - measure.BADGE_AXIS
    reach = [before, after]
    for literal in survey.literals.get(box, ()):
        side, edge = (0, before) if literal.near else (1, after)
        reach[side] = max(reach[side], edge + LITERAL_GAP + survey.across(literal.box))
        along = max(along, math.ceil(2 * abs(literal.offset)) + survey.along(literal.box))
    if box in survey.loops:
        reach[1] = max(reach[1], after + LOOP)
    frame = survey.frame_of[box]
    return rows.Cell(reach[0], reach[1], along, room, fence_at[frame] if frame >= 0 else -1)


def _fence(survey: Survey, frame: int, fence_at: dict[int, int]) -> rows.Fence:
    parent = survey.parent_of[frame]
    title, tags = measure.tab_text(survey.frames[frame].title), len(survey.frames[frame].findings)
    size = measure.tab_size(title, tags)
    return rows.Fence(fence_at[parent] if parent >= 0 else -1, _turn(size, survey.direction))


def _turn(size: tuple[int, int], direction: Direction) -> tuple[int, int]:
    """Width and height as across and along, and back."""
    return size if direction == "TB" else size[::-1]


def _members(cells: Sequence[rows.Cell], fences: Sequence[rows.Fence]) -> list[list[int]]:
    """The cells in each fence, those of inner fences too."""
    members: list[list[int]] = [[] for _ in fences]
    for number, cell in enumerate(cells):
        fence = cell.frame
        while fence >= 0:
            members[fence].append(number)
            fence = fences[fence].parent
    return members


def _sinks(survey: Survey, part: Part, links: Sequence[rank.Link]) -> list[int]:
    """The outputs that lead nowhere else: they belong at the end."""
    tails = {link.tail for link in links}
    kinds = [survey.picture.boxes[box].kind for box in part.boxes]
    return [number for number, kind in enumerate(kinds) if kind in _OUTPUTS and number not in tails]


def _strands(wires: Sequence[Wire], links: Sequence[rank.Link], direction: Direction) -> list[rows.Strand]:
    ducts: dict[tuple[int, WireKind, bool, int], int] = {}
    twins: dict[tuple[int, int, WireKind, bool], int] = {}
    strands = []
    for wire, link in zip(wires, links, strict=True):
        # Wires between the same two boxes run side by side, so that one can see how many they are.
        pair = (link.tail, link.head, wire.kind, wire.lost)
        twin = twins[pair] = twins.get(pair, -1) + 1
        duct = ducts.setdefault((link.tail, wire.kind, wire.lost, twin), len(ducts))
        label = _turn(measure.label_size(measure.label_text(wire.label)), direction) if wire.label else None
        strands.append(rows.Strand(link.tail, link.head, duct, link.weight, label))
    return strands
