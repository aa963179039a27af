"""Layout spares itself work that leads to nothing else: less is done, and the drawing is the same."""

from __future__ import annotations

import crossings
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pictures import ALL, Sketch, no_grad, residual

from gradviz.layout import arrange, order, place, sorter, tangle
from gradviz.layout.simplex import extremes, longest_path, solve


class Forgetful(dict):
    """A dictionary that never knows anything."""

    def get(self, key, default=None):
        return default


class ForgetfulSorter(order.Sorter):
    """One that does everything as if for the first time."""

    def __init__(self, sheet, remembers):
        super().__init__(sheet, remembers)
        self._swept, self._passed, self._counted = Forgetful(), Forgetful(), Forgetful()


def tangled(count: int):
    """Three layers of ops, each of which takes two of the layer before, far from each other."""
    sketch = Sketch("tangled", "")
    for number in range(count):
        sketch.box(f"w{number}", "leaf", f"w{number}")
    for layer, before in (("a", "w"), ("b", "a"), ("c", "b")):
        for number in range(count):
            sketch.box(f"{layer}{number}", "op", "mul")
            sketch.wire(f"{before}{number * 5 % count} -> {layer}{number}")
            sketch.wire(f"{before}{(number * 7 + 3) % count} -> {layer}{number}")
    return sketch.picture()


@pytest.mark.parametrize("name", [*ALL, "tangled"])
def test_orders_are_those_of_a_sorter_that_remembers_nothing(name, monkeypatch):
    picture = tangled(11) if name == "tangled" else ALL[name]()
    drawing = arrange(picture)
    monkeypatch.setattr(order, "Sorter", ForgetfulSorter)
    assert arrange(picture) == drawing


def test_what_was_found_out_beside_the_same_rows_is_not_found_out_again(monkeypatch):
    counted = {True: 0, False: 0}
    count = sorter.weight_of_crossings
    remembers = True

    def counting(*arguments):
        counted[remembers] += 1
        return count(*arguments)

    monkeypatch.setattr(sorter, "weight_of_crossings", counting)
    arrange(tangled(11))
    remembers = False
    monkeypatch.setattr(order, "Sorter", ForgetfulSorter)
    arrange(tangled(11))
    assert 0 < counted[True] < counted[False]


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.sampled_from([1, 2, 8]))))
def test_crossings_are_those_of_any_two_segments_twins_and_all(size, segments):
    segments = [(upper, lower % size, weight) for upper, lower, weight in segments]
    expected = sum(
        weight * other_weight
        for upper, lower, weight in segments
        for other_upper, other_lower, other_weight in segments
        if upper < other_upper and lower > other_lower
    )
    keys, weights = [upper * size + lower for upper, lower, _ in segments], [weight for _, _, weight in segments]
    assert tangle.weight_of_crossings(keys, weights, size) == expected
    assert tangle.is_tangled(keys, size) == bool(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tangle, "_MANY", -1)
        assert tangle.weight_of_crossings(keys, weights, size) == expected


def test_a_start_far_ahead_of_the_given_order_is_the_only_one_to_go_on_from(monkeypatch):
    # A tree whose boxes are given in no order.
    sketch = Sketch("tree", "")
    for number in range(255):
        sketch.box(f"n{number * 73 % 255}", "op", "mul")
    for number in range(1, 255):
        sketch.wire(f"n{number} -> n{(number - 1) // 2}")
    starts = []
    begin, go_on = order.Sorter.begin, order._Run.go_on
    monkeypatch.setattr(order.Sorter, "begin", lambda self, start: starts.append(start) or begin(self, start))
    swept = []
    monkeypatch.setattr(order._Run, "go_on", lambda run, most: swept.append(run) or go_on(run, most))
    assert crossings.of_drawing(arrange(sketch.picture())) == 0
    assert starts == ["given", "up"]
    assert len(set(swept)) == 1


