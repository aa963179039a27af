"""Focus: what is drawn around a scope, a value or a road, and without what autograd does not keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from building import Builder
from click.testing import CliRunner
from gradviz_cli.main import application

from gradviz.errors import UsageError
from gradviz.events import Cause
from gradviz.focusing import focus_around, focus_path, focus_scope, without_shadow
from gradviz.graphs import Graph
from gradviz.gvlog import LogWriter
from gradviz.selecting import default_selection
from gradviz.views import VIEWS, draw

LONG = 100_000


def drawn(graph: Graph) -> list[str]:
    """The ops as `name = op`, and what stands at the edge or is a leaf as its name."""
    graph.validate()
    names = [graph.values[op.outputs[0]].name if op.outputs else "" for op in graph.ops.values()]
    return [f"{name} = {op.name}" if op.inputs else name for name, op in zip(names, graph.ops.values(), strict=True)]


def notes(graph: Graph) -> list[str]:
    return [note.text for note in graph.notes]


def network() -> Graph:
    """x goes through two scopes of an encoder, past the first one too, and a head to a loss; beside it a detached d."""
    b = Builder()
    x = b.leaf("x", (3,), line=1)
    w = b.leaf("w", (3,), requires_grad=True, line=2)
    v = b.leaf("v", (3,), requires_grad=True, line=3)
    b.function = "Net.forward"
    b.scope = "net.encoder.0"
    a = b.op("mul", w, x, name="a", line=4)
    b.scope = "net.encoder.1"
    c = b.op("add", a, x, name="c", line=5)
    b.scope = "net.head"
    h = b.op("mul", c, v, name="h", line=6)
    b.scope, b.function = "", "<module>"
    d = b.detach(c, name="d", line=7)
    e = b.op("exp", d, name="e", line=8)
    loss = b.op("add", h, e, name="loss", line=9)
    b.item(loss, line=10)
    b.sweep(loss, line=11)
    return b.graph()


# scopes


@pytest.mark.parametrize("name", ["net.encoder", "encoder", "net.encoder.*", "encoder.*", "*.encoder"])
def test_a_scope_with_what_comes_in_at_its_edge(name: str) -> None:
    graph = network()
    part = focus_scope(graph, graph, name)
    assert drawn(part) == ["x", "w", "a = mul", "c = add"]
    assert notes(part) == [f"2 of 7 ops are drawn, those in `{name}`; `--all` draws everything"]


def test_what_comes_in_from_a_neighbour_is_an_edge_without_a_past() -> None:
    graph = network()
    part = focus_scope(graph, graph, "net.head")
    assert drawn(part) == ["v", "c", "h = mul"]
    edge = next(op for op in part.ops.values() if op.name == "add")
    assert (edge.inputs, edge.scope) == ((), "")


def test_a_name_is_a_function_where_no_module_has_it() -> None:
    graph = network()
    assert drawn(focus_scope(graph, graph, "forward")) == ["x", "w", "v", "a = mul", "c = add", "h = mul"]
    assert drawn(focus_scope(graph, graph, "Net.forward")) == drawn(focus_scope(graph, graph, "forward"))


def test_a_function_has_in_it_what_it_calls() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    outer = b.site(9)
    b.function = "step"
    inner = b.site(5, caller=outer)
    b.function = "helper"
    y = b.op("exp", x, name="y", line=3, caller=inner)
    b.function = "<module>"
    b.op("neg", y, name="z", line=10)
    graph = b.graph()
    assert drawn(focus_scope(graph, graph, "step")) == ["x", "y = exp"]


@pytest.mark.parametrize(
    ("name", "near"),
    [("encodr", "net.encoder"), ("net.heads", "net.head"), ("net.hea?", "net.head"), ("[bold]", None), ("", None)],
)
def test_a_scope_that_does_not_exist_is_told_with_near_names(name: str, near: str | None) -> None:
    graph = network()
    with pytest.raises(UsageError) as caught:
        focus_scope(graph, graph, name)
    assert f"`{name}`" in caught.value.message
    assert near is None or f"`{near}`" in caught.value.help


def test_a_scope_is_looked_up_in_what_is_drawn_first() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    for _ in range(3):
        b.scope = "net"
        y = b.op("exp", w, name="y", line=3)
        b.scope = "elsewhere" if _ == 0 else ""
        loss = b.op("neg", y, name="loss", line=4)
        b.sweep(loss, line=5)
    graph = b.graph()
    part = default_selection(graph)
    assert drawn(focus_scope(graph, part, "net")) == ["w", "y = exp"]
    assert drawn(focus_scope(graph, part, "elsewhere")) == ["y", "loss = neg"]
    assert notes(focus_scope(graph, part, "net")) == ["1 of 6 ops are drawn, those in `net`; `--all` draws everything"]


# around a value


def test_around_a_value_are_the_ops_above_and_below_it() -> None:
    graph = network()
    assert drawn(focus_around(graph, graph, "c", 1)) == ["x", "v", "a", "c = add", "h = mul", "d = detach"]
    assert drawn(focus_around(graph, graph, "x", 1)) == ["x", "w", "a = mul", "c = add"]
    two = ["x", "a", "c = add", "h", "d = detach", "e = exp", "loss = add"]
    assert drawn(focus_around(graph, graph, "d", 2)) == two
    assert len(focus_around(graph, graph, "c", 50).ops) == len(graph.ops)


def test_around_a_weight_is_the_iteration_that_is_drawn() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    for _ in range(4):
        loss = b.op("exp", w, name="loss", line=3)
        b.sweep(loss, line=5)
    graph = b.graph()
    assert drawn(focus_around(graph, default_selection(graph), "w")) == ["w", "loss = exp"]


def test_around_a_leaf_that_nothing_uses_is_the_leaf() -> None:
    b = Builder()
    b.leaf("alone", line=1)
    graph = b.graph()
    assert drawn(focus_around(graph, graph, "alone")) == ["alone"]


# roads


def test_a_road_has_on_it_every_op_between_cut_or_not() -> None:
    graph = network()
    part = focus_path(graph, graph, "a", "loss")
    assert drawn(part) == ["x", "v", "a", "c = add", "h = mul", "d = detach", "e = exp", "loss = add"]
    assert [cut.cause for cut in part.cuts] == [Cause.DETACH]
    assert len(part.sweeps) == 1, "the road ends where the sweep begins"
    (note,) = notes(part)
    assert note == (
        "6 of 7 ops are drawn, those between `a` and `loss`, where gradient is cut by detach at line 7; "
        "`--all` draws everything"
    )


def test_a_road_without_a_cut_tells_of_none() -> None:
    graph = network()
    assert "cut" not in notes(focus_path(graph, graph, "w", "h"))[0]


def test_of_values_of_one_name_the_last_that_a_road_joins_are_taken() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    h = b.op("exp", x, name="h", line=2)
    for _ in range(3):
        h = b.op("tanh", h, name="h", line=4)
    b.op("neg", x, name="h", line=5)  # leads nowhere
    y = b.op("sum", h, name="y", line=6)
    graph = b.graph()
    assert drawn(focus_path(graph, graph, "h", "y")) == ["h", "y = sum"]
    assert focus_path(graph, graph, "h", "y").values.keys() == {h, y}
    assert drawn(focus_path(graph, graph, "x", "h"))[-1] == "h = neg"


@pytest.mark.parametrize(
    ("ends", "told", "help"),
    [
        (("loss", "w"), "no road leads from `loss` to `w`", "data flowed the other way: `--path w loss`"),
        (("w", "v"), "no road leads from `w` to `v`: the last that came of it is", "`--of v` shows"),
        (("w", "u"), "no road leads from `w` to `u`: its data left for Python by `item` · line 10", "`--of u` shows"),
        (("alone", "w"), "no road leads from `alone` to `w`: nothing used it", "`--of w` shows"),
        (("w", "los"), "there is no value called `los`", "did you mean `loss`?"),
        (("ww", "loss"), "there is no value called `ww`", "did you mean `w`?"),
    ],
)
def test_where_there_is_no_road_it_is_told_where_it_ended(ends: tuple[str, str], told: str, help: str) -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    b.leaf("v", line=2)
    b.leaf("alone", line=3)
    loss = b.op("exp", w, name="loss", line=9)
    b.item(loss, line=10)
    b.leaf("u", line=12)
    graph = b.graph()
    with pytest.raises(UsageError) as caught:
        focus_path(graph, graph, *ends)
    assert caught.value.message.startswith(told)
    assert caught.value.help.startswith(help)


# without the shadow


def test_without_the_shadow_stays_what_autograd_keeps_and_the_cuts() -> None:
    b = Builder()
    x = b.leaf("x", line=1)
    w = b.leaf("w", requires_grad=True, line=2)
    y = b.op("mul", w, x, name="y", line=3)
    with b.region("no_grad", line=4):
        t = b.op("exp", w, name="t", line=5)
        t = b.op("neg", t, name="t", line=6)
    d = b.detach(y, name="d", line=7)
    b.item(y, line=8)
    loss = b.op("add", y, t, d, name="loss", line=9)
    b.sweep(loss, line=10)
    graph = b.graph()
    part = without_shadow(graph)
    assert drawn(part) == ["x", "w", "y = mul", "t", "d = detach", "loss = add"]
    assert [cut.cause for cut in part.cuts] == [Cause.DETACH]
    assert notes(part) == [
        "2 ops without gradient and 1 value that left for Python, 1 of them cuts, are left out by `--no-shadow`"
    ]


def test_what_is_blamed_stays_with_its_road_to_the_root() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    with b.region("no_grad", line=2):
        h = b.op("exp", w, name="h", line=3)
        k = b.op("neg", h, name="k", line=4)
        b.op("abs", h, name="aside", line=5)
    v = b.leaf("v", requires_grad=True, line=6)
    loss = b.op("mul", k, v, name="loss", line=7)
    b.sweep(loss, line=8)
    graph = b.graph()
    assert drawn(without_shadow(graph)) == ["k", "v", "loss = mul"]
    assert drawn(without_shadow(graph, [h])) == ["w", "h = exp", "k = neg", "v", "loss = mul"]


def test_a_failed_sweep_from_a_skipped_op_keeps_it() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    with b.region("no_grad", line=2):
        h = b.op("exp", w, name="h", line=3)
        loss = b.op("sum", h, name="loss", line=4)
    b.sweep(loss, line=5, error="element 0 of tensors does not require grad and does not have a grad_fn")
    part = without_shadow(b.graph())
    assert drawn(part) == ["h", "loss = sum"]
    assert part.sweeps[0].error


def test_a_write_in_place_that_keeps_its_history_stays() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    h = b.op("exp", w, name="h", line=2)
    with b.region("no_grad", line=3):
        h = b.inplace("mul_", h, "2", line=4)
    b.sweep(b.op("sum", h, name="loss", line=5), line=6)
    graph = b.graph()
    assert without_shadow(graph) is graph


def test_a_leaf_that_only_the_shadow_used_goes_with_it() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    b.op("exp", b.leaf("x", line=2), name="y", line=3)
    b.leaf("alone", line=4)
    b.op("neg", w, name="z", line=5)
    assert drawn(without_shadow(b.graph())) == ["w", "alone", "z = neg"]


def test_a_graph_without_shadow_is_itself() -> None:
    b = Builder()
    b.sweep(b.op("exp", b.leaf("w", requires_grad=True)))
    graph = b.graph()
    assert without_shadow(graph) is graph


# everything else


@pytest.mark.parametrize("view", list(VIEWS))
def test_every_view_draws_a_focus(view: str) -> None:
    graph = network()
    for part in (
        focus_scope(graph, graph, "encoder"), focus_around(graph, graph, "c"), focus_path(graph, graph, "w", "loss"),
        without_shadow(graph),
    ):  # fmt: skip
        assert draw(part, view) == draw(part, view)


def test_depth_is_no_limit() -> None:
    b = Builder()
    h = b.leaf("x", requires_grad=True)
    b.scope = "deep"
    for _ in range(LONG):
        h = b.op("tanh", h)
    b.name(h, "y")
    graph = b.graph()
    assert len(focus_path(graph, graph, "x", "y").ops) == LONG + 1
    assert len(focus_around(graph, graph, "x", LONG).ops) == LONG + 1
    assert len(focus_scope(graph, graph, "deep").ops) == LONG + 1
    assert without_shadow(graph) is graph


# the command line


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The log of `y = scale(w); d = y.detach(); loss = (y * d).sum(); loss.backward(); loss.item()`."""
    monkeypatch.chdir(tmp_path)
    b = Builder()
    w = b.leaf("w", (2,), requires_grad=True, line=3)
    b.function = "scale"
    y = b.op("mul", w, "3", name="y", line=5)
    b.function = "<module>"
    d = b.detach(y, name="d", line=7)
    loss = b.op("sum", b.op("mul", y, d, line=8), name="loss", line=8)
    b.sweep(loss, line=9)
    b.item(loss, line=10)
    writer = LogWriter("run.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    return "run.gvlog"


def tree(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(application, ["tree", *arguments], prog_name="gradviz", terminal_width=80)
    return result.exit_code, result.stdout, result.stderr


def test_all_iterations_are_drawn_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    b = Builder()
    w = b.leaf("w", (2,), requires_grad=True, line=1)
    for _ in range(7):
        b.sweep(b.op("sum", b.op("mul", w, "3", line=4), name="loss", line=4), line=5)
        w = b.inplace("sub_", w, "0.1", line=6)
    writer = LogWriter("run.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    assert "×7" not in tree("run.gvlog", "--all")[1]
    for more in ((), ("--no-shadow",)):
        status, shown, _ = tree("run.gvlog", "--iterations", *more)
        assert status == 0
        assert "×7" in shown
        assert shown.count("◆ loss") == 1


@pytest.mark.parametrize(
    ("options", "has", "has_not"),
    [
        (("--focus", "scale"), "y = mul", "loss"),
        (("--around", "y", "--hops", "1"), "detach", "loss"),
        (("--path", "y", "d"), "detach", "loss"),
        (("--no-shadow",), "detach", "left as"),
        (("--no-shadow", "--focus", "scale"), "y = mul", "detach"),
    ],
)
def test_the_options_choose_what_is_drawn(log: str, options: tuple[str, ...], has: str, has_not: str) -> None:
    status, shown, _ = tree(log, "--no-findings", *options)
    assert status == 0
    head = shown.partition("note:")[0]
    assert has in head
    assert has_not not in head


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--focus", "scale", "--all"), "`--all` and `--focus` were both given"),
        (("--of", "y", "--path", "w", "y"), "`--of` and `--path` were both given"),
        (("--around", "y", "--focus", "scale"), "`--focus` and `--around` were both given"),
        (("--hops", "3"), "`--hops` was given without `--around`"),
        (("--path", "loss", "w"), "no road leads from `loss` to `w`"),
        (("--focus", "scal"), "nothing ran in a scope called `scal`"),
        (("--around", "z"), "there is no value called `z`"),
        (("--iterations", "--all"), "`--all` and `--iterations` were both given"),
    ],
)
def test_what_cannot_be_asked_for_is_one_error_and_one_help(
    log: str, options: tuple[str, ...], error: str
) -> None:
    status, shown, told = tree(log, *options)
    assert status == 2
    assert not shown
    lines = [line for line in told.splitlines() if line.startswith(("error", "help"))]
    assert lines[0] == f"error: {error}"
    assert len(lines) == 2
