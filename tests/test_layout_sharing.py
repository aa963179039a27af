"""Layout: what wires share costs once, parts that look the same are laid out once, and neither shows in the drawing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import ALL, Sketch, lstm

from gradviz.layout import arrange, check, order
from gradviz.layout.check import polyline
from gradviz.layout.rows import BEND, Cells, Sheet, cut
from gradviz.layout.strands import Strands, turn_round

DIRECTIONS = ["TB", "LR"]


def fan(count: int, ducts: list[int]) -> Sheet:
    """The sheet of one cell whose wires lead to a cell in each of the `count` rows below it."""
    column = [10] * (count + 1)
    strands = Strands([0] * count, list(range(1, count + 1)), [1] * count, ducts)
    cells = Cells(column, column, column, column, [-1] * (count + 1))
    return cut(cells, strands, (), list(range(count + 1)), [], tabs_in_rows=True)


def test_a_long_fan_out_costs_its_length_once():
    sheet = fan(300, [0] * 300)
    assert sheet.kind.count(BEND) == 299
    assert len(sheet.upper) == len(set(sheet.pairs())) == 299 + 300


def test_wires_of_another_duct_run_apart():
    sheet = fan(4, [0, 1, 0, 1])
    # Through rows 1 and 2 runs the one duct, through rows 1 to 3 the other.
    assert sheet.kind.count(BEND) == 2 + 3


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_wires_that_share_their_bends_are_each_drawn_whole(direction):
    drawing = arrange(lstm(30), direction)
    assert check(drawing) == ()
    shared = [wire for wire in drawing.wires if wire.wire.tail == "b1"]
    assert len(shared) == 30
    assert len({wire.end for wire in shared}) == 30


def test_equal_wires_run_side_by_side_over_several_rows():
    sketch = Sketch("skip", "")
    for name in "abcd":
        sketch.box(name, "op", name, "line 1")
    for text in ("a -> b -> c -> d", "a -> d", "a -> d", "a ~> d"):
        sketch.wire(text)
    drawing = arrange(sketch.picture())
    assert check(drawing) == ()
    middle = drawing.boxes[1].area
    beside = [{x for x, y in polyline(wire) if middle.y <= y <= middle.bottom} for wire in drawing.wires[3:]]
    ends = {wire.end for wire in drawing.wires[2:]}
    assert len(ends) == 4
    assert all(beside[one].isdisjoint(beside[two]) for one, two in ((0, 1), (0, 2), (1, 2)))


def pairs_of(marks: list[str]) -> Sketch:
    sketch = Sketch("parts", "")
    for number, mark in enumerate(marks):
        sketch.box(f"a{number}", "leaf", "w", "line 1")
        sketch.box(f"b{number}", "off", "mul", "line 2")
        sketch.wire(f"a{number} {mark} b{number}")
    return sketch


def test_parts_that_look_the_same_are_laid_out_once(monkeypatch):
    asked = []
    monkeypatch.setattr(order, "orders", lambda sheet: asked.append(sheet) or [sheet.rows])
    drawing = arrange(pairs_of(["~>"] * 20).picture())
    assert len(asked) == 1
    gaps = {(wire.start[1] - wire.end[1], len(wire.pieces)) for wire in drawing.wires}
    assert len(gaps) == 1
    assert check(drawing) == ()


def test_parts_that_differ_by_a_mark_alone_are_told_apart():
    plain, marked = arrange(pairs_of(["~>", "~x"]).picture()).wires
    assert plain.end[1] - plain.start[1] < marked.end[1] - marked.start[1]


def test_labels_of_wires_between_the_same_boxes_do_not_overlap():
    sketch = Sketch("labels", "")
    for name in "ab":
        sketch.box(name, "op", name, "line 1")
    for number in range(5):
        sketch.wire("a -> b", f"argument {number}")
    for direction in DIRECTIONS:
        drawing = arrange(sketch.picture(), direction)
        assert check(drawing) == ()
        assert [wire.label for wire in drawing.wires] == [f"argument {number}" for number in range(5)]
        assert len({wire.label_area for wire in drawing.wires}) == 5


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("literals", [2, 3, 4])
def test_wires_meet_an_op_whose_literals_are_higher_than_it_is(literals, direction):
    sketch = Sketch("clamp", "")
    sketch.box("x", "leaf", "x", "line 1")
    sketch.box("clamp", "op", "clamp", "line 2")
    sketch.box("out", "output", "y", "line 2")
    sketch.wire("x -> clamp -> out")
    for number in range(literals):
        sketch.box(f"l{number}", "const", str(number))
        sketch.wire(f"l{number} ~> clamp")
    assert check(arrange(sketch.picture(), direction)) == ()


def test_wires_that_would_close_a_cycle_are_turned_round():
    tails, heads = [0, 1, 2, 3], [1, 2, 0, 1]
    turned, by_head = turn_round(4, tails, heads)
    assert turned == [False, False, True, False]
    assert (tails[2], heads[2]) == (0, 2)
    met = [heads[number] for number in by_head]
    # Whatever leads into a cell comes before what leads out of it.
    assert all(tails[number] not in met[at:] for at, number in enumerate(by_head))


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import pictures
from gradviz.layout import arrange
for name, make in pictures.ALL.items():
    drawing = arrange(make())
    print(name, [box.area for box in drawing.boxes], [(w.start, w.pieces) for w in drawing.wires], drawing.frames)
"""


def test_places_do_not_depend_on_how_strings_hash():
    told = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8:backslashreplace"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert told[0].count(b"Rectangle") > len(ALL)
