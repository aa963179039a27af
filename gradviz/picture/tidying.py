"""Tidying: the picture of a folded graph with its boxes in the order of its wires, and without empty frames."""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush

from gradviz.picture.records import Box, Frame, Picture, WireKind


def in_order(picture: Picture) -> Picture:
    """The boxes so that wires lead from earlier ones to later ones, and called by their place again."""
    places = {box.id: place for place, box in enumerate(picture.boxes)}
    onward: dict[str, list[str]] = {}
    waits = dict.fromkeys(places, 0)
    for wire in picture.wires:
        if wire.kind is not WireKind.ALIAS:
            onward.setdefault(wire.tail, []).append(wire.head)
            waits[wire.head] += 1
    ready = [places[id] for id, count in waits.items() if not count]
    heapify(ready)
    order: list[Box] = []
    while ready:
        box = picture.boxes[heappop(ready)]
        order.append(box)
        for head in onward.get(box.id, ()):
            waits[head] -= 1
            if not waits[head]:
                heappush(ready, places[head])
    names = {box.id: f"b{place}" for place, box in enumerate(order)}
    ranks = {box.id: place for place, box in enumerate(order)}
    return replace(
        picture,
        boxes=tuple(replace(box, id=names[box.id]) for box in order),
        # One box may hold a write and, later on, a read of what it wrote: only one of both ways is drawn.
        wires=tuple(
            replace(wire, tail=names[wire.tail], head=names[wire.head])
            for wire in picture.wires
            if ranks[wire.tail] < ranks[wire.head]
        ),
    )


def without_empty_frames(picture: Picture) -> Picture:
    """`picture` without the frames that no box lies in, the others called by their place again."""
    parents = {frame.id: frame.parent for frame in picture.frames}
    used: set[str] = set()
    for box in picture.boxes:
        frame = box.frame
        while frame is not None and frame not in used:
            used.add(frame)
            frame = parents[frame]
    names: dict[str | None, str | None] = {None: None}
    kept: list[Frame] = []
    # Parents come before children.
    for frame_ in sorted((frame for frame in picture.frames if frame.id in used), key=lambda f: _depth(f.id, parents)):
        names[frame_.id] = f"f{len(kept)}"
        kept.append(replace(frame_, id=f"f{len(kept)}", parent=names[frame_.parent]))
    boxes = tuple(replace(box, frame=names[box.frame]) for box in picture.boxes)
    return replace(picture, boxes=boxes, frames=tuple(kept))


def _depth(frame: str, parents: dict[str, str | None]) -> int:
    depth = 0
    up = parents[frame]
    while up is not None:
        depth, up = depth + 1, parents[up]
    return depth
