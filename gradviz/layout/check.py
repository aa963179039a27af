"""Check: proof that a drawing is in order, by looking at its rectangles and paths alone, not at how they were found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradviz.layout import measure
from gradviz.layout.drawing import Drawing, PlacedFrame, Point, Rectangle, RoutedWire
from gradviz.layout.tags import TAG_SIZE, box_room, tab_room, text_area
from gradviz.picture.records import BoxKind

_STEPS = 16
_CELL = 128
_HAIR = 0.75


def check(drawing: Drawing) -> tuple[str, ...]:
    """What is wrong with a drawing, one sentence each; empty where nothing is.

    Boxes, tabs and labels overlap nothing; wires run through no box but their own two, over no tab and no label of
    another; a frame contains its boxes and frames and no other; sibling frames lie apart; texts fit; all is within the
    drawing. Tags lie in their box or tab, beside each other and beside the text.
    """
    return (*_overlaps(drawing), *_frames(drawing), *_wires(drawing), *_texts(drawing), *_tags(drawing))


class _Field:
    """Rectangles by the squares of a grid that they touch, so that looking for neighbours is quick."""

    def __init__(self, areas: list[tuple[str, Rectangle]]) -> None:
        self.areas = areas
        self._squares: dict[tuple[int, int], list[int]] = {}
        for number, (_, area) in enumerate(areas):
            for square in _squares(area):
                self._squares.setdefault(square, []).append(number)

    def near(self, area: Rectangle) -> list[int]:
        """Numbers of the rectangles that may touch `area`."""
        found = {number for square in _squares(area) for number in self._squares.get(square, ())}
        return sorted(found)


def _squares(area: Rectangle) -> Iterator[tuple[int, int]]:
    for column in range(int(area.x // _CELL), int(area.right // _CELL) + 1):
        for row in range(int(area.y // _CELL), int(area.bottom // _CELL) + 1):
            yield column, row


def _solids(drawing: Drawing) -> list[tuple[str, Rectangle]]:
    """Everything that nothing may lie on, by a name for messages."""
    solids = [(f"box {placed.box.id}", placed.area) for placed in drawing.boxes]
    solids += [(f"tab of {placed.frame.id}", placed.tab) for placed in drawing.frames]
    for number, wire in enumerate(drawing.wires):
        if wire.label_area is not None:
            solids.append((f"label of wire {number}", wire.label_area))
    return solids


def _overlaps(drawing: Drawing) -> Iterator[str]:
    solids = _solids(drawing)
    field = _Field(solids)
    whole = Rectangle(0, 0, drawing.width, drawing.height)
    for number, (name, area) in enumerate(solids):
        if not whole.contains(area):
            yield f"{name} reaches out of the drawing"
        for other in field.near(area):
            if other > number and area.overlaps(solids[other][1]):
                yield f"{name} overlaps {solids[other][0]}"


def _frames(drawing: Drawing) -> Iterator[str]:
    by_id = {placed.frame.id: placed for placed in drawing.frames}
    field = _Field([(placed.box.id, placed.area) for placed in drawing.boxes])
    whole = Rectangle(0, 0, drawing.width, drawing.height)
    for placed in drawing.frames:
        if not whole.contains(placed.area):
            yield f"frame {placed.frame.id} reaches out of the drawing"
        for number in field.near(placed.area):
            box = drawing.boxes[number]
            if placed.frame.id in _around(box.box.frame, by_id):
                if not placed.area.contains(box.area):
                    yield f"box {box.box.id} reaches out of its frame {placed.frame.id}"
            elif placed.area.overlaps(box.area):
                yield f"box {box.box.id} lies in frame {placed.frame.id}"
    for box in drawing.boxes:
        for id in _around(box.box.frame, by_id):
            if not by_id[id].area.contains(box.area):
                yield f"box {box.box.id} is not in its frame {id}"
    for number, placed in enumerate(drawing.frames):
        outer = _around(placed.frame.id, by_id)
        for other in drawing.frames[number + 1 :]:
            if other.frame.id in outer:
                inner, around = placed, other
            elif placed.frame.id in _around(other.frame.id, by_id):
                inner, around = other, placed
            else:
                areas, others = (placed.area, placed.tab), (other.area, other.tab)
                if any(one.overlaps(two) for one in areas for two in others):
                    yield f"frames {placed.frame.id} and {other.frame.id} overlap"
                continue
            if not around.area.contains(inner.area):
                yield f"frame {inner.frame.id} reaches out of frame {around.frame.id}"


def _around(id: str | None, by_id: dict[str, PlacedFrame]) -> list[str]:
    """A frame and those around it, innermost first."""
    found = []
    while id is not None:
        found.append(id)
        id = by_id[id].frame.parent
    return found


def _wires(drawing: Drawing) -> Iterator[str]:
    solids = _solids(drawing)
    field = _Field(solids)
    area_of = {placed.box.id: placed.area for placed in drawing.boxes}
    for number, wire in enumerate(drawing.wires):
        own = {f"box {wire.wire.tail}", f"box {wire.wire.head}", f"label of wire {number}"}
        points = polyline(wire)
        hit: set[str] = set()
        for begin, end in pairwise(points):
            stretch = Rectangle(
                min(begin[0], end[0]), min(begin[1], end[1]), abs(begin[0] - end[0]), abs(begin[1] - end[1])
            )
            for other in field.near(stretch):
                name, area = solids[other]
                if name not in hit and name not in own and _cuts(begin, end, area):
                    hit.add(name)
                    yield f"wire {number} from {wire.wire.tail} to {wire.wire.head} runs over {name}"
        for id, point in ((wire.wire.tail, points[0]), (wire.wire.head, points[-1])):
            if not _on_edge(point, area_of[id]):
                yield f"wire {number} does not meet box {id} at its edge"
        if any(_inside(point, area_of[id]) for id in (wire.wire.tail, wire.wire.head) for point in points[1:-1]):
            yield f"wire {number} runs through one of its own boxes"


def polyline(wire: RoutedWire) -> list[Point]:
    """A wire's path as points so dense that straight lines between them miss the curve by less than half a pixel."""
    points = [wire.start]
    for piece in wire.pieces:
        if len(piece) == 1:
            points.append(piece[0])
            continue
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points[-1], *piece
        for step in range(1, _STEPS + 1):
            t = step / _STEPS
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            points.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return points


