"""Pieces: levels found piece by piece are as good as those found for the whole at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradviz.layout import pieces, simplex


@st.composite
def problems(draw):
    """Edges without a cycle that hold all nodes together, often through few of them."""
    count = draw(st.integers(2, 14))
    edges = []
    for head in range(1, count):
        tails = draw(st.lists(st.integers(max(0, head - 4), head - 1), min_size=1, max_size=3))
        for tail in tails:
            edges.append((tail, head, draw(st.integers(0, 2)), draw(st.integers(0, 5))))
    names = draw(st.permutations(range(count)))
    return count, [(names[tail], names[head], length, weight) for tail, head, length, weight in edges]


def total(levels, edges) -> int:
    return sum(weight * (levels[head] - levels[tail]) for tail, head, _, weight in edges)


@settings(max_examples=300, deadline=None)
@given(problems())
def test_levels_of_pieces_are_as_good_as_those_of_the_whole(problem):
    count, edges = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_FEW", 0)
        levels = pieces.solve(count, edges)
    assert min(levels) == 0
    assert all(levels[head] - levels[tail] >= length for tail, head, length, _ in edges)
    assert total(levels, edges) == total(simplex.solve(count, edges), edges)


def layers(count: int):
    """Layers of a fork whose one way is shorter than the other, one after the other."""
    edges = []
    for number in range(count):
        first = 4 * number
        ways = [(0, 1), (1, 2), (2, 4), (0, 3), (3, 4)]
        edges += [(first + tail, first + head, 1, 1 + (tail == 0)) for tail, head in ways]
    return 4 * count + 1, edges


def test_pieces_that_are_alike_are_solved_once(monkeypatch):
    asked = []
    solve = simplex.solve
    monkeypatch.setattr(simplex, "solve", lambda count, edges: asked.append(count) or solve(count, edges))
    levels = pieces.solve(*layers(100))
    assert asked == [5]
    assert levels[4::4] == list(range(3, 303, 3))


def test_an_edge_past_a_node_joins_the_pieces_on_both_sides(monkeypatch):
    asked = []
    solve = simplex.solve
    monkeypatch.setattr(simplex, "solve", lambda count, edges: asked.append(count) or solve(count, edges))
    count, edges = layers(100)
    pieces.solve(count, [*edges, (3, 6, 1, 1)])
    assert asked == [9, 5]


def test_no_nodes_have_no_levels():
    assert pieces.solve(0, []) == []
