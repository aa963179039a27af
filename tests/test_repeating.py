"""Leaves that are used far apart are drawn beside each use, if nothing is to be seen on the way."""

from __future__ import annotations

from dataclasses import replace

from pictures import Sketch

from gradviz.picture.records import Box, Picture
from gradviz.picture.repeating import FAR, MOST, repeat_leaves


def chain(length: int, *uses: int) -> Picture:
    """A chain of ops, and a leaf `w` that those at the places `uses` take."""
    sketch = Sketch("chain.py", "")
    sketch.box("w", "leaf", "w")
    for number in range(length):
        sketch.box(str(number), "op", f"op {number}")
        if number:
            sketch.wire(f"{number - 1} -> {number}")
        if number in uses:
            sketch.wire(f"w -> {number}")
    picture = sketch.picture()
    return replace(picture, boxes=(replace(picture.boxes[0], value=1), *picture.boxes[1:]))


def leaves(picture: Picture) -> list[tuple[Box, list[str]]]:
    """Each box of the leaf, with the titles of those that it leads to."""
    titles = {box.id: box.title for box in picture.boxes}
    return [
        (box, [titles[wire.head] for wire in picture.wires if wire.tail == box.id])
        for box in picture.boxes
        if box.title == "w"
    ]


def test_a_leaf_used_far_apart_is_drawn_at_each_place() -> None:
    picture = repeat_leaves(chain(3 * FAR, 0, 1, 2 * FAR, 2 * FAR + 1))
    (first, near), (again, far) = leaves(picture)
    assert near == ["op 0", "op 1"]
    assert far == [f"op {2 * FAR}", f"op {2 * FAR + 1}"]
    assert (first.detail, again.detail) == ("", "the same again")
    assert first.value == again.value == 1
    assert first.tooltip[-1] == again.tooltip[-1] == ("drawn", "2 times, beside each use")
    places = {box.id: place for place, box in enumerate(picture.boxes)}
    assert list(places) == [f"b{place}" for place in range(len(places))]
    assert all(places[wire.tail] < places[wire.head] for wire in picture.wires)


def test_one_that_is_used_nearby_or_everywhere_stays_one() -> None:
    near = chain(3 * FAR, 0, FAR // 2)
    assert repeat_leaves(near) is near
    everywhere = chain((MOST + 2) * 2 * FAR, *range(0, (MOST + 2) * 2 * FAR, FAR + 2))
    assert repeat_leaves(everywhere) is everywhere


def test_one_that_something_is_told_of_stays_one() -> None:
    picture = chain(3 * FAR, 0, 2 * FAR)
    blamed = replace(picture, boxes=(replace(picture.boxes[0], findings=(1,)), *picture.boxes[1:]))
    assert repeat_leaves(blamed) is blamed
    wires = tuple(replace(wire, lost=wire.tail == "b0") for wire in picture.wires)
    assert len(leaves(repeat_leaves(replace(picture, wires=wires)))) == 1


def test_a_use_nearer_to_the_end_counts_from_the_end() -> None:
    """`x` goes in at the top and, by a short way of its own, at the bottom."""
    sketch = Sketch("short.py", "")
    sketch.box("w", "const", "w")
    sketch.box("0", "op", "op 0")
    sketch.wire("w ~> 0")
    for number in range(1, 2 * FAR):
        sketch.box(str(number), "op", f"op {number}")
        sketch.wire(f"{number - 1} -> {number}")
    sketch.box("short", "op", "short")
    sketch.box("end", "op", "end")
    sketch.wire("w ~> short -> end")
    sketch.wire(f"{2 * FAR - 1} -> end")
    picture = sketch.picture()
    picture = replace(picture, boxes=(replace(picture.boxes[0], value=1), *picture.boxes[1:]))
    assert [heads for _, heads in leaves(repeat_leaves(picture))] == [["op 0"], ["short"]]