def _cuts(begin: Point, end: Point, area: Rectangle) -> bool:
    """Whether a straight line runs through a rectangle, not just along its edge (Liang and Barsky's clipping)."""
    low, high = 0.0, 1.0
    for start, delta, least, most in (
        (begin[0], end[0] - begin[0], area.x + _HAIR, area.right - _HAIR),
        (begin[1], end[1] - begin[1], area.y + _HAIR, area.bottom - _HAIR),
    ):
        if not delta:
            if not least < start < most:
                return False
            continue
        enter, leave = sorted(((least - start) / delta, (most - start) / delta))
        low, high = max(low, enter), min(high, leave)
    return low < high


def _on_edge(point: Point, area: Rectangle) -> bool:
    x, y = point
    within = area.x <= x <= area.right and area.y <= y <= area.bottom
    return within and (x in (area.x, area.right) or y in (area.y, area.bottom))


def _inside(point: Point, area: Rectangle) -> bool:
    return area.x + _HAIR < point[0] < area.right - _HAIR and area.y + _HAIR < point[1] < area.bottom - _HAIR


def _texts(drawing: Drawing) -> Iterator[str]:
    for placed in drawing.boxes:
        bold = placed.box.kind in (BoxKind.CUT, BoxKind.ERROR)
        title = measure.text_width(placed.title, "bold" if bold else "mono", measure.TITLE_SIZE)
        detail = measure.text_width(placed.detail, "sans", measure.DETAIL_SIZE)
        if max(title, detail) > placed.area.width - box_room(placed.box) - 8:
            yield f"the text of box {placed.box.id} is wider than the box"
        if (2 if placed.detail else 1) * measure.LINE_HEIGHT > placed.area.height:
            yield f"the text of box {placed.box.id} is higher than the box"
    for frame in drawing.frames:
        room = tab_room(len(frame.tags))
        if measure.text_width(frame.title, "bold", measure.DETAIL_SIZE) > frame.tab.width - room - 8:
            yield f"the title of frame {frame.frame.id} is wider than its tab"
    for number, wire in enumerate(drawing.wires):
        if wire.label_area is None:
            if wire.label:
                yield f"wire {number} has a label and no place for it"
        elif measure.text_width(wire.label, "sans", measure.DETAIL_SIZE) > wire.label_area.width:
            yield f"the label of wire {number} is wider than its place"


def _tags(drawing: Drawing) -> Iterator[str]:
    for box in drawing.boxes:
        badge = box.box.kind is BoxKind.CUT
        free = text_area(box.area, box_room(box.box), before=not badge)
        yield from _misplaced(f"box {box.box.id}", box.box.findings, box.tags, box.area, free)
    for frame in drawing.frames:
        free = text_area(frame.tab, tab_room(len(frame.tags)))
        yield from _misplaced(f"tab of {frame.frame.id}", frame.frame.findings, frame.tags, frame.tab, free)


def _misplaced(
    name: str, numbers: tuple[int, ...], tags: tuple[Rectangle, ...], area: Rectangle, free: Rectangle
) -> Iterator[str]:
    if len(tags) != len(numbers):
        yield f"{name} has {len(numbers)} findings and {len(tags)} tags"
    # The text keeps this much of its own room free, and tags may reach into that.
    words = Rectangle(free.x + measure.PADDING - 2, free.y, free.width - 2 * (measure.PADDING - 2), free.height)
    for number, tag in enumerate(tags):
        if not area.contains(tag) or (tag.width, tag.height) != (TAG_SIZE, TAG_SIZE):
            yield f"a tag reaches out of {name}"
        if tag.overlaps(words) or any(tag.overlaps(other) for other in tags[:number]):
            yield f"a tag of {name} overlaps what it holds"
