"""Shelves: parts that nothing joins are put together without waste."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pictures import Sketch

from gradviz.layout import arrange, check
from gradviz.layout.drawing import Rectangle
from gradviz.layout.shelves import shelve

sides = st.integers(1, 900)


@given(st.lists(st.tuples(sides, sides), max_size=25))
def test_no_rectangle_lies_on_another_or_reaches_out(sizes):
    shelves = shelve(sizes)
    areas = [Rectangle(*corner, *size) for corner, size in zip(shelves.corners, sizes, strict=True)]
    whole = Rectangle(0, 0, shelves.width, shelves.height)
    for number, area in enumerate(areas):
        assert whole.contains(area)
        assert not any(area.overlaps(other) for other in areas[:number])


def test_one_that_is_wide_has_the_rest_below_it():
    shelves = shelve([(3000, 1500), *[(250, 40)] * 24])
    assert shelves.corners[0] == (0, 0)
    assert all(y > 1500 for _, y in shelves.corners[1:])
    assert shelves.width == 3000


def test_one_that_is_high_has_the_rest_beside_it_in_as_few_columns_as_do():
    shelves = shelve([*[(250, 40)] * 20, (400, 5000), *[(250, 40)] * 20])
    assert shelves.corners[20] == (0, 0)
    assert shelves.height == 5000
    assert shelves.width == 400 + 48 + 250


def test_equal_ones_make_a_whole_that_is_wider_than_high():
    shelves = shelve([(100, 100)] * 30)
    assert 1 < shelves.width / shelves.height < 2.5


def test_leaves_that_nothing_uses_do_not_make_a_picture_wider():
    def picture(unused: int):
        sketch = Sketch("unused", "")
        for number in range(12):
            sketch.box(f"w{number}", "leaf", f"weight {number}", "(3,) float32")
        sketch.box("sum", "op", "sum", "line 1")
        for number in range(12):
            sketch.wire(f"w{number} -> sum")
        for number in range(unused):
            sketch.box(f"u{number}", "leaf", f"unused {number}", "(3,) float32")
        return sketch.picture()

    drawing = arrange(picture(20))
    assert check(drawing) == ()
    assert drawing.width == arrange(picture(0)).width
