"""Queries: roads, cuts, what stays alive, names, and what is drawn where nothing else is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from building import Builder

import gradviz as gv
from gradviz.errors import UsageError
from gradviz.events import Cause, Saved
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.query import (
    Kept,
    ancestors,
    consumers,
    cuts_between,
    descendants,
    find,
    kept_alive,
    kept_bytes,
    paths,
    reached_leaves,
)
from gradviz.selecting import default_selection, everything, selection_of
from gradviz.stats import measure
from gradviz.views import Options

LONG = 100_000


def drawn(graph: Graph) -> list[str]:
    """The ops of a selection, each as `name = op`, those that stand at the edge or make a leaf as the name alone."""
    graph.validate()
    lines = []
    for op in graph.ops.values():
        name = graph.values[op.outputs[0]].name if op.outputs else ""
        lines.append(f"{name} = {op.name}" if op.inputs else name)
    return lines


class Detour:
    """y = 2*x; d = x.detach(); z = 3 + d; r = y + z, and beside it a branch that r does not need."""

    def __init__(self) -> None:
        b = Builder()
        self.x = b.leaf("x", (3,), requires_grad=True, line=1)
        self.y = b.op("mul", "2", self.x, name="y", line=2)
        self.d = b.detach(self.x, name="d", line=3)
        self.z = b.op("add", "3", self.d, name="z", line=3)
        self.aside = b.op("exp", self.y, name="aside", line=4)
        self.r = b.op("add", self.y, self.z, name="r", line=5)
        self.builder = b
        self.graph = b.graph()


# roads


def test_consumers_are_listed_once_each() -> None:
    b = Builder()
    x = b.leaf("x")
    y = b.op("mul", x, x)
    z = b.op("add", x, y)
    assert consumers(b.graph()) == {x: (y, z), y: (z,), z: ()}


def test_data_comes_by_every_road_and_gradient_only_by_some() -> None:
    t = Detour()
    assert ancestors(t.graph, [t.r]) == {t.x, t.y, t.d, t.z, t.r}
    assert ancestors(t.graph, [t.r], gradient=True) == {t.y, t.r}
    assert ancestors(t.graph, [t.z], gradient=True) == set()
    assert descendants(t.graph, [t.x]) == {t.y, t.d, t.z, t.aside, t.r}
    assert descendants(t.graph, [t.x], gradient=True) == {t.y, t.aside, t.r}
    assert descendants(t.graph, [t.d]) == {t.z, t.r}
    assert descendants(t.graph, [t.d], gradient=True) == set()


def test_paths_are_the_ops_on_the_way() -> None:
    t = Detour()
    assert paths(t.graph, t.x, t.r) == ((t.y, t.r), (t.d, t.z, t.r))
    assert paths(t.graph, t.x, t.r, gradient=True) == ((t.y, t.r),)
    assert paths(t.graph, t.d, t.r, gradient=True) == ()
    assert paths(t.graph, t.r, t.x) == ()
    assert paths(t.graph, t.x, t.x) == ((),)


def test_the_number_of_paths_is_bounded() -> None:
    """Forty squarings make 2**40 roads."""
    b = Builder()
    first = value = b.leaf("x", requires_grad=True)
    for _ in range(40):
        value = b.op("add", b.op("neg", value), b.op("exp", value))
    found = paths(b.graph(), first, value, gradient=True, limit=1000)
    assert len(found) == len(set(found)) == 1000
    assert {len(path) for path in found} == {80}


def test_a_path_may_lead_through_any_output() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    first = b.op("split", x, outputs=2)
    y = b.op("neg", first + 1)
    graph = b.graph()
    assert paths(graph, x, y) == ((first, y),)
    assert paths(graph, x, first + 1) == ((first,),)


def test_a_write_without_tracking_keeps_the_history_of_what_it_writes() -> None:
    """As PyTorch has it: `y.add_(1)` under no_grad, where y has a grad_fn, leaves y that grad_fn."""
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    y = b.op("exp", x, name="y")
    with b.region("no_grad"):
        y1 = b.inplace("add_", y, "1")
    r = b.op("sum", y1)
    graph = b.graph()
    assert ancestors(graph, [r], gradient=True) == {y, y1, r}
    b.sweep(r)
    assert reached_leaves(b.graph(), b.graph().sweeps[0]) == (x,)


def test_cuts_between_are_those_on_a_road_to_the_root() -> None:
    t = Detour()
    t.builder.item(t.y)
    t.builder.detach(t.x)
    graph = t.builder.graph()
    assert [(cut.op, cut.value) for cut in cuts_between(graph, t.x, t.r)] == [(t.d, t.x)]
    assert cuts_between(graph, t.y, t.r) == ()
    assert cuts_between(graph, t.r, t.x) == ()


def test_a_cut_of_another_value_is_not_on_the_way() -> None:
    b = Builder()
    x, other = b.leaf("x", requires_grad=True), b.leaf("other", requires_grad=True)
    with b.region("no_grad"):
        y = b.op("mul", x, other)
    graph = b.graph()
    assert [cut.value for cut in cuts_between(graph, x, y)] == [x]
    assert [cut.value for cut in cuts_between(graph, other, y)] == [other]


def test_a_sweep_reaches_leaves_and_what_it_was_asked_for() -> None:
    t = Detour()
    w = t.builder.leaf("w", requires_grad=True)
    loss = t.builder.op("mul", t.r, w)
    t.builder.sweep(loss)
    t.builder.sweep(loss, kind="grad", inputs=[t.y, t.z])
    t.builder.sweep(loss, error="no")
    t.builder.sweep(t.z)
    t.builder.sweep(w)
    graph = t.builder.graph()
    assert [reached_leaves(graph, sweep) for sweep in graph.sweeps] == [(t.x, w), (t.y,), (), (t.z,), (w,)]


# what stays alive


def kept_graph(**sweep: object) -> tuple[Graph, dict[str, int]]:
    b = Builder()
    x = b.leaf("x", (4,), requires_grad=True)
    v = b.view("t", x, name="v")
    e = b.op("exp", v, name="e", saved=[Saved("result", (4,), "float32", 16, -1)])
    m = b.op("mul", e, v, saved=[Saved("self", (4,), "float32", 16, 0), Saved("other", (2,), "float32", 8, 1)])
    d = b.op("dropout", m, saved=[Saved("mask", (4,), "bool", 4)])
    if sweep:
        b.sweep(m, **sweep)  # type: ignore[arg-type]
    return b.graph(), {"x": x, "v": v, "e": e, "m": m, "d": d}


def test_a_value_keeps_alive_what_the_nodes_behind_it_saved() -> None:
    graph, at = kept_graph()
    kept = kept_alive(graph, at["d"])
    assert [(item.op, item.saved.name, item.value) for item in kept] == [
        (at["e"], "result", at["e"]),
        (at["m"], "self", at["e"]),
        (at["m"], "other", at["v"]),
        (at["d"], "mask", None),
    ]
    # e once, all of x's storage although only half of it was saved by way of a view, and the mask.
    assert kept_bytes(graph, kept) == 16 + 16 + 4
    assert kept_alive(graph, at["v"]) == ()
    assert kept_bytes(graph, ()) == 0


@pytest.mark.parametrize(
    ("sweep", "left"),
    [({"freed": True}, ["mask"]), ({"freed": False}, 4), ({"error": "no"}, 4), ({"inputs": ()}, 4)],
)
def test_a_sweep_frees_what_it_walked(sweep: dict[str, object], left: object) -> None:
    graph, at = kept_graph(**sweep)
    kept = kept_alive(graph, at["d"])
    assert left == ([item.saved.name for item in kept] if isinstance(left, list) else len(kept))
    assert all(isinstance(item, Kept) for item in kept)


# names


def test_the_last_value_of_a_name_comes_first() -> None:
    b = Builder()
    first, _, last = (b.leaf(name, line=1) for name in ("h", "k", "h"))
    assert [value.id for value in find(b.graph(), "h")] == [last, first]


def test_what_was_assigned_is_found_where_the_value_has_another_name() -> None:
    b = Builder()
    x = b.leaf("x", line=1)
    b.name(x, "model.weight")
    assert [value.id for value in find(b.graph(), "x")] == [x]


def test_the_end_of_a_name_is_enough_where_one_name_has_it() -> None:
    b = Builder()
    wte, wpe = b.leaf("model.wte.weight"), b.leaf("model.wpe.weight")
    loss = b.op("mul", wte, wpe, name="out['loss']")
    graph = b.graph()
    assert [value.id for value in find(graph, "wte.weight")] == [wte]
    assert [value.id for value in find(graph, "loss")] == [loss]
    for name, near in (
        ("weight", "`model.wpe.weight` or `model.wte.weight`"),
        ("wte.wieght", "`model.wte.weight`"),
        ("zzz", "the names are"),
    ):
        with pytest.raises(UsageError) as caught:
            find(graph, name)
        assert near in (caught.value.help or "")


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("hiden", "did you mean `hidden`?"),
        ("LOSS", "did you mean `loss`?"),
        ("q", "the names are `hidden`, `logits`, `loss`, `w`"),
        ("", "the names are `hidden`, `logits`, `loss`, `w`"),
        ("a\n" * 9000, "the names are `hidden`, `logits`, `loss`, `w`"),
    ],
)
def test_an_unknown_name_brings_up_near_ones(name: str, help: str) -> None:
    b = Builder()
    for known in ("w", "hidden", "logits", "loss", ""):
        b.leaf(known, line=1 if known else 0)
    with pytest.raises(UsageError, match="there is no value called") as caught:
        find(b.graph(), name)
    assert caught.value.help == help
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 120


def test_without_names_there_is_nothing_to_suggest() -> None:
    with pytest.raises(UsageError) as caught:
        selection_of(Builder().graph(), "x")
    assert caught.value.help == "no value has a name here: leave the name out"


def test_many_names_are_not_all_listed() -> None:
    b = Builder()
    for index in range(1500):
        b.leaf(f"layer{index}", line=index + 1)
    with pytest.raises(UsageError) as caught:
        find(b.graph(), "zzz")
    assert caught.value.help.endswith(" and 1,495 more")


# what is drawn


def test_without_a_sweep_everything_is_drawn() -> None:
    t = Detour()
    t.builder.item(t.r)
    graph = t.builder.graph()
    assert default_selection(graph) == everything(graph) == graph


def test_a_sweep_draws_what_its_roots_came_from() -> None:
    t = Detour()
    t.builder.leaf("unused", line=8)
    t.builder.sweep(t.r, line=9)
    assert drawn(default_selection(t.builder.graph())) == ["x", "y = mul", "d = detach", "z = add", "r = add"]


def test_what_left_for_python_is_drawn_with_it_and_what_has_no_derivative_is_not() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    y = b.op("exp", x, name="y", line=2)
    b.sweep(y, line=3)
    b.item(y, line=4)
    b.detach(y, name="kept", line=5)
    b.op("argmax", y, name="best", line=6, cause=Cause.INTEGER)
    b.op("neg", y, name="unused", line=7)
    assert drawn(default_selection(b.graph())) == ["x", "y = exp", " = item", "kept = detach"]


def train(
    b: Builder, steps: int, *, evaluate: str = "", rebind: bool = False, fail_at: int | None = None
) -> dict[str, int]:
    """A training loop by hand: the loss on line 5, backward on line 6, the update on line 8, evaluation on line 10."""
    x, t = b.leaf("x", (4,), line=1), b.leaf("t", (4,), line=2)
    w = b.leaf("w", (4,), requires_grad=True, line=3)
    at = {"x": x, "w0": w}
    for step in range(steps):
        loss = b.op("mse", b.op("mul", x, w, name="y", line=4), t, name="loss", line=5)
        b.sweep(loss, line=6, error="no" if step == fail_at else "")
        gradient = b.leaf("w.grad", (4,), op="grad", line=8)
        with b.region("no_grad", line=7):
            change = b.op("mul", gradient, "0.1", line=8)
            w = b.op("sub", w, change, name="w", line=8) if rebind else b.inplace("sub_", w, change, line=8)
        if rebind:
            b.set_requires_grad(w, True, line=9)
        if evaluate == "each" or (evaluate == "last" and step == steps - 1):
            with b.region("no_grad", line=10):
                score = b.op("mul", b.leaf("held_out", (4,), line=10), w, name="score", line=11)
            b.item(score, line=12)
    return at


ITERATION = ["x", "t", "w", "y = mul", "loss = mse", "w.grad", " = mul"]


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_a_training_loop_draws_its_last_iteration(steps: int) -> None:
    b = Builder()
    train(b, steps)
    part = default_selection(b.graph())
    assert drawn(part) == [*ITERATION, "w = sub_"]
    assert part.values[part.cuts[-1].op].version == steps


@pytest.mark.parametrize("evaluate", ["last", "each"])
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_an_evaluation_after_the_update_is_counted_and_not_drawn(steps: int, evaluate: str) -> None:
    b = Builder()
    train(b, steps, evaluate=evaluate)
    part = default_selection(b.graph())
    assert drawn(part) == [*ITERATION, "w = sub_"]
    (note,) = compose(part, Options()).notes
    assert ", without 2 that ran later; `--all`" in note


def test_an_evaluation_without_a_backward_is_drawn_whole() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    with b.region("no_grad", line=2):
        score = b.op("mul", b.leaf("held_out", (4,), line=2), w, name="score", line=3)
    b.item(score, line=4)
    part = default_selection(b.graph())
    assert drawn(part) == ["w", "held_out", "score = mul", " = item"]
    assert not compose(part, Options()).notes


def test_a_look_at_what_was_computed_is_drawn_although_backward_ran() -> None:
    """The metric that a training loop takes from its logits, after the step."""
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    logits = b.op("mul", w, "2", name="logits", line=2)
    b.sweep(b.op("sum", logits, name="loss", line=3), line=4)
    with b.region("no_grad", line=5):
        hits = b.op("eq", b.op("argmax", logits, name="best", line=6), "3", name="hits", line=6)
        b.item(hits, line=7)
        b.op("neg", w, name="elsewhere", line=8)
    part = default_selection(b.graph())
    assert drawn(part) == ["w", "logits = mul", "loss = sum", "best = argmax", "hits = eq", " = item"]
    assert ", without 1 that ran later; `--all`" in compose(part, Options()).notes[0]


def test_what_backward_itself_calls_did_not_run_later() -> None:
    w = torch.ones(4, requires_grad=True)
    y = w * 2
    y.register_hook(lambda gradient: gradient * 3)
    with gv.record() as recording:
        y.sum().backward()
    graph = recording.graph()
    assert [op.name for op in graph.ops.values() if op.inputs][-1] == "mul", "that of the hook"
    assert not any("later" in note for note in compose(default_selection(graph), Options()).notes)


def by_no_grad(w: torch.Tensor) -> None:
    assert w.grad is not None
    with torch.no_grad():
        w -= 0.1 * w.grad


def by_data(w: torch.Tensor) -> None:
    assert w.grad is not None
    w.data -= 0.1 * w.grad


@pytest.mark.parametrize("update", [by_no_grad, by_data])
def test_an_update_by_hand_is_drawn_and_what_follows_from_it_is_not(update: Callable[[torch.Tensor], None]) -> None:
    w = torch.ones(4, requires_grad=True)
    with gv.record() as recording:
        w.exp().sum().backward()
        update(w)
        with torch.no_grad():
            w.neg().sum().item()
    part = default_selection(recording.graph())
    assert [op.name for op in part.ops.values() if op.name in ("exp", "sub", "neg")] == ["exp", "sub"]
    assert "without 3 that ran later" in compose(part, Options()).notes[0]


@pytest.mark.parametrize("steps", [2, 50])
def test_a_weight_that_is_made_anew_ends_the_iteration_as_well(steps: int) -> None:
    b = Builder()
    train(b, steps, rebind=True)
    assert drawn(default_selection(b.graph())) == [*ITERATION, "w = sub"]


def test_a_loop_that_fails_draws_the_iteration_in_which_it_did() -> None:
    b = Builder()
    train(b, 8, fail_at=7)
    part = default_selection(b.graph())
    assert drawn(part)[:5] == ITERATION[:5]
    assert [sweep.error for sweep in part.sweeps] == ["no"]


def test_a_name_in_a_loop_draws_one_iteration() -> None:
    b = Builder()
    train(b, 9, evaluate="last")
    assert drawn(selection_of(b.graph(), "score")) == ["w", "held_out", "score = mul"]
    upstream = drawn(selection_of(b.graph(), "loss"))
    around = drawn(default_selection(b.graph()))
    assert upstream == around[: len(upstream)], "what leads to a value, and nothing that was done with it"
    assert upstream[-1] == "loss = mse"


def test_an_average_over_all_iterations_is_drawn_for_one() -> None:
    """A teacher that follows the weights, and takes part in the loss by data alone."""
    b = Builder()
    x = b.leaf("x", (4,), line=1)
    w = b.leaf("w", (4,), requires_grad=True, line=2)
    teacher = b.leaf("teacher", (4,), line=3)
    for _ in range(40):
        with b.region("no_grad", line=4):
            teacher = b.inplace("lerp_", teacher, w, "0.01", line=5)
            goal = b.op("mul", teacher, x, name="goal", line=6)
        loss = b.op("mse", b.op("mul", x, w, name="y", line=7), goal, name="loss", line=8)
        b.sweep(loss, line=9)
    expected = ["x", "w", "teacher", "teacher = lerp_", "goal = mul", "y = mul", "loss = mse"]
    assert drawn(default_selection(b.graph())) == expected


def test_a_state_that_is_carried_over_with_its_gradient_is_followed() -> None:
    """Backward through all of the steps of a recurrence, with a sweep at each: the graph does reach back."""
    b = Builder()
    h = b.leaf("h0", (4,), requires_grad=True, line=1)
    for _ in range(5):
        h = b.op("tanh", h, name="h", line=2)
        b.sweep(h, line=3, freed=False)
    assert len(default_selection(b.graph()).ops) == 6


def test_a_state_that_is_carried_over_detached_stands_at_the_edge() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    h = b.leaf("h", (4,), line=2)
    for _ in range(5):
        h = b.op("mul", b.detach(h, name="past", line=3), w, name="h", line=4)
        b.sweep(h, line=5)
    part = default_selection(b.graph())
    assert drawn(part) == ["w", "h", "past = detach", "h = mul"]
    assert [cut.cause for cut in part.cuts] == ["detach"]
    assert len(part.sweeps) == 1


def test_two_losses_from_two_lines_draw_the_last() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    first = b.op("exp", x, name="first", line=2)
    b.sweep(first, line=3)
    second = b.op("mul", b.detach(first, name="d", line=4), x, name="second", line=4)
    b.sweep(second, line=5)
    assert drawn(default_selection(b.graph())) == ["x", "first = exp", "d = detach", "second = mul"]


def test_a_sweep_that_failed_is_drawn_beside_the_one_that_worked() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    good = b.op("mul", x, "3", name="good", line=2)
    with b.region("no_grad", line=3):
        bad = b.op("mul", x, "3", name="bad", line=4)
    b.sweep(good, line=5)
    b.sweep(bad, line=6, error="element 0 of tensors does not require grad and does not have a grad_fn")
    part = default_selection(b.graph())
    assert drawn(part) == ["x", "good = mul", "bad = mul"]
    assert [bool(sweep.error) for sweep in part.sweeps] == [False, True]


def test_training_by_accident_under_no_grad_is_drawn_whole() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    x = b.leaf("x", line=1)
    with b.region("no_grad", line=2):
        loss = b.op("sum", b.op("mul", w, x, name="y", line=3), name="loss", line=4)
    b.sweep(loss, line=5, error="element 0 of tensors does not require grad and does not have a grad_fn")
    assert drawn(default_selection(b.graph())) == ["w", "x", "y = mul", "loss = sum"]


def test_the_values_that_an_error_is_about_are_drawn() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    b.sweep(b.op("exp", x, name="y", line=2), line=3)
    z = b.op("tanh", x, name="z", line=4)
    b.error("RuntimeError", "Can't call numpy() on Tensor that requires grad.", z, line=5)
    assert drawn(default_selection(b.graph())) == ["x", "y = exp", "z = tanh"]


def test_a_selection_can_be_selected_from() -> None:
    t = Detour()
    t.builder.sweep(t.r, line=9)
    part = default_selection(t.builder.graph())
    assert default_selection(part) == part
    assert drawn(selection_of(part, "z")) == ["x", "d = detach", "z = add"]


# size


def test_no_query_recurses() -> None:
    """A chain of 100,000 ops, every other one under no_grad."""
    b = Builder()
    first = value = b.leaf("x", requires_grad=True, line=1)
    for _ in range(LONG // 2):
        value = b.op("mul", value, "2", saved=[Saved("self", (), "float32", 4, 0)])
    with b.region("no_grad", line=2):
        for _ in range(LONG // 2):
            value = b.op("neg", value)
    b.name(value, "last")
    b.sweep(value, line=3, error="no")
    graph = b.graph()
    middle = first + LONG // 2
    assert len(ancestors(graph, [value])) == LONG + 1
    assert len(ancestors(graph, [middle], gradient=True)) == LONG // 2
    assert len(descendants(graph, [first])) == LONG
    assert [len(path) for path in paths(graph, first, value)] == [LONG]
    assert [cut.value for cut in cuts_between(graph, first, value)] == [middle]
    assert len(kept_alive(graph, middle)) == LONG // 2
    assert kept_bytes(graph, kept_alive(graph, middle)) == 4 * LONG // 2
    assert len(consumers(graph)) == LONG + 1
    assert reached_leaves(graph, graph.sweeps[0]) == ()
    assert default_selection(graph) is graph
    assert selection_of(graph, "last").ops == graph.ops


@pytest.mark.parametrize("library", [gv, torch], ids=["core", "torch"])
def test_a_gradient_is_drawn_with_what_it_is_the_gradient_of(library):
    with gv.record() as recording:
        x = library.ones(3, requires_grad=True)
        y = (x**3).sum()
        (g,) = library.autograd.grad(y, x, create_graph=True)
        (h,) = library.autograd.grad(g.sum(), x, create_graph=True)
        h.sum().backward()
    graph = recording.graph()
    drawn = default_selection(graph)
    assert {op.name for op in drawn.ops.values()} >= {"pow", "sum", "grad"}
    assert [sweep.id for sweep in drawn.sweeps] == [sweep.id for sweep in graph.sweeps]
    drawn.validate()


def test_a_gradient_of_this_turn_brings_nothing_of_others():
    critic = torch.nn.Linear(2, 1)
    with gv.record() as recording:
        for _ in range(3):
            x = torch.ones(4, 2, requires_grad=True)
            score = critic(x).pow(2).sum()
            (g,) = torch.autograd.grad(score, x, create_graph=True)
            g.norm().backward()
    drawn = default_selection(recording.graph())
    assert [op.name for op in drawn.ops.values()].count("pow") == 1
    assert [sweep.kind for sweep in drawn.sweeps] == ["grad", "backward"]


def test_a_plain_gradient_brings_nothing_along():
    with gv.record() as recording:
        x = torch.ones(3, requires_grad=True)
        (g,) = torch.autograd.grad((x**3).sum(), x)
        (x * g).sum().backward()
    assert "pow" not in {op.name for op in default_selection(recording.graph()).ops.values()}


def test_the_summary_speaks_of_autograd_nodes_only_where_some_were_not_recorded():
    with gv.record() as recording:
        torch.ones(3, requires_grad=True).exp().sum().backward()
    graph = recording.graph()
    (note,) = [note for note in graph.notes if note.kind == "coverage"]
    assert note.text.startswith("2 of 2 autograd nodes")
    assert "autograd nodes" not in compose(graph, Options()).summary
    assert measure(graph).coverage == note.text
    fewer = replace(graph, notes=(replace(note, text=note.text.replace("2 of 2", "1 of 2")),))
    assert "1 of 2 autograd nodes matched" in compose(fewer, Options()).summary
