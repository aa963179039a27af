"""Crossings are counted as the eye counts them, in our drawings and in Graphviz's."""

from __future__ import annotations

import subprocess

import pytest
from crossings import Curve, count, of_drawing, of_plain, size_of_plain
from oracles import require_dot
from pictures import Sketch, diamond

from gradviz.layout import arrange


def curve(ends: str, *points: tuple[float, float]) -> Curve:
    return Curve(ends[0], ends[1], points)


@pytest.mark.parametrize(
    ("curves", "crossings"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([curve("ab", (0, 0), (10, 10)), curve("cd", (10, 0), (0, 10))], 1, id="a cross"),
        pytest.param([curve("ab", (0, 0), (5, 5), (10, 10)), curve("cd", (10, 0), (5, 5), (0, 10))], 1, id="at a bend"),
        pytest.param([curve("ab", (0, 0), (10, 10)), curve("cd", (20, 0), (12, 10))], 0, id="apart"),
        pytest.param([curve("ab", (0, 0), (0, 10)), curve("cd", (5, 0), (5, 10))], 0, id="side by side"),
        pytest.param(
            [curve("ab", (0, 0), (500, 500)), curve("cd", (500, 0), (0, 500)), curve("ef", (0, 250), (500, 240))],
            3,
            id="three lines",
        ),
        pytest.param(
            [
                curve("ab", (0, 0), (0, 50), (0, 100)),
                curve("ac", (0, 0), (0, 50), (30, 100)),
                curve("de", (-10, 30), (10, 30)),
            ],
            1,
            id="a bus is one line",
        ),
        pytest.param(
            [curve("ab", (0, 0), (0, 100)), curve("ac", (0, 0), (0, 50), (30, 100))], 0, id="a branch does not cross"
        ),
        pytest.param(
            [curve("ab", (0, 0), (30, 50), (0, 100)), curve("ac", (0, 0), (10, 80), (40, 80))],
            1,
            id="branches that cross later",
        ),
        pytest.param([curve("aa", (0, 0), (50, 50), (0, 100), (50, 0), (0, 0))], 0, id="one wire over itself"),
    ],
)
def test_crossings_are_counted(curves, crossings):
    assert count(curves) == crossings


def tangled():
    """Two boxes above, two below, each joined to both: no drawing in two rows is without a crossing."""
    sketch = Sketch("tangled", "")
    for name in "abcd":
        sketch.box(name, "op", name)
    for text in ("a -> c", "a -> d", "b -> c", "b -> d"):
        sketch.wire(text)
    return sketch.picture()


def test_our_drawings_are_counted():
    assert of_drawing(arrange(tangled())) == 1
    assert of_drawing(arrange(diamond())) == 0


@pytest.mark.parametrize(
    ("source", "crossings"),
    [
        pytest.param("a -> c; a -> d; b -> c; b -> d", 1, id="tangled"),
        pytest.param("a -> b -> d; a -> c -> d", 0, id="diamond"),
    ],
)
def test_what_dot_draws_is_counted(source, crossings):
    done = subprocess.run(
        [require_dot(), "-Tplain"], input=f"digraph {{ {source} }}", capture_output=True, text=True, check=True
    )
    assert of_plain(done.stdout) == crossings
    width, height = size_of_plain(done.stdout)
    assert 50 < width < 300
    assert 50 < height < 300
