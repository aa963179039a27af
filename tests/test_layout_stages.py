"""Stages: a deep picture is cut where all passes through one box, and what looks alike is laid out once."""

from __future__ import annotations

from itertools import pairwise

import crossings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import ALL, Sketch
from test_layout import pictures

from gradviz.layout import arrange, check, order, place, stages, threads


def attention(layers: int):
    """Layers of attention with its residual and of a perceptron with its own, each op with its leaves."""
    sketch = Sketch("attention", "")
    names = iter(range(10_000))

    def op(title: str, *tails: str, leaves: int = 0) -> str:
        name = f"{title}{next(names)}"
        for number in range(leaves):
            sketch.box(f"{name}.{number}", "leaf", f"leaf {number}", "(32, 32) float32")
        sketch.box(name, "op", title, "line 1")
        for tail in (*tails, *(f"{name}.{number}" for number in range(leaves))):
            sketch.wire(f"{tail} -> {name}")
        return name

    sketch.box("x", "const", "x", "(8, 32) float32")
    at = "x"
    for _ in range(layers):
        at = op("norm", at, leaves=2)
        heads = [op("transpose", op("view", op("linear", at, leaves=2))) for _ in range(3)]
        out = op("dropout", op("linear", op("reshape", op("attention", *heads)), leaves=2))
        at = op("norm", op("add", out, at), leaves=2)
        inner = op("gelu", op("linear", at, leaves=2))
        at = op("add", op("linear", inner, leaves=2), at)
    op("loss", at)
    return sketch.picture()


def sheets(picture, monkeypatch):
    """The sheets that the parts of a picture are solved on."""
    found = []
    solve = stages.solve

    def solving(sheet):
        found.append(sheet)
        return solve(sheet)

    monkeypatch.setattr(stages, "solve", solving)
    drawing = arrange(picture)
    assert check(drawing) == ()
    return found, drawing


# where a sheet is cut


@pytest.mark.parametrize("name", [*ALL, "attention"])
def test_stages_hold_every_segment_once_and_share_one_vertex_with_the_next(name, monkeypatch):
    for sheet in sheets(attention(3) if name == "attention" else ALL[name](), monkeypatch)[0]:
        found = stages.find_stages(sheet)
        assert bool(found) is not bool(sheet.fences) or len(sheet.rows) == 1
        if found:
            assert sorted(number for stage in found for number in stage.segments) == list(range(len(sheet.upper)))
            assert {vertex for stage in found for vertex in stage.vertices} == set(range(len(sheet.kind)))
            assert [found[0].first, found[-1].last] == [0, len(sheet.rows) - 1]
        for one, other in pairwise(found):
            (shared,) = {*one.vertices} & {*other.vertices}
            assert one.last == other.first == sheet.row[shared]


def test_a_part_that_all_passes_by_is_not_cut():
    sketch = Sketch("bypassed", "")
    for name in "abcd":
        sketch.box(name, "op", name, "line 1")
    sketch.wire("a -> b -> c -> d")
    sketch.wire("a -> d")
    with pytest.MonkeyPatch.context() as patch:
        (sheet,), _ = sheets(sketch.picture(), patch)
    assert [(stage.first, stage.last) for stage in stages.find_stages(sheet)] == [(0, 3)]


@settings(max_examples=80, deadline=None)
@given(pictures(), st.sampled_from(["TB", "LR"]))
def test_random_pictures_are_in_order_however_little_a_cut_saves(picture, direction):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_MOST", 1.0)
        assert check(arrange(picture, direction)) == ()


# what is laid out once


def test_blocks_that_look_alike_are_ordered_and_placed_once(monkeypatch):
    done = []

    def counting(function):
        return lambda *given: done.append(function) or function(*given)

    monkeypatch.setattr(order, "orders", counting(order.orders))
    monkeypatch.setattr(place, "place", counting(place.place))
    assert check(arrange(attention(3))) == ()
    few = done[:]
    done.clear()
    assert check(arrange(attention(30))) == ()
    assert done == few


def uneven(*widths: int):
    """Layers of one form whose middle ops have names of these many letters."""
    sketch = Sketch("uneven", "")
    sketch.box("x", "const", "x", "(8, 32) float32")
    at = "x"
    for number, width in enumerate(widths):
        for name in ("split", "left", "right", "join"):
            sketch.box(f"{name}{number}", "op", "m" * (12 + width) if name == "left" else name, "line 1")
        sketch.wire(f"{at} -> split{number} -> left{number} -> join{number}")
        sketch.wire(f"split{number} -> right{number} -> join{number}")
        at = f"join{number}"
    return sketch.picture()


@pytest.mark.parametrize(
    ("widths", "times"), [((0, 1, 2), 1), ((2, 1, 0), 1), ((0, 20, 0), 2), ((0, 2, 4, 6, 8, 10), 3)]
)
def test_layers_of_nearly_one_size_are_placed_once_with_room_for_the_largest(widths, times, monkeypatch):
    placed = []
    once = place.place

    def placing(sheet, *cells):
        placed.append(sheet)
        return once(sheet, *cells)

    monkeypatch.setattr(place, "place", placing)
    assert check(arrange(uneven(*widths))) == ()
    assert sum(any(len(row) > 1 for row in sheet.rows) for sheet in placed) == times


def test_layers_that_are_alike_look_alike():
    drawing = arrange(attention(4))
    places = [(placed.area.x, placed.area.y) for placed in drawing.boxes]
    starts = [number for number, placed in enumerate(drawing.boxes) if placed.box.title == "attention"]
    layers = [
        [(x - places[start][0], y - places[start][1]) for x, y in places[start:following]]
        for start, following in pairwise(starts)
    ]
    assert layers[0] == layers[1] == layers[2]


def test_a_picture_of_over_forty_vertices_is_placed_in_one_order(monkeypatch):
    sketch = Sketch("mirrored", "")
    sketch.box("root", "op", "root", "line 1")
    for side in "abc":
        before = "root"
        for number in range(14):
            sketch.box(f"{side}{number}", "op", side, "line 1")
            sketch.wire(f"{before} -> {side}{number}")
            before = f"{side}{number}"
    orders = []
    solve = order.orders
    monkeypatch.setattr(order, "orders", lambda *given: orders.append(solve(*given)) or orders[-1])
    arrange(sketch.picture())
    assert [len(found) for found in orders] == [1]


# where wires are led


def test_a_residual_crosses_no_more_than_it_must():
    """Three is the least for a layer whose three heads have two leaves each: Graphviz has as many."""
    assert crossings.of_drawing(arrange(attention(4))) == 3 * 4


def test_threads_are_chains_with_the_leaves_that_they_alone_use(monkeypatch):
    seen = []
    lead = order.rethread

    def looking(sorter):
        found = threads._find_threads(sorter)
        own = [vertex for thread in found for vertices in thread.content.values() for vertex in vertices]
        assert len(own) == len(set(own))
        lead(sorter)
        assert [sorted(row) for row in sorter.sheet.rows] == [sorted(row) for row in sorter.given]
        seen.append(len(found))

    monkeypatch.setattr(order, "rethread", looking)
    arrange(attention(1))
    assert seen


def test_no_thread_is_led_where_more_crosses(monkeypatch):
    before_and_after = []
    lead = order.rethread

    def counting(sorter):
        before = sorter.crossings()
        lead(sorter)
        before_and_after.append((before, sorter.crossings()))

    monkeypatch.setattr(order, "rethread", counting)
    for name, make in ALL.items():
        assert check(arrange(make())) == (), name
    arrange(attention(2))
    assert before_and_after
    assert all(after <= before for before, after in before_and_after)
