"""What a drawing ends in: the roots of a backward pass first, and other results told from them."""

from __future__ import annotations

import pytest
from building import Builder

from gradviz.graphs import Graph
from gradviz.layout.arrange import arrange
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind
from gradviz.selecting import default_selection
from gradviz.views import Options, draw

ENDS = (BoxKind.OUTPUT, BoxKind.RESULT, BoxKind.OFF_OUTPUT)


def ends(graph: Graph) -> list[tuple[str, str, str]]:
    return [(b.kind.value, b.title, b.detail) for b in compose(graph, Options()).boxes if b.kind in ENDS]


def cell(*, swept: bool = True) -> Graph:
    """A cell with two results, of which one leads to the loss."""
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True)
    h = b.op("lstm_cell", b.leaf("x", (4,)), w, outputs=2, name="c, h", line=2)
    b.name(h, "c")
    b.name(h + 1, "h")
    loss = b.op("sum", h + 1, name="loss", shape=(), line=3)
    if swept:
        b.sweep(loss, line=4)
    return b.graph()


def test_the_loss_comes_first_and_an_unused_result_says_so() -> None:
    assert ends(cell()) == [("output", "loss", "() float32"), ("result", "c", "(4,) float32 · not used")]


def test_without_a_backward_pass_all_results_are_outputs() -> None:
    assert [kind for kind, _, _ in ends(cell(swept=False))] == ["output", "output"]


def test_what_was_made_after_the_last_pass_began_is_an_output() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True)
    b.sweep(b.op("sum", w, name="loss", shape=(), line=3), line=4)
    b.op("exp", w, name="later", line=5)
    assert [end[:2] for end in ends(b.graph())] == [("output", "loss"), ("output", "later")]


def test_a_result_without_grad_fn_says_that_nothing_used_it() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True)
    with b.region("no_grad", line=1):
        b.op("exp", w, name="unused", line=2)
    b.sweep(b.op("sum", w, name="loss", shape=(), line=3), line=4)
    assert ("off-output", "unused", "no grad_fn · not used") in ends(b.graph())


def test_what_goes_on_in_a_part_that_is_not_drawn_is_not_called_unused() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True)
    state = w
    for _ in range(3):
        made = b.op("cell", state, w, outputs=2, line=2)
        state = b.op("detach", made, line=3, cause=None)
        b.sweep(b.op("sum", made + 1, name="loss", shape=(), line=4), line=5)
        b.op("exp", state, name="kept", line=6)
    whole = b.graph()
    first = whole.subset([id for id in whole.ops if id < max(whole.sweeps[0].roots) + 1])
    assert whole.onward == frozenset()
    assert first.onward, "the state goes on into the next turn"
    told = [detail for kind, _, detail in ends(first) if kind == "result"]
    assert told == ["(4,) float32 · used elsewhere"]
    assert first.subset(first.ops).onward == first.onward
    assert not [detail for _, _, detail in ends(default_selection(whole)) if "not used" in detail]


@pytest.mark.parametrize("view", ["svg", "html", "dot", "mermaid", "tree"])
def test_every_view_tells_the_loss_from_the_rest(view: str) -> None:
    text = draw(cell(), view, Options())
    assert "not used" in text
    assert "another result" in text or view == "mermaid", "in the legend"
    assert "not used" not in draw(cell(swept=False), view, Options())


def test_the_tree_begins_with_the_loss() -> None:
    roots = [line for line in draw(cell(), "tree", Options(color=False)).splitlines() if line.startswith(("◆", "◈"))]
    assert roots[0].startswith("◆ loss")
    assert roots[1].startswith("◈ c")


def test_the_loss_stands_at_the_foot_and_the_unused_result_beside_its_op() -> None:
    drawing = arrange(compose(cell(), Options()))
    places = {placed.box.title: placed.area.y for placed in drawing.boxes}
    assert places["c"] < places["loss"] == max(places.values())


def written() -> Graph:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True)
    y = b.inplace("mul_", b.op("exp", w, name="y", line=2), "2", line=3)
    b.sweep(b.op("mul", y, y, name="loss", shape=(), line=4), line=5)
    return b.graph()


@pytest.mark.parametrize("view", ["svg", "html", "dot", "mermaid", "tree"])
def test_the_legend_says_what_a_version_is_where_one_occurs(view: str) -> None:
    assert "written in place n times" in draw(written(), view, Options())
    assert "written in place n times" not in draw(cell(), view, Options())


def test_the_tree_says_what_times_is_where_wires_are_one() -> None:
    text = draw(written(), "tree", Options())
    assert "×2" in text
    assert "×n = n wires in one" in text
    assert "×n" not in draw(cell(), "tree", Options())
