"""Folding by meaning: which modules, equal blocks and chains of views become one, and what is never hidden by it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import zoo
from building import Builder
from hypothesis import given, settings
from hypothesis import strategies as st

from gradviz.diagnose.findings import Finding, Severity
from gradviz.events import Module, Role, Saved
from gradviz.fold import unfold
from gradviz.fold.choice import Choice
from gradviz.fold.fit import MOST, PAGE, ROWS, count_boxes, fit
from gradviz.fold.joining import stand_for
from gradviz.fold.rows import count_rows
from gradviz.fold.telling import telling_ops
from gradviz.fold.views import uses, view_chains
from gradviz.graphs import Graph
from gradviz.layout.arrange import arrange
from gradviz.layout.check import check
from gradviz.layout.measure import box_texts
from gradviz.picture.composing import compose
from gradviz.picture.fold_words import tell_folds
from gradviz.picture.records import BoxKind, Picture, WireKind
from gradviz.selecting import default_selection
from gradviz.views import Options, draw


class Network:
    """A model in the making, recorded by hand: layers and blocks of layers, each in its own scope."""

    def __init__(self) -> None:
        self.b = Builder()
        self.x = self.b.leaf("x", (2, 8))

    def weight(self, scope: str, width: int = 8) -> int:
        return self.b.leaf(f"{scope}.weight", (width, 8), requires_grad=True, role=Role.PARAMETER)

    def op(self, name: str, *inputs: int, scope: str, shape: tuple[int, ...] = (2, 8)) -> int:
        self.b.scope = scope
        made = self.b.op(name, *inputs, shape=shape)
        self.b.scope = ""
        return made

    def linear(self, x: int, scope: str, width: int = 8, weight: int | None = None) -> int:
        """A `Linear` called `scope`, with a weight of its own unless one is given."""
        weight = self.weight(scope, width) if weight is None else weight
        return self.op("linear", x, weight, scope=scope, shape=(2, width))

    def block(self, x: int, scope: str, width: int = 8, weights: Sequence[int] = ()) -> int:
        """Two linear layers, two views between them, and a way around all of it."""
        up, down = weights or (self.weight(f"{scope}.up", width), self.weight(f"{scope}.down"))
        y = self.linear(x, f"{scope}.up", width, up)
        y = self.op("view", y, scope=scope, shape=(8, 2))
        y = self.op("transpose", y, scope=scope)
        y = self.linear(y, f"{scope}.down", weight=down)
        return self.op("add", x, y, scope=scope)

    def finish(self, x: int) -> Graph:
        self.b.sweep(self.b.op("sum", x, name="loss", shape=()))
        return self.b.graph()


def blocks(*widths: int) -> Graph:
    """A model of a block for each of `widths`, in `model.h.0`, `model.h.1` and so on."""
    net = Network()
    x = net.x
    for number, width in enumerate(widths):
        x = net.block(x, f"model.h.{number}", width)
    return net.finish(x)


LARGE = (8,) * 30
ENDS = (BoxKind.OUTPUT, BoxKind.RESULT, BoxKind.OFF_OUTPUT)


def titles(graph: Graph, *, open: bool | None = None) -> list[str]:
    """The folds of a graph by title and number of turns, in order."""
    told = [fold for fold in graph.folds if open is None or fold.open is open]
    return [f"{fold.title} ×{fold.times}" if fold.times > 1 else fold.title for fold in told]


def folded(graph: Graph, choice: Choice | None = None, marked: Sequence[int] = ()) -> Graph:
    """The graph as `fit` folds it, after a look at all that every folded graph promises."""
    made = fit(graph, choice, marked)
    assert unfold(made) == graph
    made.validate()
    picture = compose(made, Options())
    places = {box.id: place for place, box in enumerate(picture.boxes)}
    assert [box.id for box in picture.boxes] == [f"b{place}" for place in range(len(places))]
    assert all(places[wire.tail] < places[wire.head] for wire in picture.wires)
    assert_wires_are_those_of_the_graph(made, picture)
    check(arrange(picture))
    # What is counted is what is there, however it is drawn.
    assert picture.summary == compose(graph, Options()).summary
    return made


def assert_wires_are_those_of_the_graph(graph: Graph, picture: Picture) -> None:
    """Between two boxes there is a wire just where data went from an op of the one to an op of the other."""
    standing = stand_for(graph.folds)
    box_of = {box.fold if box.fold is not None else box.op: box.id for box in picture.boxes if box.op is not None}
    alone = {box.id for box in picture.boxes if box.kind in ENDS}
    # The badge of a cut stands before the box of the value that comes out of it.
    badges = {box.id for box in picture.boxes if box.kind is BoxKind.CUT}
    after = {wire.tail: wire.head for wire in picture.wires if wire.tail in badges}
    drawn = {
        (wire.tail, after.get(wire.head, wire.head))
        for wire in picture.wires
        if wire.head not in alone and wire.tail not in badges
    }
    shared = {source for fold in graph.folds for source in fold.shared}
    expected = set()
    for op in graph.ops.values():
        for item in op.value_inputs:
            made = graph.values[item].op
            tail, head = standing.shown(made), standing.shown(op.id)
            if tail != head and not standing.is_carried(made, op.id) and made not in shared:
                expected.add((box_of[tail], box_of[head]))
    assert {pair for pair in drawn if not is_shared(graph, picture, pair[0], shared)} == expected


def is_shared(graph: Graph, picture: Picture, id: str, shared: set[int]) -> bool:
    return any(box.id == id and box.op in shared for box in picture.boxes)


# equal blocks


def test_a_small_graph_stays_as_it_is() -> None:
    graph = blocks(8, 8, 8)
    assert count_boxes(graph) <= MOST
    assert fit(graph) is graph


def test_equal_blocks_become_one_that_is_drawn_open() -> None:
    graph = folded(blocks(*LARGE))
    assert titles(graph, open=True) == ["h.0-h.29 ×30"]
    assert titles(graph, open=False) == ["up", "view (2 steps)", "down"]
    picture = compose(graph, Options())
    assert [frame.title for frame in picture.frames] == ["h.0-h.29 ×30"]
    assert len(picture.boxes) == 7  # x, up, view, down, add, sum and loss
    (fold,) = [fold for fold in graph.folds if fold.open]
    assert fold.option == "--expand model.h.0"
    assert fold.kind == "siblings"


def test_blocks_are_equal_by_structure_and_not_by_name() -> None:
    other = list(LARGE)
    other[10] = 16
    graph = folded(blocks(*other))
    assert titles(graph, open=True) == ["h.0-h.9 ×10", "h.10", "h.11-h.29 ×19"]


def test_a_cut_makes_a_block_another_and_is_seen() -> None:
    net = Network()
    x = net.x
    for number in range(30):
        x = net.block(x, f"model.h.{number}")
        if number == 12:
            net.b.scope = "model.h.12"
            x = net.b.detach(x, line=7)
            net.b.scope = ""
    graph = net.finish(x)
    made = folded(graph, marked=sorted(telling_ops(graph)))
    assert titles(made, open=True) == ["h.0-h.11 ×12", "h.12", "h.13-h.29 ×17"]
    picture = compose(made, Options())
    assert [box.title for box in picture.boxes if box.kind is BoxKind.CUT] == ["detach · line 7"]
    assert any(wire.kind is WireKind.CUT for wire in picture.wires)


def test_where_many_leaves_lose_their_gradient_their_modules_say_so() -> None:
    """One cut may starve sixty weights: to open every module for them would hide the cut."""
    net = Network()
    x = net.x
    for number in range(30):
        x = net.block(x, f"model.h.{number}")
        if number == 14:
            x = net.b.detach(x, line=7)
    graph = net.finish(x)
    made = folded(graph, marked=sorted(telling_ops(graph)))
    picture = compose(made, Options())
    assert len(picture.boxes) < PAGE
    assert sorted({box.detail.partition("1 parameter")[2] for box in picture.boxes if "1 parameter" in box.detail}) == [
        "", ", no gradient",
    ]  # fmt: skip


def test_a_pattern_of_layers_repeats() -> None:
    net = Network()
    x = net.x
    for number in range(0, 160, 2):
        x = net.linear(x, f"net.{number}")
        x = net.op("relu", x, scope=f"net.{number + 1}")
    made = folded(net.finish(x))
    assert titles(made) == ["net.0-net.159 ×80", "net.0", "net.1"]


def test_equal_branches_side_by_side_are_one_as_well() -> None:
    net = Network()
    stem = net.linear(net.x, "net.stem")
    heads = [net.block(net.linear(stem, f"net.heads.{n}.in"), f"net.heads.{n}.body") for n in range(40)]
    made = folded(net.finish(net.op("cat", *heads, scope="net", shape=(80, 8))))
    (fold,) = [fold for fold in made.folds if fold.times > 1]
    assert (fold.kind, fold.title, fold.times) == ("parallel", "heads.0-heads.39", 40)


def test_functions_fold_as_modules_do() -> None:
    b = Builder()
    x = b.leaf("x", (4, 4))
    main = b.site(40)
    b.function = "layer"
    for _ in range(60):
        weight, bias = b.leaf(shape=(4, 4), requires_grad=True), b.leaf(shape=(4,), requires_grad=True)
        for name, inputs in (("matmul", (weight,)), ("add", (bias,)), ("tanh", ())):
            x = b.op(name, x, *inputs, line=5, caller=main)
    b.function = "<module>"
    b.sweep(b.op("sum", x, name="loss", line=41, shape=()))
    made = folded(b.graph())
    assert titles(made) == ["layer ×60"]


# what a reader chooses


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(expand=("h.3",)), ["h.0-h.2 ×3", "h.3", "h.4-h.29 ×26"]),
        (Choice(expand=("model.h.2*",)), ["h.0-h.1 ×2", "h.3-h.19 ×17"]),
    ],
)
def test_expand_takes_a_block_out_of_its_run(choice: Choice, expected: list[str]) -> None:
    made = folded(blocks(*LARGE), choice)
    told = titles(made)
    assert [title for title in expected if title not in told] == []


def test_collapse_makes_a_module_one_box() -> None:
    small = folded(blocks(8, 8, 8), Choice(collapse=("h.1",)))
    assert titles(small) == ["h.1"]
    (box,) = [box for box in compose(small, Options()).boxes if box.fold is not None]
    assert (box.title, box.detail) == ("h.1", "5 ops · 2 parameters")
    large = folded(blocks(*LARGE), Choice(collapse=("h.*",)))
    assert titles(large) == ["h.0-h.29 ×30"]


def test_what_a_box_says_of_a_module_is_never_clipped() -> None:
    net = Network()
    net.b.scope = "model.bn1"
    y = net.b.op(
        "batch_norm", net.x, net.weight("model.bn1"), net.weight("model.bn1.other"),
        saved=[Saved("input", (2, 8), "float32", 65_600)], shape=(2, 8),
    )  # fmt: skip
    net.b.scope = ""
    made = fit(net.finish(y), Choice(collapse=("bn1",)), modules=[Module("model.bn1", "BatchNorm2d")])
    (box,) = [box for box in compose(made, Options()).boxes if box.fold is not None]
    assert box_texts(box) == ("bn1", "BatchNorm2d · 2 parameters")
    assert ("saved", "65.6 kB") in box.tooltip


def test_of_a_long_kind_of_module_the_end_goes_and_the_count_of_its_ops_stays_whole() -> None:
    net = Network()
    x = net.x
    for number in range(12):
        x = net.linear(x, f"net.layer.0.{number % 3}.{number}")
    kind = "T5LayerSelfAttentionWithRelativePositions"
    made = fit(net.finish(x), Choice(collapse=("layer.0",)), modules=[Module("net.layer.0", kind)])
    (box,) = [box for box in compose(made, Options()).boxes if box.fold is not None]
    assert box.detail == "T5LayerSelfAtt… · 12 ops · 12 parameters"
    assert box_texts(box)[1] == box.detail, "nothing of it is clipped once more"


def test_of_a_list_that_is_all_there_is_in_a_block_the_block_has_the_frame() -> None:
    net = Network()
    x = net.x
    for number in range(24):
        x = net.block(x, f"model.block.{number}.layer.0", 8 + number)
        x = net.block(x, f"model.block.{number}.layer.1", 40 + number)
    made = folded(net.finish(x), Choice(expand=("block.7.layer",)))
    framed = [frame.title for frame in compose(made, Options()).frames]
    assert "block.7" in framed
    assert "layer" not in framed


@pytest.mark.parametrize(("depth", "expected"), [(1, ["model"]), (2, ["h"]), (3, ["h.0", "h.1", "h.2"])])
def test_depth_says_how_deep_modules_are_opened(depth: int, expected: list[str]) -> None:
    assert titles(folded(blocks(8, 8, 8), Choice(depth=depth))) == expected


def test_everything_is_everything() -> None:
    graph = blocks(*LARGE)
    assert fit(graph, Choice(everything=True)) is graph


# what is not hidden


def test_weights_of_a_module_that_is_called_twice_are_counted_in_both_calls() -> None:
    net = Network()
    weights = [(net.weight(f"net.{n}.up"), net.weight(f"net.{n}.down")) for n in range(20)]
    ends = []
    for _ in range(2):
        x = net.op("mul", net.x, net.x, scope="")
        for number, pair in enumerate(weights):
            x = net.block(x, f"net.{number}", weights=pair)
        ends.append(x)
    graph = net.finish(net.op("sub", *ends, scope=""))
    made = folded(graph, Choice(depth=1))
    boxes = [box for box in compose(made, Options()).boxes if box.fold is not None]
    assert [box.detail for box in boxes] == ["100 ops · 40 parameters"] * 2
    assert not any(box.kind is BoxKind.LEAF for box in compose(made, Options()).boxes)


def test_a_model_that_runs_twice_is_opened_as_one_that_runs_once() -> None:
    network = Network()
    blocks = [[network.weight(f"net.h.{number}.{name}", 8 + number) for name in ("up", "down")] for number in range(40)]
    for _ in range(2):
        x = network.x
        for number, weights in enumerate(blocks):
            x = network.block(x, f"net.h.{number}", 8 + number, weights)
    opened = [fold.scope for fold in fit(network.b.graph()).folds if fold.kind == "scope" and not fold.open]
    assert "net" not in opened
    assert any(scope.startswith("net.h.") for scope in opened)


def test_a_weight_of_another_module_stays_outside() -> None:
    net = Network()
    tied = net.weight("model.embedding")
    x = net.linear(net.x, "model.embedding", weight=tied)
    for number in range(30):
        x = net.block(x, f"model.h.{number}")
    made = folded(net.finish(net.linear(x, "model.head", weight=tied)))
    (leaf,) = [box for box in compose(made, Options()).boxes if box.kind is BoxKind.LEAF]
    assert leaf.title == "model.embedding.weight"


def test_a_closed_module_tells_how_many_cuts_it_holds() -> None:
    net = Network()
    x = net.block(net.x, "model.h.0")
    with net.b.region("no_grad", line=4):
        x = net.block(x, "model.h.1")
    graph = net.finish(net.block(x, "model.h.2"))
    made = folded(graph, Choice(collapse=("h.*",)))
    by_title = {box.title: box for box in compose(made, Options()).boxes if box.fold is not None}
    assert by_title["h.1"].kind is BoxKind.OFF
    # Three ops took what requires grad, one of them two: both layers, and the sum at the end.
    crosses = sum(wire.lost for wire in compose(graph, Options()).wires)
    assert by_title["h.1"].cuts == crosses == 4
    assert "skipped · 4 cuts" in by_title["h.1"].detail
    assert by_title["h.1"].frame is not None
    assert by_title["h.0"].cuts == by_title["h.2"].cuts == 0


def test_a_finding_in_a_closed_module_is_on_its_box() -> None:
    net = Network()
    used = net.block(net.x, "model.h.0")
    inner = net.linear(used, "model.h.1.up")
    net.b.scope = "model.h.1"
    cut = net.b.detach(inner, line=9)
    net.b.scope = ""
    graph = net.finish(net.block(cut, "model.h.2"))
    finding = Finding(
        code="GV101", severity=Severity.ERROR, path="script.py", line=9, column=1, end_line=9, end_column=11,
        message="cut", help="", values=(), names=(), kind="",
    )
    made = fit(graph, Choice(collapse=("h.1",)))
    picture = compose(made, Options(), [finding])
    (box,) = [box for box in picture.boxes if box.findings]
    assert (box.title, box.cuts) == ("h.1", 1)
    assert {wire.kind for wire in picture.wires if wire.tail == box.id} == {WireKind.SHADOW}


# views


def test_views_one_behind_the_other_are_one_step() -> None:
    net = Network()
    x = net.linear(net.x, "net.in")
    for name in ("view", "transpose", "contiguous"):
        x = net.op(name, x, scope="net")
    forked = net.op("reshape", x, scope="net")
    x = net.op("add", forked, net.op("view", forked, scope="net"), scope="net")
    made = folded(net.finish(x), Choice(depth=2))
    assert titles(made) == ["in"], "a graph that is small keeps its views"
    chains = list(view_chains(made, made.ops, uses(made)))
    assert [(fold.title, len(fold.ops)) for fold in chains] == [("view (4 steps)", 4)]


# any graph


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_graph_can_be_folded_to_any_depth(data: st.DataObject) -> None:
    b = Builder()
    values = [b.leaf(f"w{number}", (2,), requires_grad=data.draw(st.booleans())) for number in range(3)]
    scopes = st.sampled_from(["", "a", "a.b", "a.b.c", "a.d", "e", "e.f", "e.0", "e.1", "e.2"])
    for _ in range(data.draw(st.integers(1, 30))):
        b.scope = data.draw(scopes)
        b.thread = data.draw(st.integers(0, 1))
        picked = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        if data.draw(st.integers(0, 9)) == 0:
            values.append(b.detach(picked[0]))
        else:
            values.append(b.op(data.draw(st.sampled_from(["mul", "add", "view"])), *picked))
    b.sweep(values[-1])
    graph = b.graph()
    marked = data.draw(st.sets(st.sampled_from(sorted(graph.ops))))
    folded(graph, Choice(depth=data.draw(st.integers(1, 4))), sorted(marked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradviz.fold.fit.MOST", 5)
        patch.setattr("gradviz.fold.fit.PAGE", 8)
        folded(graph, None, sorted(marked))


def test_a_deep_and_a_long_graph_fold_without_recursion() -> None:
    net = Network()
    x = net.x
    for number in range(2_000):
        x = net.op("mul", x, net.weight(f"net.{number}"), scope=f"net.{number}")
    made = fit(net.finish(x))
    assert titles(made)[0] == "net.0-net.1999 ×2000"
    deep = Network()
    x = deep.x
    for number in range(300):
        x = deep.op("mul", x, deep.weight("w"), scope=".".join(["m"] * (number + 1)))
    assert len(compose(fit(deep.finish(x)), Options()).boxes) <= PAGE + 5


def test_one_long_road_is_folded_until_it_is_low_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = zoo.recorded(zoo.resnet18)[0]
    graph = default_selection(whole)
    made = folded(graph)
    low = arrange(compose(made, Options())).height
    assert count_rows(made) <= ROWS
    monkeypatch.setattr("gradviz.fold.fit.ROWS", 1_000)
    tall = fit(graph)
    assert count_rows(tall) > ROWS
    assert arrange(compose(tall, Options())).height > 1.5 * low


# how it looks


@pytest.mark.parametrize("view", ["svg", "dot", "tree"])
def test_a_folded_graph_is_drawn_the_same_twice(view: str) -> None:
    graph = blocks(*LARGE)
    once, again = (draw(fit(graph), view, Options()) for _ in range(2))
    assert once == again
    assert "h.0-h.29 ×30" in once


def test_the_svg_marks_boxes_of_many_ops() -> None:
    graph = fit(blocks(*LARGE))
    root = ElementTree.fromstring(draw(graph, "svg", Options()))
    marked = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("class") == "sub"]
    closed = [fold for fold in graph.folds if not fold.open]
    assert len(marked) == len(closed) + 1  # and one in the legend
    assert 'class="sub"' not in draw(unfold(graph), "svg", Options())


def test_the_note_says_what_is_folded_and_how_to_undo_it() -> None:
    (note,) = compose(fit(blocks(*LARGE)), Options()).notes
    assert note == (
        "folded: 30 equal blocks are drawn as one (h.0-h.29); 2 modules are one box each; 1 chain of views is one box; "
        "`--expand model.h.0` unfolds one of them, `--all` draws everything"
    )


def test_a_model_that_runs_twice_is_said_once_to_be_folded() -> None:
    graph = fit(blocks(*LARGE))
    (note,) = tell_folds(replace(graph, folds=(*graph.folds, *graph.folds)))
    assert note.count("30 equal blocks are drawn as one (h.0-h.29)") == 1
    assert "more" not in note


def test_json_lists_the_folds() -> None:
    read = json.loads(draw(fit(blocks(8, 8, 8), Choice(collapse=("h.1",))), "json", Options()))
    (told,) = read["folds"]
    assert (told["title"], told["kind"], told["option"]) == ("h.1", "scope", "--expand model.h.1")
    assert set(told["turns"][0]) <= {op["id"] for op in read["ops"]}


def test_a_lost_gradient_is_seen_beside_a_plain_wire_between_the_same_boxes() -> None:
    net = Network()
    first = net.block(net.x, "model.first")
    with net.b.region("no_grad", line=4):
        plain = net.op("mul", net.x, net.x, scope="model.first")
        second = net.op("sub", plain, first, scope="model.second")
        second = net.op("add", second, plain, scope="model.second")
    made = folded(net.finish(net.op("add", second, first, scope="")), Choice(collapse=("first", "second")))
    picture = compose(made, Options())
    titles = {box.id: box.title for box in picture.boxes}
    assert ("first", "second", True) in {(titles[w.tail], titles[w.head], w.lost) for w in picture.wires}


def test_experts_are_equal_however_much_each_has_to_do() -> None:
    net = Network()
    ends = []
    for number in range(60):
        rows = net.op("index", net.x, scope="net", shape=(1 + number % 5, 8))
        weight = net.weight(f"net.experts.{number}.up")
        ends.append(net.op("linear", rows, weight, scope=f"net.experts.{number}.up", shape=(1 + number % 5, 8)))
    made = folded(net.finish(net.op("cat", *ends, scope="net")))
    assert titles(made)[0] == "experts.0-experts.59 ×60"
