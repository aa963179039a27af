"""Lanes: a deep picture with long wires everywhere takes work in proportion to its size, and is in order."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import ALL, Sketch, lstm
from test_layout import pictures

from gradviz.layout import arrange, check, lanes, rows
from gradviz.layout.check import polyline


def knotted(count: int, frames: bool = False):
    """A chain of ops, of which every third one also takes something from anywhere before it."""
    chance = random.Random(count)
    sketch = Sketch("knotted", "")
    for number in range(count):
        frame = f"f{number // 50}" if frames else None
        if frames and number % 50 == 0:
            sketch.frame(f"f{number // 50}", f"block {number // 50}", "module")
        sketch.box(f"n{number}", "op", f"op{number}", "line 1", frame)
        if number:
            sketch.wire(f"n{number - 1} -> n{number}")
        if number and number % 3 == 0:
            sketch.wire(f"n{chance.randrange(number)} -> n{number}")
    return sketch.picture()


def drawn(picture, monkeypatch, direction="TB"):
    """A picture's drawing and the sheets that it was laid out on."""
    sheets = []
    cut = rows.cut

    def cutting(*given, **options):
        sheets.append(cut(*given, **options))
        return sheets[-1]

    with monkeypatch.context() as patch:
        patch.setattr(rows, "cut", cutting)
        return arrange(picture, direction), sheets


def test_twice_as_many_boxes_have_about_twice_as_many_bends(monkeypatch):
    counts = []
    for count in (1500, 3000, 6000):
        _, (sheet,) = drawn(knotted(count), monkeypatch)
        assert sheet.aside
        counts.append(len(sheet.kind))
    assert counts[1] <= 2.2 * counts[0]
    assert counts[2] <= 2.2 * counts[1]
    assert counts[2] <= lanes.BENDS * 6000


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("frames", [False, True])
def test_wires_in_lanes_run_over_nothing(direction, frames, monkeypatch):
    picture = knotted(2000, frames)
    drawing, (sheet,) = drawn(picture, monkeypatch, direction)
    assert sheet.aside
    assert check(drawing) == ()
    assert arrange(picture, direction) == drawing
    for wire in drawing.wires:
        for x, y in polyline(wire):
            assert 0 <= x <= drawing.width
            assert 0 <= y <= drawing.height


def test_no_two_wires_share_a_lane_where_both_run(monkeypatch):
    drawing, _ = drawn(knotted(1500), monkeypatch)
    right = max(placed.area.right for placed in drawing.boxes)
    runs = {}
    for wire in drawing.wires:
        points = polyline(wire)
        for (x, y), (to_x, to_y) in pairwise(points):
            if x == to_x > right + lanes.GAP and to_y - y > 1000:
                runs.setdefault(x, []).append((y, to_y, wire.wire.tail))
    assert len(runs) > 100
    for found in runs.values():
        found.sort()
        for (_, end, tail), (start, _, other) in pairwise(found):
            assert end <= start or tail == other


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=30))
def test_lanes_are_as_few_as_can_be(pairs):
    spans = sorted((first, first + length) for first, length in pairs)
    found = lanes.allot(spans)
    for number, (first, last) in enumerate(spans):
        for other, (start, end) in enumerate(spans[:number]):
            assert found[other] != found[number] or end < first or last < start
    most = max((sum(first <= row <= last for first, last in spans) for row in range(41)), default=0)
    assert len(set(found)) == most


@settings(max_examples=100, deadline=None)
@given(pictures(), st.sampled_from(["TB", "LR"]))
def test_random_pictures_are_in_order_however_short_a_long_wire_is(picture, direction):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "FEW", 0)
        patch.setattr(lanes, "BENDS", 0)
        patch.setattr(lanes, "FAR", 2)
        drawing = arrange(picture, direction)
        assert check(drawing) == ()
        assert arrange(picture, direction) == drawing


@pytest.mark.parametrize("name", [*ALL, "lstm"])
def test_where_wires_share_their_bends_none_leaves_the_rows(name, monkeypatch):
    _, sheets = drawn(lstm(300) if name == "lstm" else ALL[name](), monkeypatch)
    assert not any(sheet.aside for sheet in sheets)
