"""Leaves that one op takes by the dozen, such as the weights of an LSTM: one box, but for those to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from building import Builder
from click.testing import CliRunner
from gradviz_cli.main import application

from gradviz.events import Gradient, Role
from gradviz.fold import unfold
from gradviz.fold.choice import Choice
from gradviz.fold.joining import join_folds
from gradviz.fold.leaves import KIND, MANY, shelve_leaves
from gradviz.fold.page import fold_to_page
from gradviz.fold.telling import telling_ops
from gradviz.graphs import Fold, Graph
from gradviz.layout.arrange import arrange
from gradviz.layout.check import check
from gradviz.picture.composing import compose
from gradviz.picture.records import Box, BoxKind
from gradviz.views import Options
from gradviz.views.html_data import data_pieces
from gradviz.views.svg import lay_out

LSTM = """import torch
from torch import nn
torch.manual_seed(0)
lstm = nn.LSTM(8, 16, num_layers=2, bidirectional=True)
out, (h, c) = lstm(torch.randn(5, 2, 8))
out.pow(2).mean().backward()
"""


def folded(graph: Graph, *opened: str) -> Graph:
    """The graph as it is drawn, after a look at what every folded graph promises."""
    made = fold_to_page(graph, Choice(expand=opened), telling_ops(graph))
    made.validate()
    assert unfold(made) == graph
    picture, whole = compose(made, Options()), compose(graph, Options())
    assert picture.summary == whole.summary, "a fold changes no count"
    assert check(arrange(picture)) == ()
    return made


def shelves(graph: Graph) -> list[Fold]:
    return [fold for fold in graph.folds if fold.kind == KIND]


def box_of(graph: Graph) -> Box:
    (box,) = [box for box in compose(graph, Options()).boxes if box.fold is not None]
    return box


def weights(b: Builder, count: int, name: str = "net.rnn.w{}", *, requires_grad: bool = True) -> list[int]:
    role = Role.PARAMETER
    return [b.leaf(name.format(n), (4, n + 1), requires_grad=requires_grad, role=role, line=4) for n in range(count)]


def recurrent(own: list[int], b: Builder) -> Graph:
    """A graph in which one op takes all of the leaves."""
    out = b.op("lstm", b.leaf("x", (3, 4)), *own, shape=(3, 4), line=5)
    b.sweep(b.op("sum", out, shape=(), name="loss", line=6), line=7)
    return b.graph()


def test_the_weights_of_one_op_are_one_box() -> None:
    b = Builder()
    own = weights(b, 16)
    graph = folded(recurrent(own, b))
    (fold,) = shelves(graph)
    assert fold.title == "net.rnn"
    assert fold.ops == tuple(graph.values[value].op for value in own)
    box = box_of(graph)
    assert (box.kind, box.title) == (BoxKind.LEAF, "net.rnn")
    assert box.detail == "16 parameters · 2.2 kB · line 4"
    assert ("net.rnn.w0", "(4, 1) float32") in box.tooltip
    picture = compose(graph, Options())
    (wire,) = [wire for wire in picture.wires if wire.tail == box.id]
    assert wire.kind.value == "gradient"
    assert [box.title for box in picture.boxes if box.kind is BoxKind.CONST] == ["x"]


def test_each_leaf_in_a_box_is_found_by_its_name_on_a_page() -> None:
    b = Builder()
    graph = folded(recurrent(weights(b, 9), b))
    drawing = lay_out(graph, Options())
    data = json.loads("".join(data_pieces(drawing, graph)))
    at = next(number for number, placed in enumerate(drawing.boxes) if placed.box.fold is not None)
    words = {data["words"][word] for word in data["boxes"][at][2]}
    assert {f"net.rnn.w{number}" for number in range(9)} <= words


def test_a_few_leaves_have_a_box_each() -> None:
    b = Builder()
    assert shelves(folded(recurrent(weights(b, MANY - 1), b))) == []


def test_what_is_to_be_looked_at_has_a_box_of_its_own() -> None:
    b = Builder()
    own = weights(b, 14)
    frozen = weights(b, 1, "net.rnn.frozen", requires_grad=False)
    out = b.op("lstm", b.leaf("x", (3, 4)), *own, *frozen, shape=(3, 4), line=5)
    loss = b.op("sum", out, shape=(), name="loss", line=6)
    given = [Gradient(value, 1.0) for value in own[2:]]
    b.sweep(loss, gradients=[Gradient(own[0], 0.0, zero=True), Gradient(own[1], 0.0, nan=True), *given], line=7)
    graph = folded(b.graph())
    (fold,) = shelves(graph)
    assert fold.ops == tuple(graph.values[value].op for value in own[2:])
    told = {box.title: box.detail for box in compose(graph, Options()).boxes}
    assert "gradient is zero" in told["net.rnn.w0"]
    assert "gradient is NaN" in told["net.rnn.w1"]
    assert "net.rnn.frozen" in told


def test_many_that_get_no_gradient_say_so_in_one_box() -> None:
    b = Builder()
    own = weights(b, 12)
    out = b.op("lstm", b.leaf("x", (3, 4)), *own, shape=(3, 4), line=5)
    loss = b.op("sum", out, shape=(), name="loss", line=6)
    b.sweep(loss, gradients=[Gradient(value, 0.0, zero=True) for value in own], line=7)
    graph = folded(b.graph())
    assert box_of(graph).detail == "12 parameters, zero gradient · 1.2 kB · line 4"


def test_leaves_of_a_list_and_leaves_without_a_name_are_shelved_too() -> None:
    b = Builder()
    named = [b.leaf(f"rows[{n}]", (3,), requires_grad=True, line=2) for n in range(9)]
    bare = [b.leaf("", (3,), line=3) for n in range(10)]
    out = b.op("cat", *named, *bare, shape=(57,), line=4)
    b.sweep(b.op("sum", out, shape=(), line=5), line=6)
    graph = folded(b.graph())
    assert [(fold.title, fold.option) for fold in shelves(graph)] == [
        ("rows", "--expand rows"),
        ("10 leaves", "--expand leaves:4"),
    ]
    boxes = [box for box in compose(graph, Options()).boxes if box.fold is not None]
    assert [box.kind for box in boxes] == [BoxKind.LEAF, BoxKind.CONST]
    assert [box.detail for box in boxes] == ["9 leaves · 108 B · line 2", "120 B · line 3"]
    assert shelves(folded(b.graph(), "rows"))[0].title == "10 leaves"
    assert shelves(folded(b.graph(), "leaves:4"))[0].title == "rows"


def test_a_leaf_that_something_else_uses_as_well_is_not_hidden() -> None:
    b = Builder()
    own = weights(b, 10)
    out = b.op("lstm", b.leaf("x", (3, 4)), *own, shape=(3, 4), line=5)
    penalty = b.op("norm", own[3], shape=(), line=6)
    b.sweep(b.op("add", b.op("sum", out, shape=()), penalty, shape=(), line=7), line=8)
    graph = folded(b.graph())
    assert shelves(graph)[0].ops == tuple(graph.values[value].op for value in own if value != own[3])


def test_weights_that_two_calls_take_are_one_box_with_two_wires() -> None:
    b = Builder()
    own = weights(b, 10)
    one, other = (b.op("lstm", b.leaf(name, (3, 4)), *own, shape=(3, 4), line=5) for name in ("x", "y"))
    b.sweep(b.op("sum", b.op("sub", one, other, line=6), shape=(), line=7), line=8)
    graph = folded(b.graph())
    box = box_of(graph)
    assert len([wire for wire in compose(graph, Options()).wires if wire.tail == box.id]) == 2


def test_in_a_loop_the_weights_of_every_step_are_one_box() -> None:
    b = Builder()
    own = weights(b, 9)
    h = b.leaf("h", (3, 4))
    for _ in range(40):
        h = b.op("tanh", b.op("exp", b.op("cell", h, *own, shape=(3, 4), line=5), line=6), line=7)
    b.sweep(b.op("sum", h, shape=(), name="loss", line=8), line=9)
    graph = folded(b.graph())
    assert {fold.kind for fold in graph.folds} == {"steps", KIND}


def test_of_equal_blocks_the_weights_in_the_one_that_is_drawn_are_one_box() -> None:
    b = Builder()
    h = b.leaf("x", (3, 4), requires_grad=True)
    turns = []
    for number in range(12):
        own = weights(b, 10, f"net.h.{number}.rnn.w{{}}")
        made = b.op("lstm", h, *own, shape=(3, 4), line=5)
        h = b.op("tanh", made, line=6)
        turns.append((made, h, *own))
    b.sweep(b.op("sum", h, shape=(), name="loss", line=8), line=9)
    graph = b.graph()
    ids = tuple(tuple(graph.values[value].op for value in turn) for turn in turns)
    blocks = join_folds(graph, [Fold("siblings", "h.0-h.11", ids, open=True)])
    made_of = shelve_leaves(blocks)
    made_of.validate()
    assert [fold.title for fold in shelves(made_of)] == ["net.h.0.rnn"]
    picture = compose(made_of, Options())
    assert picture.summary == compose(graph, Options()).summary
    (box,) = [box for box in picture.boxes if box.fold is not None]
    assert box.kind is BoxKind.LEAF
    assert box.frame is not None, "in the frame of the block"
    assert check(arrange(picture)) == ()


def test_in_front_of_a_wide_loop_those_that_one_op_takes_are_one_box() -> None:
    b = Builder()
    cell, out = weights(b, 4, "dec.cell.w{}"), weights(b, 2, "dec.out.w{}")
    attention = [b.leaf(f"w{n}", (4,), requires_grad=True, line=2) for n in range(4)]
    h = b.leaf("h", (3, 4))
    ends = []
    for _ in range(12):
        h = b.op("gru_cell", b.op("attend", h, *attention, shape=(3, 4), line=5), *cell, shape=(3, 4), line=6)
        ends.append(b.op("linear", h, *out, line=7))
    b.sweep(b.op("sum", b.op("stack", *ends, shape=(12, 3, 4), line=8), shape=(), name="loss", line=9), line=10)
    graph = folded(b.graph())
    assert [fold.title for fold in shelves(graph)] == ["dec.cell", "4 leaves"]
    assert [fold.title for fold in shelves(folded(b.graph(), "leaves:5"))] == ["dec.cell"]
    assert len(shelves(folded(b.graph(), "dec.cell"))) == 1
    # Where the loop is not drawn as one, each op has its weights around it.
    assert shelves(folded(b.graph(), "loop:*")) == []


# what a user sees


@pytest.fixture
def lstm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("lstm.py").write_text(LSTM, encoding="utf-8")
    assert run("record", "lstm.py", "-o", "lstm.gvlog")[0] == 0
    return "lstm.gvlog"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(application, arguments, prog_name="gradviz", terminal_width=80)
    return result.exit_code, result.stdout, result.stderr


def test_every_view_of_an_lstm_has_one_box_for_its_weights(lstm: str) -> None:
    zero = [name for name, weight in _gradients().items() if not weight.any()]
    told = f"{16 - len(zero)} parameters"
    for view in ("svg", "html", "dot", "mermaid"):
        code, out, _ = run("render", lstm, "-f", view, "-o", "-")
        assert code == 0
        assert told in out
        assert ("lstm.bias_hh_l0_reverse" in out) is (view != "mermaid"), "the tooltip tells each"
        assert all(name in out for name in zero)
    code, out, _ = run("tree", lstm)
    assert f"◉ lstm  {told}" in out
    assert "◉ several leaves in one" in out
    assert "1 group of leaves is one box; `--expand lstm` unfolds it" in out


def test_an_lstm_fits_a_screen(lstm: str) -> None:
    root = ElementTree.fromstring(run("render", lstm, "-f", "svg", "-o", "-")[1])
    assert float(root.attrib["width"]) < 1200
    whole = ElementTree.fromstring(run("render", lstm, "-f", "svg", "-o", "-", "--all")[1])
    assert float(whole.attrib["width"]) > 3000


def test_the_option_that_the_note_names_opens_the_box(lstm: str) -> None:
    code, out, _ = run("tree", lstm, "--expand", "lstm")
    assert code == 0
    assert out.count("● lstm.") == 16
    assert "lstm.weight" in run("tree", lstm, "--all")[1]


def test_the_parts_of_a_concatenation_are_one_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cat.py").write_text(
        "import torch\nrows = [torch.ones(3, requires_grad=True) for _ in range(20)]\n"
        "torch.cat(rows).sum().backward()\n",
        encoding="utf-8",
    )
    assert run("record", "cat.py", "-o", "cat.gvlog")[0] == 0
    assert "◉ rows  20 leaves · 240 B · line 2" in run("tree", "cat.gvlog")[1]
    assert run("tree", "cat.gvlog", "--expand", "rows")[1].count("● rows") == 20
    code, _, said = run("tree", "cat.gvlog", "--expand", "row")
    assert code != 0
    assert "`rows`" in said


def test_json_has_the_fold_where_it_is_asked_for(lstm: str) -> None:
    assert json.loads(run("render", lstm, "-f", "json", "-o", "-")[1])["folds"] == []
    folds = json.loads(run("render", lstm, "-f", "json", "-o", "-", "--depth", "2")[1])["folds"]
    assert [fold["title"] for fold in folds if fold["kind"] == KIND] == ["lstm"]


def _gradients() -> dict[str, torch.Tensor]:
    """What PyTorch gives the weights of the script's LSTM."""
    names: dict[str, object] = {}
    exec(LSTM, names)
    lstm = names["lstm"]
    assert isinstance(lstm, torch.nn.LSTM)
    return {f"lstm.{name}": weight.grad for name, weight in lstm.named_parameters() if weight.grad is not None}
