"""Rolling: loops that ran time after time are drawn as one turn, and only where their turns did the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
import zoo
from building import Builder
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import gradviz
from gradviz.diagnose import Finding, Severity
from gradviz.diagnose.findings import place
from gradviz.events import Cause, Gradient, Role
from gradviz.fold import unfold
from gradviz.fold.choice import Choice
from gradviz.fold.fit import MOST, count_boxes
from gradviz.fold.joining import stand_for
from gradviz.fold.page import fold_to_page
from gradviz.fold.repeating import Run, find_runs
from gradviz.fold.steps import roll_steps
from gradviz.fold.telling import telling_ops
from gradviz.graphs import Fold, Graph
from gradviz.layout import arrange, check
from gradviz.picture.composing import compose
from gradviz.picture.later_turns import later_equals, passed_over
from gradviz.selecting import default_selection
from gradviz.views import Options, draw

LONG = 100_000


def rolled(graph: Graph, apart: Iterable[int] = ()) -> list[Fold]:
    """The folds of a rolled graph, after what holds for each of them has been looked at."""
    before = repr(graph) if len(graph.ops) < 5000 else ""
    result = roll_steps(graph, tuple(apart))
    assert unfold(result) == graph
    assert not before or repr(graph) == before, "a fold changes nothing in the graph"
    assert roll_steps(graph, tuple(apart)) == result
    result.validate()
    for fold in result.folds:
        assert len({len(turn) for turn in fold.turns}) == 1
        assert len(set(fold.ops)) == len(fold.ops), "an op is in one turn"
        assert fold.times >= 3
        assert fold.open
        for alike in zip(*fold.turns, strict=True):
            ops = [result.ops[id] for id in alike]
            told = {(op.name, op.site, op.scope, op.tracked, op.cause, len(op.inputs)) for op in ops if op.inputs}
            assert len(told) <= 1
            assert len({tuple(result.values[v].shape for v in op.outputs) for op in ops}) == 1
    return list(result.folds)


def names(graph: Graph, fold: Fold) -> list[str]:
    """The ops of the turn that is drawn, as `name = op`, and the leaves as their names."""
    ops = [graph.ops[id] for id in fold.turns[0]]
    called = [graph.values[op.outputs[0]].name if op.outputs else "" for op in ops]
    return [f"{name} = {op.name}" if op.inputs else name for name, op in zip(called, ops, strict=True)]


class Cell:
    """h = tanh(W x + U h) over a sequence, by hand."""

    def __init__(self, times: int, before: Callable[[Builder, int, int], int] | None = None) -> None:
        b = Builder()
        self.w = b.leaf("W", (4, 4), requires_grad=True, line=1)
        self.u = b.leaf("U", (4, 4), requires_grad=True, line=2)
        self.xs = [b.leaf("x", (4,), line=3) for _ in range(times)]
        self.h = h = b.leaf("h", (4,), line=4)
        self.outputs: list[int] = []
        for turn in range(times):
            if before is not None:
                h = before(b, h, turn)
            a = b.op("matmul", self.w, self.xs[turn], shape=(4,), line=10)
            c = b.op("matmul", self.u, h, shape=(4,), line=11)
            h = b.op("tanh", b.op("add", a, c, name="s", line=12), name="h", line=13)
            self.outputs.append(h)
        self.loss = b.op("sum", b.op("stack", *self.outputs, shape=(times, 4), line=15), name="loss", line=16)
        b.sweep(self.loss, line=17)
        self.graph = b.graph()


# what a loop becomes


def test_a_loop_is_one_step_that_says_what_it_carries() -> None:
    cell = Cell(100)
    (fold,) = rolled(cell.graph)
    assert (fold.kind, fold.times, fold.title) == ("steps", 100, "step · lines 10-13")
    assert names(cell.graph, fold) == [" = matmul", " = matmul", "s = add", "h = tanh", "x"]
    (carried,) = fold.carried
    assert (carried.name, carried.enters, carried.leaves) == ("h", cell.h, cell.outputs[-1])


def test_what_every_turn_uses_stays_outside_and_what_one_uses_goes_with_it() -> None:
    cell = Cell(5)
    (fold,) = rolled(cell.graph)
    assert not {cell.w, cell.u, cell.h} & set(fold.ops)
    assert [turn[-1] for turn in fold.turns] == cell.xs


def test_two_turns_are_drawn_as_they_are() -> None:
    assert rolled(Cell(2).graph) == []
    assert len(rolled(Cell(3).graph)) == 1


def test_every_op_of_a_later_turn_is_drawn_as_one_of_the_first() -> None:
    cell = Cell(7)
    (fold,) = rolled(cell.graph)
    shown = {stand_for([fold]).shown(op) for op in fold.ops}
    assert shown == set(fold.turns[0])


# what is not one loop, or not all of it


def test_layers_with_weights_of_their_own_are_no_steps() -> None:
    for role in (None, Role.PARAMETER):
        b = Builder()
        ws = [b.leaf("w", (4, 4), requires_grad=role is None, line=1, role=role) for _ in range(12)]
        h = b.leaf("x", (4,), requires_grad=True, line=2)
        for w in ws:
            h = b.op("relu", b.op("matmul", w, h, shape=(4,), line=5), line=6)
        b.sweep(b.op("sum", h, line=7), line=8)
        assert rolled(b.graph()) == []


def test_a_leaf_that_is_made_in_its_turn_is_no_layer() -> None:
    b = Builder()
    h = b.leaf("x", (4,), requires_grad=True, line=2)
    for _ in range(5):
        h = b.op("exp", h, line=3)
        noise = b.leaf("delta", (4,), requires_grad=True, line=4)
        h = b.op("add", h, noise, name="h", line=5)
    (fold,) = rolled(b.graph())
    assert fold.times == 5
    assert len(fold.turns[0]) == 3


def test_a_detach_now_and_then_stays_visible() -> None:
    cell = Cell(20, lambda b, h, turn: b.detach(h, name="h", line=9) if turn == 7 else h)
    folds = rolled(cell.graph)
    assert [fold.times for fold in folds] == [7, 13]
    (cut,) = [cut.op for cut in cell.graph.cuts]
    assert all(cut not in fold.ops for fold in folds)


def test_a_detach_in_each_turn_is_part_of_the_turn() -> None:
    cell = Cell(20, lambda b, h, turn: b.detach(h, name="d", line=9))
    (fold,) = rolled(cell.graph)
    # Nothing is cut in the first turn: the state that it begins with requires no grad.
    assert fold.times == 19
    assert cell.graph.ops[fold.turns[0][0]].cause is Cause.DETACH


def test_chunks_are_turns_with_turns_in_them() -> None:
    """Truncated backpropagation through time."""
    cell = Cell(40, lambda b, h, turn: b.detach(h, name="h", line=9) if turn % 5 == 0 and turn else h)
    outer, inner = rolled(cell.graph)[-2:]
    if len(outer.ops) < len(inner.ops):
        outer, inner = inner, outer
    assert (outer.times, inner.times) == (7, 5)
    assert set(inner.ops) < set(outer.turns[0])
    assert sum(cell.graph.ops[op].name == "detach" for op in outer.turns[0]) == 1


def test_branches_that_take_turns_are_one_turn_of_both() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    h = b.leaf("h", (4,), line=2)
    for turn in range(20):
        if turn % 2 == 0:
            h = b.op("mul", h, w, name="h", line=5)
        else:
            h = b.op("tanh", b.op("add", h, w, line=7), name="h", line=7)
    graph = b.graph()
    (fold,) = rolled(graph)
    assert fold.times == 10
    assert sorted(names(graph, fold)) == [" = add", "h = mul", "h = tanh"]


def test_branches_by_chance_are_rolled_where_they_repeat() -> None:
    chance = random.Random(3)
    b = Builder()
    h = b.leaf("h", (4,), requires_grad=True, line=2)
    for _ in range(200):
        h = b.op("exp", h, line=5) if chance.random() < 0.5 else b.op("neg", h, line=7)
    for fold in rolled(b.graph()):
        assert fold.times >= 3


def test_another_shape_is_another_turn() -> None:
    b = Builder()
    h = b.leaf("h", (1,), requires_grad=True, line=1)
    for turn in range(10):
        h = b.op("cat", h, h, name="h", line=3, shape=(turn + 2,))
    assert rolled(b.graph()) == []


def test_a_turn_that_is_fed_otherwise_is_drawn_by_itself() -> None:
    b = Builder()
    h = b.leaf("h", (4,), requires_grad=True, line=1)
    other = b.op("neg", h, name="other", line=2)
    for turn in range(12):
        h = b.op("exp", b.op("mul", other if turn == 5 else h, "2", line=4), name="h", line=5)
    folds = rolled(b.graph())
    assert [fold.times for fold in folds] == [5, 7]


def test_a_sum_that_begins_with_zero_has_no_turn_of_its_own() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    total: int | None = None
    for _ in range(9):
        part = b.op("mul", w, b.leaf("x", (4,), line=2), line=4)
        inputs = (part, "0") if total is None else (total, part)
        total = b.op("add", *inputs, name="total", line=5)
    (fold,) = rolled(b.graph())
    assert fold.times == 9
    (carried,) = fold.carried
    assert (carried.name, carried.enters, carried.leaves) == ("total", None, total)


def test_what_is_to_be_seen_is_seen() -> None:
    cell = Cell(20)
    apart = cell.outputs[9]
    folds = rolled(cell.graph, [apart])
    assert [fold.times for fold in folds] == [9, 10]
    assert all(apart not in fold.ops for fold in folds)


def test_what_an_error_is_about_is_seen() -> None:
    b = Builder()
    h = b.leaf("h", (4,), requires_grad=True, line=1)
    made = []
    for _ in range(12):
        h = b.op("exp", h, name="h", line=3)
        made.append(h)
    b.error("RuntimeError", "what it says", made[6], line=9)
    assert [fold.times for fold in rolled(b.graph())] == [6, 5]


def test_numbers_that_are_none_are_seen() -> None:
    b = Builder()
    h = b.leaf("h", (4,), requires_grad=True, line=1)
    for turn in range(12):
        h = b.op("exp", h, name="h", line=3)
        b.measure(h, infs=int(turn >= 8))
    assert [fold.times for fold in rolled(b.graph())] == [8, 4]


# iterations


def trained(
    times: int, gradient: Callable[[int], Gradient | None] = lambda turn: None, failed: int | None = None
) -> Graph:
    """Gradient descent by hand."""
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    x = b.leaf("x", (4,), line=2)
    for turn in range(times):
        loss = b.op("sum", b.op("mul", w, x, line=4), name="loss", line=4, shape=())
        given = gradient(turn)
        error = "it raised" if turn == failed else ""
        b.sweep(loss, line=5, error=error, gradients=[] if given is None else [replace(given, value=w)])
        grad = b.leaf("w.grad", (4,), line=6)
        with b.region("no_grad", line=7):
            w = b.inplace("sub_", w, b.op("mul", grad, "0.1", line=8), line=8)
    return b.graph()


def test_training_iterations_are_one() -> None:
    graph = trained(500)
    (fold,) = rolled(graph)
    assert (fold.kind, fold.times, fold.title) == ("iterations", 500, "iteration · lines 4-8")
    assert [carried.name for carried in fold.carried] == ["w"]
    assert "w.grad" in names(graph, fold)
    assert len(graph.sweeps) == 500


def test_an_iteration_whose_gradient_is_another_kind_is_seen() -> None:
    folds = rolled(trained(30, lambda turn: Gradient(0, 1.0, nan=turn == 20)))
    assert [fold.times for fold in folds] == [20, 9]


def test_an_iteration_whose_backward_raised_is_seen() -> None:
    assert [fold.times for fold in rolled(trained(30, failed=10))] == [10, 19]


def test_a_loss_that_is_printed_now_and_then_is_no_other_iteration() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    for turn in range(60):
        loss = b.op("sum", b.op("mul", w, "2", line=4), name="loss", line=4, shape=())
        b.sweep(loss, line=5)
        with b.region("no_grad", line=7):
            w = b.inplace("sub_", w, "0.1", line=8)
        if turn % 20 == 0:
            b.item(b.detach(loss, line=9), line=9)
        if turn % 10 == 0:
            with b.region("no_grad", line=10):
                b.item(b.op("mul", w, "3", line=11), line=12)
    graph = b.graph()
    folds = rolled(graph)
    assert [(fold.kind, fold.times) for fold in folds] == [("iterations", 60), ("steps", 3)]
    shown = {stand_for(folds).shown(op) for op in graph.ops}
    assert sum(not graph.ops[op].outputs for op in shown) == 3, "a print, and two evaluations until the next"


def test_a_loss_that_is_printed_each_time_is_part_of_the_iteration() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    for _ in range(10):
        loss = b.op("sum", b.op("mul", w, "2", line=4), name="loss", line=4, shape=())
        b.sweep(loss, line=5)
        b.item(loss, line=9)
    (fold,) = rolled(b.graph())
    assert len(fold.turns[0]) == 3


def test_by_default_one_iteration_is_drawn_and_nothing_is_rolled() -> None:
    assert rolled(default_selection(trained(50))) == []


def test_an_epoch_of_batches_is_a_turn_of_turns() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    for _ in range(6):
        for _ in range(8):
            loss = b.op("sum", b.op("mul", w, b.leaf("x", (4,), line=3), line=4), name="loss", line=4, shape=())
            b.sweep(loss, line=5)
            with b.region("no_grad", line=7):
                w = b.inplace("sub_", w, "0.1", line=8)
        with b.region("no_grad", line=9):
            w = b.inplace("mul_", w, "0.5", line=10)
    folds = rolled(b.graph())
    assert sorted(fold.times for fold in folds) == [6, 8]


# real programs


def test_lstm_on_the_core() -> None:
    hidden = 3
    with gradviz.record() as rec:
        wi, wh = gradviz.randn(4 * hidden, 2, requires_grad=True), gradviz.randn(4 * hidden, hidden, requires_grad=True)
        x = gradviz.randn(100, 2)
        h, c = gradviz.zeros(hidden), gradviz.zeros(hidden)
        outs = []
        for t in range(100):
            gates = wi @ x[t] + wh @ h
            i, f = gradviz.sigmoid(gates[:hidden]), gradviz.sigmoid(gates[hidden : 2 * hidden])
            g, o = gradviz.tanh(gates[2 * hidden : 3 * hidden]), gradviz.sigmoid(gates[3 * hidden :])
            c = f * c + i * g
            h = o * gradviz.tanh(c)
            outs.append(h)
        gradviz.stack(outs).sum().backward()
    (fold,) = rolled(rec.graph())
    assert fold.times == 100
    assert [carried.name for carried in fold.carried] == ["c", "h"]


@pytest.mark.parametrize("times", [100, 500])
def test_lstm_cell_of_torch(times: int) -> None:
    cell, head = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    with gradviz.record() as rec:
        x = torch.randn(times, 1, 2)
        h, c = torch.zeros(1, 3), torch.zeros(1, 3)
        total = torch.zeros(())
        for t in range(times):
            h, c = cell(x[t], (h, c))
            total = total + head(h).mean()
        total.backward()
    (fold,) = rolled(rec.graph())
    assert fold.times == times
    assert {carried.name for carried in fold.carried} == {"h", "c", "total"}
    assert {carried.enters is not None for carried in fold.carried} == {True}


@pytest.mark.parametrize(("kept", "name"), [(False, "c"), (True, "seen[0]")])
def test_two_states_that_begin_as_one_tensor_go_by_two_names(kept: bool, name: str) -> None:
    cell, head = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    seen = []
    with gradviz.record() as rec:
        h = c = torch.zeros(1, 3)
        for _ in range(100):
            h, c = cell(torch.randn(1, 2), (h, c))
            if kept:
                seen.append(c)
        head(h).pow(2).mean().backward()
    (fold,) = rolled(rec.graph())
    assert [carried.name for carried in fold.carried] == ["h", name]
    assert len({carried.enters for carried in fold.carried}) == 1
    picture = compose(page(rec.graph()), Options())
    assert picture.frames[0].title.endswith(f"carries h and {name}")
    assert [wire.label for wire in picture.wires if "↻" in wire.label] == ["↻ h", f"↻ {name}"]


def test_layers_of_torch_are_no_steps() -> None:
    layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(8))
    with gradviz.record() as rec:
        x = torch.randn(2, 3)
        for layer in layers:
            x = torch.relu(layer(x))
        x.sum().backward()
    assert rolled(rec.graph()) == []


def test_iterations_of_a_gan() -> None:
    generator, critic = nn.Linear(2, 3), nn.Linear(3, 1)
    makes, judges = (torch.optim.SGD(model.parameters(), 0.1) for model in (generator, critic))
    with gradviz.record() as rec:
        for _ in range(20):
            fake = generator(torch.randn(4, 2))
            lost = critic(fake.detach()).mean() - critic(torch.randn(4, 3)).mean()
            judges.zero_grad()
            lost.backward()
            judges.step()
            won = -critic(fake).mean()
            makes.zero_grad()
            won.backward()
            makes.step()
    graph = rec.graph()
    (fold,) = rolled(graph)
    assert fold.kind == "iterations"
    assert fold.times >= 18, "the first iteration may be another: its weights have no gradient yet"
    assert sum(graph.ops[op].cause is Cause.DETACH for op in fold.turns[0]) == 1


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_the_step_of_an_optimizer_is_one_box_of_the_iteration(optimizer: type[torch.optim.Optimizer]) -> None:
    with torch.random.fork_rng():
        exhibit = zoo.resnet18()
        steps = optimizer(exhibit.model.parameters(), lr=0.01)
        with gradviz.record() as rec:
            for _ in range(4):
                steps.zero_grad()
                exhibit.step()
                steps.step()
            if optimizer is torch.optim.Adam:  # what is trained is used
                exhibit.model(torch.randn(2, 3, 32, 32)).view(-1).sum().item()
    graph = rec.graph()
    folded = page(graph)
    assert fold_to_page(roll_steps(graph), Choice()) == folded, "as `--iterations` has it"
    (updates,) = [fold for fold in folded.folds if fold.kind == "updates"]
    count = len(list(exhibit.model.parameters()))
    assert len([op for op in updates.ops if graph.ops[op].inputs]) == count
    picture = compose(folded, Options())
    (box,) = [box for box in picture.boxes if box.fold == updates.id]
    assert f"{count} parameters · ↻ {count} values" in box.detail
    assert arrange(picture).width < 1_200


def test_weights_that_are_few_are_written_one_by_one() -> None:
    assert [fold.kind for fold in rolled(trained(10))] == ["iterations"]


# the sequence below it


def test_runs_of_runs() -> None:
    block = [1, 1, 1, 1, 2]
    assert find_runs([9, *block * 5, 8], 3, lambda places, length: 0) == [
        *(Run(1 + 5 * at, 1, 4) for at in range(5)),
        Run(1, 5, 5),
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=60), st.integers(2, 4))
def test_every_run_repeats(items: list[int], least: int) -> None:
    for run in find_runs(items, least, lambda places, length: len(places) - 1):
        blocks = [tuple(items[run.start + run.length * at :][: run.length]) for at in range(run.times)]
        assert len(set(blocks)) == 1
        assert len(blocks[-1]) == run.length >= 1
        assert run.times >= least


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True), st.integers(3, 9), st.integers(0, 7))
def test_a_block_of_different_items_is_found_wherever_it_is_cut(block: list[int], times: int, cut: int) -> None:
    items = [100, *block * times, 101]
    (run,) = find_runs(items, 3, lambda places, length: min(cut, len(places) - 1))
    assert run.length == len(block)
    assert run.times >= times - 1


def test_depth_is_no_limit() -> None:
    b = Builder()
    h = b.leaf("x", requires_grad=True)
    for _ in range(LONG // 2):
        h = b.op("tanh", b.op("exp", h, line=3), line=4)
    (fold,) = roll_steps(b.graph()).folds
    assert fold.times == LONG // 2


def test_nothing_that_repeats_costs_little() -> None:
    """A sequence made so that a candidate begins at each place and breaks off soon after."""
    chance = random.Random(1)
    items = [chance.randrange(300) for _ in range(LONG)]
    assert all(run.times >= 3 for run in find_runs(items, 3, lambda places, length: 0))


# on a page


def page(graph: Graph, marked: Iterable[int] = ()) -> Graph:
    """The graph as it is drawn without options, after what holds for it has been looked at."""
    folded = fold_to_page(graph, Choice(), tuple(marked))
    folded.validate()
    assert unfold(folded) == graph
    picture, whole = (compose(some, Options()) for some in (folded, graph))
    assert picture.summary == whole.summary, "a fold changes no count"
    assert len(picture.boxes) <= MOST
    assert check(arrange(picture)) == ()
    return folded


def test_a_long_loop_fits_a_page_and_a_short_one_is_drawn_as_it_is() -> None:
    assert fold_to_page(Cell(3).graph, Choice()).folds == ()
    assert fold_to_page(Cell(7).graph, Choice()).folds == ()
    (fold,) = page(Cell(100).graph).folds
    assert fold.times == 100
    assert fold_to_page(Cell(100).graph, Choice(everything=True)).folds == ()


def test_ten_equal_steps_are_one_though_all_of_them_would_fit_a_page() -> None:
    graph = Cell(10).graph
    assert count_boxes(graph) < MOST
    (fold,) = page(graph).folds
    assert fold.times == 10
    assert fold_to_page(graph, Choice(expand=("loop:*",))).folds == (), "as the note under it says"
    assert fold_to_page(graph, Choice(everything=True)).folds == ()
    assert fold_to_page(graph, Choice(depth=1)).folds == (), "modules were asked for, and nothing else"


def tower(turns: int, length: int) -> Graph:
    """So many ops a turn, one behind the other."""
    b = Builder()
    h = b.leaf("h", (4,), requires_grad=True, line=1)
    for _ in range(turns):
        for line in range(length):
            h = b.op("tanh", h, line=3 + line)
    b.sweep(b.op("sum", h, shape=(), line=30), line=31)
    return b.graph()


def test_a_tower_of_a_few_long_turns_is_one_turn_but_a_loop_of_three_is_drawn_whole() -> None:
    assert [fold.times for fold in page(tower(5, 12)).folds] == [5]
    assert page(tower(3, 15)).folds == ()
    assert page(tower(5, 4)).folds == (), "not tall"
    assert page(tower(10, 1)).folds == (), "ten boxes are no tower"


def test_the_frame_of_a_loop_is_not_called_a_module() -> None:
    picture = compose(page(Cell(10).graph), Options())
    assert [frame.kind for frame in picture.frames] == ["loop"]
    for view in ("svg", "html", "dot"):
        text = draw(page(Cell(10).graph), view, Options())
        assert ">drawn once for all turns<" in text
        assert ">module<" not in text


def test_the_tree_tells_a_loop_in_full_once() -> None:
    text = draw(page(Cell(10).graph), "tree", Options())
    assert text.count("in step · ") == 1
    assert text.count("  in step\n") == 4, "a turn has four ops and the input of its step"


def test_a_loop_in_a_module_is_folded_with_its_module() -> None:
    b = Builder()
    h = b.leaf("x", (4,), requires_grad=True, line=1)
    for layer in range(60):
        b.scope = f"net.layer{layer}"
        w = b.leaf(f"w{layer}", (4,), requires_grad=True, line=2)
        for _ in range(10):
            h = b.op("mul", b.op("exp", h, line=3), w, line=4)
    b.scope = ""
    b.sweep(b.op("sum", h, line=6, shape=()), line=7)
    folded = page(b.graph())
    (layers,) = [fold for fold in folded.folds if fold.kind == "siblings"]
    assert layers.times >= 59
    assert len(layers.turns[0]) == 21, "all turns of the loop, and the weight"


def test_modules_are_one_run_except_the_one_whose_loop_ran_less_often() -> None:
    b = Builder()
    x = b.leaf("x", (4,), requires_grad=True, line=1)
    total = b.op("relu", x, line=1)
    for branch in range(60):
        b.scope = f"branches.{branch}"
        h = b.op("mul", b.leaf("w", (4,), requires_grad=True, line=2), x, line=3)
        for _ in range(9 if branch == 20 else 10):
            h = b.op("tanh", h, line=4)
        b.scope = ""
        total = b.op("add", total, h, line=5)
    b.sweep(b.op("sum", total, line=6, shape=()), line=7)
    folded = page(b.graph())
    runs = [(fold.title, fold.times) for fold in folded.folds if fold.kind == "siblings"]
    assert runs == [("branches.0-branches.19", 20), ("branches.21-branches.59", 39)]
    assert len(compose(folded, Options()).boxes) <= 16


def from_elsewhere(b: Builder, h: int, turn: int) -> int:
    """What goes into each turn comes from a line of its own."""
    return b.op("add", h, b.op("exp", h, line=100 + turn), line=9)


def swapped(b: Builder, h: int, turn: int) -> int:
    """Now and then the sum is the other way round."""
    half = b.op("mul", h, "0.5", line=8)
    return b.op("add", half, h, line=9) if turn % 2 else b.op("add", h, half, line=9)


def unbound(b: Builder, h: int, turn: int) -> int:
    return b.op("unbind", h, outputs=2, name="one, other", line=9) + turn % 2


def written(b: Builder, h: int, turn: int) -> int:
    return b.inplace("mul_", b.op("exp", h, line=8), "0.5", line=9)


def without_gradient(b: Builder, h: int, turn: int) -> int:
    with b.region("no_grad", line=8):
        return b.op("mul", h, "0.5", line=9)


@pytest.mark.parametrize("before", [None, from_elsewhere, swapped, unbound, written, without_gradient])
@pytest.mark.parametrize("module", ["", "cell"])
def test_a_later_turn_is_drawn_alike_looked_at_or_passed_over(
    before: Callable[[Builder, int, int], int] | None, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside(b: Builder, h: int, turn: int) -> int:
        b.scope = module
        return before(b, h, turn) if before is not None else h

    folded = fold_to_page(Cell(80, inside).graph, Choice())
    assert passed_over(later_equals(folded)) or before in (unbound, from_elsewhere)
    picture = compose(folded, Options())
    monkeypatch.setattr("gradviz.picture.folding.later_equals", lambda graph: {})
    assert compose(folded, Options()) == picture


def test_a_turn_with_a_cut_of_its_own_is_seen_on_the_page() -> None:
    cell = Cell(200, lambda b, h, turn: b.detach(h, name="h", line=9) if turn == 70 else h)
    (cut,) = [cut.op for cut in cell.graph.cuts]
    folded = page(cell.graph, [cut])
    assert cut in {box.op for box in compose(folded, Options()).boxes}


def test_a_cut_that_each_turn_makes_is_drawn_once() -> None:
    cell = Cell(200, lambda b, h, turn: b.detach(h, name="d", line=9))
    folded = page(cell.graph, [cut.op for cut in cell.graph.cuts])
    boxes = compose(folded, Options()).boxes
    assert 1 <= sum(box.kind == "cut" for box in boxes) <= 2


def test_the_picture_marks_what_is_carried() -> None:
    cell = Cell(100)
    picture = compose(page(cell.graph), Options())
    (frame,) = picture.frames
    assert "×100" in frame.title
    assert "carries h" in frame.title
    (tanh,) = [box for box in picture.boxes if box.op is not None and cell.graph.ops[box.op].name == "tanh"]
    assert tanh.title == "h = tanh"
    assert tanh.detail.endswith("↻ h")
    assert ("carried", "h goes on into the next turn, 99 times") in tanh.tooltip
    heads = {box.id: box for box in picture.boxes}
    labels = {(wire.label, heads[wire.head].title) for wire in picture.wires if wire.label}
    assert labels == {("↻ h", "matmul"), ("×100", "stack")}
    assert len({(wire.tail, wire.head) for wire in picture.wires}) == len(picture.wires)


def test_a_finding_about_each_turn_is_marked_once() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    h = b.leaf("h", (4,), line=2)
    for _ in range(80):
        h = b.detach(b.op("mul", h, w, line=4), name="h", line=5)
    b.sweep(b.op("sum", b.op("mul", h, b.leaf("v", (4,), requires_grad=True, line=7), line=8), line=9), line=10)
    graph = b.graph()
    site = next(site for site in graph.sites.values() if site.line == 5)
    finding = Finding("GV101", "", Severity.ERROR, "bad", "", **place(site), values=(w,))  # type: ignore[arg-type]
    picture = compose(page(graph, telling_ops(graph, [finding])), Options(), [finding])
    assert [(box.kind, box.findings) for box in picture.boxes if box.findings] == [("cut", (1,))]


def test_a_leaf_that_a_cut_makes_is_counted_in_each_turn() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    for _ in range(60):
        y = b.op("exp", w, line=3)
        copy = b.op("tensor", y, cause=Cause.RETENSOR, requires_grad=True, leaf=True, name="copy", line=4)
        b.sweep(b.op("sum", copy, line=5), line=6)
    page(b.graph())


def test_a_region_in_a_turn_is_a_frame_in_the_frame_of_the_turn() -> None:
    b = Builder()
    w = b.leaf("w", (4,), requires_grad=True, line=1)
    h = b.leaf("h", (4,), line=2)
    for _ in range(80):
        h = b.op("mul", h, w, line=5)
        with b.region("no_grad", line=6):
            h = b.op("exp", h, name="h", line=7)
    b.sweep(b.op("mul", h, w, line=8), line=9)
    picture = compose(page(b.graph()), Options())
    outer, inner = picture.frames
    assert inner.parent == outer.id
    assert [box.frame for box in picture.boxes if box.title == "h = exp"] == [inner.id]
    assert "×80" in outer.title


def test_turns_within_turns_are_frames_within_frames() -> None:
    cell = Cell(100, lambda b, h, turn: b.detach(h, name="h", line=9) if turn % 5 == 0 and turn else h)
    picture = compose(page(cell.graph), Options())
    nested = [frame for frame in picture.frames if frame.parent is not None]
    assert ["×5" in frame.title for frame in nested] == [True]
    (outer,) = [frame for frame in picture.frames if frame.id == nested[0].parent]
    assert "×19" in outer.title


def test_what_a_pass_starts_from_in_each_turn_is_one_box() -> None:
    picture = compose(page(trained(100)), Options())
    assert sum(box.kind == "output" for box in picture.boxes) <= 2


def test_what_the_reader_looks_for_is_drawn() -> None:
    cell = Cell(200)
    wanted = cell.outputs[99]
    assert wanted in {box.op for box in compose(page(cell.graph, [wanted]), Options()).boxes}


@pytest.mark.parametrize(
    "name", ['a"b', "<>{}|[]", "[bold]", "a:b\\", "x\ny", "🎉", "</script>", "x" * 10_000, "\x00", "↻"]
)
def test_hostile_names_go_through_every_view(name: str) -> None:
    b = Builder()
    w, h = b.leaf("w", (2,), requires_grad=True, line=1), b.leaf(name, (2,), line=2)
    b.scope = name
    for _ in range(80):
        h = b.op("exp", b.op("mul", h, w, line=3), name=name, line=4)
    folded = page(b.graph())
    for view in ("svg", "dot", "tree", "json"):
        assert draw(folded, view) == draw(folded, view)
    ElementTree.fromstring(draw(folded, "svg"))
