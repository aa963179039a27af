"""Folding: what `join_folds` promises, on graphs whose answer is plain."""

from __future__ import annotations

from building import Builder

from gradviz.fold import unfold
from gradviz.fold.joining import join_folds, stand_for
from gradviz.graphs import Fold, Graph


def chain(length: int) -> tuple[Graph, list[int]]:
    """`x`, then so many ops one behind the other; the ids of the ops."""
    b = Builder()
    ops = [b.leaf("x", (3,), requires_grad=True)]
    for _ in range(length):
        ops.append(b.op("mul", ops[-1], "2"))
    b.sweep(ops[-1])
    return b.graph(), ops[1:]


def fold(*turns: list[int], open: bool = False) -> Fold:
    return Fold("scope", "some", tuple(tuple(turn) for turn in turns), open=open)


def test_a_folded_graph_is_the_graph_with_folds() -> None:
    graph, ops = chain(6)
    folded = join_folds(graph, [fold(ops[:2]), fold(ops[3:5])])
    assert [one.ops for one in folded.folds] == [tuple(ops[:2]), tuple(ops[3:5])]
    assert folded.ops is graph.ops
    assert unfold(folded) == graph
    folded.validate()


def test_of_two_that_overlap_the_larger_stays() -> None:
    graph, ops = chain(6)
    assert join_folds(graph, [fold(ops[:3]), fold(ops[2:])]).folds == (fold(ops[2:]),)
    within = join_folds(graph, [fold(ops[1:3]), fold(ops)])
    assert within.folds == (fold(ops),)


def test_the_first_turn_of_an_open_fold_may_have_folds_in_it() -> None:
    graph, ops = chain(6)
    outer, inner, other = fold(ops[:3], ops[3:], open=True), fold(ops[:2]), fold(ops[3:5])
    folded = join_folds(graph, [outer, inner, other])
    assert folded.folds == (outer, inner)
    standing = stand_for(folded.folds)
    assert [standing.shown(op) for op in ops] == [ops[0], ops[0], ops[2]] * 2


def test_a_fold_that_data_leaves_and_comes_back_to_is_left_out() -> None:
    graph, ops = chain(5)
    around, plain = fold([ops[0], ops[2]]), fold(ops[3:])
    assert join_folds(graph, [around, plain]).folds == (plain,)
    # Each alone is fine; together the first leads to the second and back.
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    one, two = b.op("mul", x, "1"), b.op("mul", x, "2")
    three, four = b.op("mul", one, "3"), b.op("mul", two, "4")
    b.sweep(b.op("add", three, four))
    assert join_folds(b.graph(), [fold([one, four]), fold([two, three])]).folds == ()


def test_turns_may_hand_on_to_each_other() -> None:
    graph, ops = chain(4)
    rolled = fold(ops[:2], ops[2:], open=True)
    assert join_folds(graph, [rolled]).folds == (rolled,)
    # What lies between two turns is on a circle.
    apart = fold([ops[0]], [ops[2]], open=True)
    assert join_folds(graph, [apart]).folds == ()


def test_what_lies_behind_a_circle_stays_folded() -> None:
    graph, ops = chain(8)
    bad, good = fold([ops[0], ops[2]]), fold([ops[4], ops[5], ops[6]])
    assert join_folds(graph, [bad, good]).folds == (good,)
    assert join_folds(graph, [good]).folds == (good,)