def settled(picture, monkeypatch) -> tuple[int, int]:
    """How often a picture's only part is placed for the sake of its tabs, and how many stand at their far side then."""
    tried, moved = [], []
    place_once, settle = place.place, place.settle_tabs

    def settling(sheet, placement):
        # What came before was for the sake of the rows' order.
        tried.clear()
        settle(sheet, placement)
        for fence, tab in sheet.tabs.items():
            row = sheet.rows[sheet.row[tab]]
            moved.append(row[row.index(tab) - 1] != sheet.edges[fence][0][0])
        raise StopIteration

    monkeypatch.setattr(place, "place", lambda sheet, *rest: tried.append(sheet) or place_once(sheet, *rest))
    monkeypatch.setattr(place, "settle_tabs", settling)
    with pytest.raises(StopIteration):
        arrange(picture)
    return len(tried), sum(moved)


def test_a_tab_is_moved_out_of_the_way_of_a_wire(monkeypatch):
    assert settled(no_grad(), monkeypatch) == (1, 1)


def test_a_tab_that_is_in_nobodys_way_costs_no_other_placement(monkeypatch):
    assert settled(residual(), monkeypatch) == (0, 0)


@st.composite
def problems(draw):
    """Levels wanted for a few nodes that one node, the first, comes before: a problem that is always solvable."""
    count = draw(st.integers(2, 9))
    number, length, weight = st.integers(0, count - 1), st.integers(0, 9), st.integers(0, 5)
    pairs = draw(st.lists(st.tuples(number, number, length, weight), max_size=20))
    edges = [(min(one, other), max(one, other), *rest) for one, other, *rest in pairs if one != other]
    bends = draw(st.lists(st.tuples(number, number, st.integers(-9, 9), st.integers(1, 5)), max_size=12))
    kinks = [(one, other, *rest) for one, other, *rest in bends if one != other]
    spread = draw(st.lists(length, min_size=count))
    return count, [*edges, *((0, node, 0, 1) for node in range(1, count))], kinks, spread


BETWEEN = (3, [(0, 2, 10, 6), (0, 1, 0, 1)], [(0, 1, 0, 1), (1, 2, 5, 2)], [0, 0, 0])
"""The node in the middle is as well off wherever it stands between two straight kinks."""


@settings(max_examples=300, deadline=None)
@given(problems())
@example(BETWEEN)
def test_both_ends_of_the_best_levels_are_found_from_wherever_the_simplex_begins(problem):
    count, edges, kinks, spread = problem
    # Longer edges than asked for make levels that keep the least lengths, too.
    start = longest_path(count, [(tail, head, length + spread[head], weight) for tail, head, length, weight in edges])
    wall = [(count, node, 0, 0) for node in range(count)]
    lowest, highest = extremes(count + 1, [*edges, *wall], kinks, [*start, 0])
    for levels in (lowest, highest):
        assert all(levels[head] - levels[tail] >= length for tail, head, length, _ in edges)

    def cost(found):
        bent = sum(weight * abs(found[head] - found[tail] - length) for tail, head, length, weight in kinks)
        return bent + sum(weight * (found[head] - found[tail]) for tail, head, _, weight in edges)

    def as_edges(scale=1):
        # A kink's size is the least sum of what its ends are above a node that is below both.
        own = [(tail, head, length, scale * weight) for tail, head, length, weight in edges]
        for node, (tail, head, length, weight) in enumerate(kinks, count):
            own += ((node, tail, -length, scale * weight), (node, head, 0, scale * weight))
        return own

    nodes = count + len(kinks)
    best = solve(nodes, as_edges())[:count]
    assert cost(lowest) == cost(highest) == cost(best) <= cost(start)
    # A wall that draws every node to it a little finds the lowest of the best by another way.
    walled = [*as_edges(1000), *((nodes, node, 0, 1) for node in range(count))]
    against = solve(nodes + 1, walled)[:count]
    assert [level - min(lowest) for level in lowest] == [level - min(against) for level in against]
    walled = [*as_edges(1000), *((node, nodes, 0, 1) for node in range(count))]
    against = solve(nodes + 1, walled)[:count]
    assert [level - max(highest) for level in highest] == [level - max(against) for level in against]
