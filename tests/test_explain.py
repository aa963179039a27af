"""`gradviz explain`: what a tensor got and by which roads, held to `.grad` and to PyTorch's own graph."""

from __future__ import annotations

import json
import math
import re
import textwrap
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from building import Builder
from click.testing import CliRunner, Result
from gradviz_cli.main import application
from rich.cells import cell_len
from torch.utils.checkpoint import checkpoint

import gradviz as gv
from gradviz.accounts import Account, Mark, State, account_of, look_up
from gradviz.accounts.json import as_json
from gradviz.errors import UsageError
from gradviz.events import Cause, Gradient, Role, Site
from gradviz.graphs import Graph
from gradviz.gvlog import LogWriter
from gradviz.views.account import draw, draw_choices

CASES = Path(__file__).parent / "cases"


def explain(graph: Graph, name: str) -> Account:
    found = look_up(graph, name)
    assert found.value is not None, found.choices
    return account_of(graph, found.value, remarks=found.remarks)


def marks(account: Account, road: int = 0) -> list[tuple[str, int]]:
    """What kind of stop stands at which line of a road of the first passage."""
    return [(step.mark.value, step.line) for step in account.passages[0].roads[road].steps]


# ---- oracles: `.grad` after the program, and a walk of PyTorch's nodes

PROGRAMS = ["01", "02", "04", "05", "10", "12", "14", "15", "29", "31", "40", "66", "76", "81", "87"]


def played(number: str) -> tuple[Graph, dict[str, Any]]:
    """One program of tests/cases: its recording, and its variables at the end."""
    path = next(CASES.glob(f"{number}_*.py"))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recording = gv.record()
        recording.start()
        try:
            exec(code, namespace)
        finally:
            recording.stop(namespace=namespace)
    return recording.graph(), namespace


def reached_by_torch(root: torch.Tensor) -> set[int]:
    """Identities of the leaves that autograd's own graph leads to from `root`."""
    seen, leaves, pending = set(), set(), [root.grad_fn]
    while pending:
        node = pending.pop()
        if node is not None and node not in seen:
            seen.add(node)
            if hasattr(node, "variable"):
                leaves.add(id(node.variable))
            pending += [follower for follower, _ in node.next_functions]
    return leaves


@pytest.mark.parametrize("number", PROGRAMS)
def test_accounts_agree_with_the_program(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    graph, namespace = played(number)
    models = {name: value for name, value in namespace.items() if isinstance(value, torch.nn.Module)}
    tensors = {f"{owner}.{name}": p for owner, model in models.items() for name, p in model.named_parameters()}
    losses = {name: value for name, value in namespace.items() if isinstance(value, torch.Tensor) and value.grad_fn}
    assert tensors
    for name, tensor in tensors.items():
        account = explain(graph, name)
        assert (account.state is State.NONE) == (tensor.grad is None), name
        if tensor.grad is not None:
            norms = [passage.norm for passage in account.passages if passage.norm is not None]
            assert any(math.isclose(norm, float(tensor.grad.norm()), rel_tol=1e-4, abs_tol=1e-7) for norm in norms)
            assert (account.state is State.ZERO) == (not tensor.grad.any())
        for passage in account.passages:
            loss = losses.get(passage.call.removesuffix(".backward()"))
            if passage.runs and loss is not None:
                assert bool(passage.alive) == (id(tensor) in reached_by_torch(loss)), (name, passage.call)
                assert bool(passage.alive) == any(road.flows for road in passage.roads)


def test_the_culprit_of_each_cut_is_on_the_road() -> None:
    """What expected.json says of the simple cuts: the line stands on a road of each tensor that suffers."""
    expected = {case["file"][:2]: case for case in json.loads((CASES / "expected.json").read_text(encoding="utf-8"))}
    for number in ("01", "02", "10", "12", "14"):
        graph, _ = played(number)
        lines = set(expected[number]["culprit_lines"]) | set(expected[number]["related_lines"])
        for name in expected[number]["affected"]:
            account = explain(graph, name)
            cuts = [step for passage in account.passages for road in passage.roads for step in road.cuts]
            told = {step.line for step in cuts}
            told |= {int(line) for line in re.findall(r"(?:line |[.]py:)([0-9]+)", account.verdict)}
            assert account.state is State.NONE
            assert lines & told, (number, name)


# ---- what a tensor can be


def test_one_of_two_roads_is_cut() -> None:
    b = Builder("train.py")
    x = b.leaf("x", (3,), requires_grad=True, line=4)
    y = b.op("mul", x, "2", name="y", line=5)
    z = b.op("add", b.detach(x, line=6), "3", name="z", line=6)
    r = b.op("add", y, z, name="r", line=7)
    b.sweep(r, line=9, gradients=[Gradient(x, 2.0)])
    account = explain(b.graph(), "x")
    passage = account.passages[0]
    assert (account.state, passage.alive, passage.all_roads) == (State.VALUE, 1, 2)
    assert [(road.flows, road.cause) for road in passage.roads] == [(True, None), (False, Cause.DETACH)]
    assert marks(account, 0) == [("tensor", 4), ("op", 5), ("op", 7), ("root", 9)]
    assert marks(account, 1) == [("tensor", 4), ("cut", 6), ("off", 6), ("op", 7), ("root", 9)]
    assert [step.flows for step in passage.roads[1].steps] == [True, False, False, True, True]
    assert account.verdict == (
        "`x` got a gradient of norm 2 from `r.backward()` (line 9), by 1 of 2 roads; "
        "the other is cut by `detach()` at line 6"
    )


def test_a_cut_is_shown_on_the_shortest_road_that_has_it() -> None:
    b = Builder("train.py")
    w = b.leaf("w", requires_grad=True, line=1)
    h = w
    for _ in range(5):
        h = b.op("sin", h, line=2)
    near, far = b.detach(w, line=3), b.detach(h, line=3)
    b.sweep(b.op("add", b.op("add", near, far, line=4), w, name="loss", line=5), line=6)
    account = explain(b.graph(), "w")
    assert len(account.passages[0].roads) == 2, "one line cuts both, so one of them is enough"
    assert marks(account, 1) == [("tensor", 1), ("cut", 3), ("off", 4), ("op", 5), ("root", 6)]


def test_every_road_is_cut() -> None:
    b = Builder("train.py")
    w = b.leaf("w", requires_grad=True, line=1)
    with b.region("no_grad", line=2):
        h = b.op("mul", w, "2", name="h", line=3)
    v = b.leaf("v", requires_grad=True, line=4)
    b.sweep(b.op("mul", h, v, name="loss", line=5), line=6, gradients=[Gradient(v, 1.0)])
    account = explain(b.graph(), "w")
    assert account.state is State.NONE
    assert "its only road to `loss` is cut by `no_grad` opened at line 2" in account.verdict
    constant = explain(b.graph(), "h")
    assert constant.verdict == "`h` is a constant to autograd: it came from `w` under `no_grad` opened at line 2"
    assert "opened at line 2" in account.passages[0].roads[0].cuts[0].note


@pytest.mark.parametrize(("zero", "nan", "state"), [(True, False, State.ZERO), (False, True, State.NAN)])
def test_zero_and_nan_are_no_ordinary_gradients(zero: bool, nan: bool, state: State) -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True)
    b.sweep(b.op("mul", w, "0", name="loss"), gradients=[Gradient(w, math.nan if nan else 0.0, zero, nan)])
    account = explain(b.graph(), "w")
    assert account.state is state
    assert json.loads(as_json(account))["state"] == state.value


def test_a_frozen_parameter() -> None:
    b = Builder("train.py")
    w = b.leaf("w", requires_grad=True, role=Role.PARAMETER, line=1)
    x = b.leaf("x", requires_grad=True, line=2)
    b.set_requires_grad(w, False, line=3)
    b.sweep(b.op("mul", w, x, name="loss", line=4), line=5, gradients=[Gradient(x, 1.0)])
    account = explain(b.graph(), "w")
    assert account.verdict == "`w` is frozen: its `requires_grad` was switched off at line 3"
    assert marks(account) == [("tensor", 1), ("op", 4), ("root", 5)]
    assert not account.passages[0].roads[0].flows


def test_a_tensor_that_was_frozen_when_it_was_used() -> None:
    b = Builder("train.py")
    w, x = b.leaf("w", requires_grad=True, line=1), b.leaf("x", requires_grad=True, line=2)
    b.set_requires_grad(w, False, line=3)
    h = b.op("mul", w, x, name="h", line=4)
    b.set_requires_grad(w, True, line=5)
    b.sweep(b.op("add", h, x, name="loss", line=6), line=7, gradients=[Gradient(x, 2.0)])
    account = explain(b.graph(), "w")
    assert "its only road to `loss` is cut by `requires_grad = False` at line 3" in account.verdict
    assert account.passages[0].roads[0].cause is Cause.FROZEN
    assert marks(account) == [("tensor", 1), ("cut", 4), ("op", 6), ("root", 7)]


def test_a_tensor_between_keeps_no_gradient_unless_asked() -> None:
    b = Builder("train.py")
    w = b.leaf("w", requires_grad=True, line=1)
    h = b.op("mul", w, "2", name="h", line=2)
    b.sweep(b.op("sum", h, name="loss", line=3), line=4, gradients=[Gradient(w, 2.0)])
    account = explain(b.graph(), "h")
    assert account.state is State.PASSED
    assert any("h.retain_grad()" in remark for remark in account.remarks)
    b.act("retain_grad", h, line=9)
    kept = explain(b.graph(), "h")
    assert any("`retain_grad()` at line 9 keeps" in remark for remark in kept.remarks)


def test_a_root_says_where_gradient_goes_on_to() -> None:
    b = Builder("train.py")
    w, v = b.leaf("w", requires_grad=True, line=1), b.leaf("v", requires_grad=True, line=2)
    loss = b.op("mul", w, b.detach(v, line=3), name="loss", line=4)
    b.sweep(loss, line=5, gradients=[Gradient(w, 2.0)])
    account = explain(b.graph(), "loss")
    assert account.state is State.STARTS
    assert "gradient goes on from it to `w`" in account.remarks
    assert "`v` went into it and gets none: cut by `detach()` at line 3" in account.remarks


def test_a_tensor_in_no_road() -> None:
    b = Builder("train.py")
    w, _, aside = (b.leaf(name, requires_grad=True, line=1) for name in ("w", "unused", "aside"))
    end = b.op("mul", b.op("sin", aside, line=2), "2", name="aux", line=3)
    b.item(end, line=4)
    b.sweep(b.op("mul", w, "2", name="loss", line=5), line=6, gradients=[Gradient(w, 2.0)])
    assert "no recorded operation used it" in explain(b.graph(), "unused").remarks
    account = explain(b.graph(), "aside")
    assert account.verdict.endswith("; its road ends in `aux`, which no backward started from")
    assert marks(account) == [("tensor", 1), ("op", 2), ("op", 3), ("end", 0)]


def test_a_tensor_whose_numbers_left_for_good() -> None:
    b = Builder("train.py")
    w, v = b.leaf("w", requires_grad=True, line=1), b.leaf("v", requires_grad=True, line=1)
    index = b.op("long", b.op("sin", w, line=2), name="index", line=3, cause=Cause.INTEGER, dtype="int64")
    b.op("tolist", index, line=4, outputs=0)
    b.sweep(b.op("mul", v, "2", name="loss", line=5), line=6, gradients=[Gradient(v, 2.0)])
    account = explain(b.graph(), "w")
    assert account.verdict == (
        "`w` got no gradient: nothing that was made from it went into `loss`; its road ends by `long()` at line 3"
    )
    assert [mark for mark, _ in marks(account)] == ["tensor", "op", "cut", "off"]


def test_a_number_that_comes_back_is_followed() -> None:
    b = Builder("train.py")
    w, v = b.leaf("w", requires_grad=True, line=1), b.leaf("v", requires_grad=True, line=1)
    b.item(b.op("sin", w, line=2), name="term", line=3)
    b.sweep(b.op("add", v, "0.5", name="loss", line=4), line=5, gradients=[Gradient(v, 1.0)])
    # The line names the number, as a user's line would.
    text = {"text": "loss = v + term", "column": 0, "end_column": 15}
    events = [replace(item, **text) if isinstance(item, Site) and item.line == 4 else item for item in b.events()]
    account = explain(Graph.build(events), "w")
    assert marks(account) == [("tensor", 1), ("op", 2), ("cut", 3), ("op", 4), ("root", 5)]
    assert account.passages[0].roads[0].cause is Cause.ITEM


def test_optimizers() -> None:
    b = Builder("train.py")
    w, v = b.leaf("w", requires_grad=True), b.leaf("v", requires_grad=True)
    b.optimizer(w, kind="Adam", line=2)
    b.sweep(b.op("mul", w, v, name="loss"), gradients=[Gradient(w, 1.0), Gradient(v, 1.0)])
    assert "`Adam` (line 2) has it" in explain(b.graph(), "w").remarks
    assert "no optimizer has it" in explain(b.graph(), "v").remarks


def test_versions_of_a_weight_are_one_tensor() -> None:
    b = Builder("train.py")
    w = b.leaf("w", requires_grad=True, line=1)
    owner = b.optimizer(w, line=2)
    for step in range(3):
        b.sweep(b.op("mul", w, "2", name="loss", line=4), line=5, gradients=[Gradient(w, float(step + 1))])
        b.act("step", optimizer=owner)
        with b.region("no_grad"):
            w = b.inplace("sub_", w, "0.1", name="w", line=6)
    account = explain(b.graph(), "w")
    passage = account.passages[0]
    assert (passage.runs, passage.brought, passage.norm) == (3, 3, 3.0)
    assert marks(account) == [("tensor", 1), ("op", 4), ("root", 5)]
    assert not any("tensors of this name" in remark for remark in account.remarks)


def test_a_weight_that_is_used_a_hundred_times_is_folded() -> None:
    b = Builder("train.py")
    w, h = b.leaf("w", requires_grad=True, line=1), b.leaf("h", line=2)
    for _ in range(100):
        h = b.op("matmul", w, h, name="h", line=3)
    b.sweep(h, line=4, gradients=[Gradient(w, 1.0)])
    account = explain(b.graph(), "w")
    assert account.passages[0].uses == 100
    assert [step.count for step in account.passages[0].roads[0].steps] == [1, 100, 1]
    assert "matmul ×100" in str(account)


def test_each_line_that_calls_backward_is_told_of() -> None:
    b = Builder("train.py")
    g, d = b.leaf("g", requires_grad=True, line=1), b.leaf("d", requires_grad=True, line=2)
    fake = b.op("mul", g, "2", name="fake", line=3)
    b.sweep(b.op("mul", b.detach(fake, line=4), d, name="d_loss", line=4), line=5, gradients=[Gradient(d, 1.0)])
    b.sweep(b.op("mul", fake, d, name="g_loss", line=6), line=7, gradients=[Gradient(g, 3.0), Gradient(d, 2.0)])
    account = explain(b.graph(), "g")
    assert [(passage.call, passage.state) for passage in account.passages] == [
        ("g_loss.backward()", State.VALUE),
        ("d_loss.backward()", State.NONE),
    ]
    assert account.passages[1].roads[0].cause is Cause.DETACH


def test_sweeps_that_are_asked_for_something_else_or_raise() -> None:
    b = Builder("train.py")
    w, v = b.leaf("w", requires_grad=True), b.leaf("v", requires_grad=True)
    loss = b.op("mul", w, v, name="loss")
    b.sweep(loss, kind="grad", inputs=[v], gradients=[Gradient(v, 1.0)])
    assert "it was asked for `v` only" in explain(b.graph(), "w").verdict
    b.sweep(loss, line=9, error="Trying to backward through the graph a second time")
    assert "because `loss.backward()` (line 9) raised `Trying to backward" in explain(b.graph(), "w").verdict


def test_a_line_that_raised_in_a_later_run_says_so() -> None:
    b = Builder("train.py")
    w, v = b.leaf("w", requires_grad=True), b.leaf("v", requires_grad=True)
    loss = b.op("mul", w, v, name="loss", line=3)
    b.sweep(loss, line=4, gradients=[Gradient(w, 1.0)])
    raised = "another run of it raised `Trying to backward through the graph a second time`"
    assert raised not in explain(b.graph(), "w").remarks
    b.sweep(loss, line=4, error="Trying to backward through the graph a second time")
    account = explain(b.graph(), "w")
    assert account.verdict == "`w` got a gradient of norm 1 in 1 of 2 runs from `loss.backward()` (line 4)"
    assert raised in account.remarks


def test_without_a_sweep_the_roads_lead_to_what_one_could_start_from() -> None:
    b = Builder("train.py")
    w = b.leaf("w", requires_grad=True, line=1)
    b.op("sum", b.op("mul", w, "2", line=2), name="loss", line=3)
    account = explain(b.graph(), "w")
    assert account.verdict == "`w` has no gradient: no backward ran; a backward from `loss` would bring it one"
    assert marks(account) == [("tensor", 1), ("op", 2), ("op", 3), ("root", 0)]


def test_what_the_recording_lacks_is_said() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True)
    b.sweep(b.op("mul", w, "2", name="loss"), gradients=[Gradient(w, 2.0)])
    b.note("unrecorded", "what ran in a compiled function is not recorded")
    assert "not all was seen: what ran in a compiled function is not recorded" in explain(b.graph(), "w").remarks


def test_findings_that_name_the_tensor_are_shown() -> None:
    graph, _ = played("01")
    assert [finding.code for finding in explain(graph, "goals_2d_mlp.0.weight").findings] == ["GV101"]
    assert not explain(graph, "decoder.score.weight").findings


def test_an_empty_graph_has_no_tensor() -> None:
    with pytest.raises(UsageError, match="there is no tensor called `w`"):
        look_up(Builder().graph(), "w")


# ---- names


def model() -> Graph:
    b = Builder("src/train.py")
    w = b.leaf("model.layers[0].weight", requires_grad=True, role=Role.PARAMETER, line=1)
    bias = b.leaf("model.head.bias", requires_grad=True, role=Role.PARAMETER, line=1)
    h = b.op("mul", w, "2", line=2)
    h = b.op("add", h, bias, name="h", line=2)
    for _ in range(3):
        h = b.op("sin", h, name="h", line=4)
    left = b.op("split", h, outputs=2, line=5)
    b.sweep(b.op("sum", left, name="loss", line=6), line=7, gradients=[Gradient(w, 1.0), Gradient(bias, 1.0)])
    b.op("mul", left, "3", name="h", line=8)
    return b.graph()


@pytest.mark.parametrize("name", ["model.layers[0].weight", "model.layers.0.weight", "layers.0.weight", " 0.weight"])
def test_a_name_as_the_user_writes_it(name: str) -> None:
    assert explain(model(), name).name == "model.layers[0].weight"


@pytest.mark.parametrize(
    ("name", "near"),
    [("model.layers.0.wieght", "model.layers.0.weight"), ("Loss", "loss"), ("hed.bias", "model.head.bias")],
)
def test_near_names_are_suggested(name: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        look_up(model(), name)
    assert f"`{near}`" in caught.value.help


def test_the_last_of_a_name_that_went_into_a_backward_pass() -> None:
    account = explain(model(), "h")
    assert account.passages[0].roads[0].steps[0].line == 4, "line 8 made one that no backward came by"
    assert any("`train.py:2`" in remark for remark in account.remarks)


@pytest.mark.parametrize("place", ["train.py:4", "src/train.py:4", "train.py:4:1", "train.py:4:sin", "train.py:4:h"])
def test_a_line_names_what_it_makes(place: str) -> None:
    account = explain(model(), place)
    assert (account.name, account.passages[0].roads[0].steps[1].line) == ("h", 5)
    assert any("ran 3 times" in remark for remark in account.remarks)


def test_of_several_tensors_of_a_line_the_named_one() -> None:
    assert explain(model(), "train.py:2").name == "h"


def test_a_line_that_makes_several_lists_them() -> None:
    graph = model()
    found = look_up(graph, "train.py:1")
    assert [choice.pick for choice in found.choices] == [
        "train.py:1:model.layers[0].weight",
        "train.py:1:model.head.bias",
    ]
    for choice in found.choices:
        assert look_up(graph, choice.pick).value == choice.value
    told = draw_choices(found.choices, "train.py:1", width=60)
    assert all(cell_len(line) <= 60 for line in told.splitlines())


@pytest.mark.parametrize("place", ["train.py:3", "other.py:1", "train.py:4:9", "train.py:4:cos"])
def test_a_line_that_makes_nothing(place: str) -> None:
    with pytest.raises(UsageError) as caught:
        look_up(model(), place)
    assert caught.value.help


def test_a_line_that_calls_a_function_stands_for_what_came_back() -> None:
    script = textwrap.dedent("""
        def double(a):
            b = a * 2
            return b + 0.5
        w = gv.tensor(1.0, requires_grad=True)
        print(end='')
        loss = double(w).sin()
        y = double(w)
        loss.backward()
    """).lstrip()
    namespace: dict[str, Any] = {"gv": gv}
    recording = gv.record()
    recording.start()
    exec(compile(script, "prog.py", "exec"), namespace)
    recording.stop(namespace=namespace)
    assert explain(recording.graph(), "prog.py:7").name == "y"


# ---- the text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["goals_2d_mlp.0.weight", "g", "loss", "decoder.score.weight"])
def test_lines_keep_to_the_width(name: str, width: int) -> None:
    graph, _ = played("01")
    text = draw(explain(graph, name), width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text
    assert "\x1b[" in draw(explain(graph, name), width=width, color=True)


def test_colour_adds_nothing_but_colour() -> None:
    graph, _ = played("81")
    account = explain(graph, "codebook.weight")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", draw(account, width=70, color=True))
    assert [line.rstrip() for line in plain.splitlines()] == draw(account, width=70).splitlines()


def test_a_long_road_is_shortened_in_the_middle() -> None:
    b = Builder("train.py")
    h = b.leaf("w", requires_grad=True, line=1)
    for index in range(40):
        b.scope = f"model.layers.{index // 10}"
        h = b.op("sin", b.detach(h, line=100) if index == 20 else h, line=index + 2)
    b.sweep(h, line=99)
    account = explain(b.graph(), "w")
    text = draw(account, width=80)
    assert len(account.passages[0].roads[0].steps) == 43
    assert re.findall(r"\.\.\. .* \.\.\.", text) == [
        "... 14 ops from model.layers.0 to model.layers.1 ...",
        "... 14 ops from model.layers.2 to model.layers.3 ...",
    ]
    assert "✂" in text
    assert "line 22" in text, "what is beside a cut stays"
    whole = draw(account, width=80, everything=True)
    assert " ops" not in whole
    rails = re.findall(r"^([│╎┊]) sin", whole, re.MULTILINE)
    assert rails == ["╎"] * 20 + ["┊"] * 20, "above the cut autograd keeps what no gradient comes to"


def test_hostile_names_are_shown_as_they_are() -> None:
    for name in ("x[bold]", "a\nb", "\x1b[31m", "</script>", "a:b", "emoji 🙂", "w" * 10_000):
        b = Builder()
        w = b.leaf(name, requires_grad=True, line=1)
        b.sweep(b.op("mul", w, "2", name=f"{name}2", line=2), line=3, gradients=[Gradient(w, 1.0)])
        graph = b.graph()
        for color in (False, True):
            text = draw(account_of(graph, w), width=60, color=color)
            plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
            assert all(cell_len(line) <= 60 for line in plain.splitlines())
            assert "\x1b[31m" not in text or color
        json.loads(as_json(account_of(graph, w)))
    assert "x[bold]" in draw(account_of(_named("x[bold]"), 1), width=60)


def _named(name: str) -> Graph:
    b = Builder()
    b.leaf(name, requires_grad=True)
    return b.graph()


def test_two_looks_give_the_same_text() -> None:
    graph, _ = played("66")
    for name in ("critic.0.weight", "actor_loss", "obs"):
        assert str(explain(graph, name)) == str(explain(graph, name))


def test_a_chain_of_a_hundred_thousand_ops() -> None:
    b = Builder("train.py")
    w = h = b.leaf("w", requires_grad=True, line=1)
    for _ in range(100_000):
        h = b.op("add", h, w, line=2)
    b.sweep(b.op("add", h, b.detach(h, line=3), name="loss", line=3), line=4, gradients=[Gradient(w, 1.0)])
    graph = b.graph()
    began = time.process_time()
    account = explain(graph, "w")
    assert len(str(account)) < 5_000
    assert account.passages[0].uses == 100_000
    assert time.process_time() - began < 15


# ---- the command

SCRIPT = """
import gradviz
x = gradviz.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = 2 * x
z = 3 + x.detach()
r = (y + z).sum()
r.backward()
print("the script speaks")
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    Path("train.py").write_text(SCRIPT.lstrip(), encoding="utf-8")
    return "train.py"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application, arguments, prog_name="gradviz", terminal_width=80)


def test_a_script_is_explained(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    result = run("explain", script, "x")
    text = capfd.readouterr().out
    assert result.exit_code == 0
    assert "by 1 of 2 roads; the other is cut by `detach()` at line 4" in " ".join(text.split())
    assert "✂ x.detach()  line 4" in text
    assert "the script speaks" not in text
    assert "\x1b" not in text


def test_json_holds_the_same_account(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("explain", script, "x", "--format", "json").exit_code == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["name"], told["state"]) == ("x", "value")
    assert told["passages"][0]["norm"] == pytest.approx(math.sqrt(12))
    assert [step["mark"] for step in told["passages"][0]["roads"][1]["steps"]][:2] == ["tensor", "cut"]
    assert told["passages"][0]["roads"][1]["cause"] == "detach"


def test_several_tensors_of_a_line(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("train.py").write_text(SCRIPT.lstrip().replace("r = (y + z).sum()\nr.back", "(y + z).sum().back"))
    assert run("explain", script, "train.py:5").exit_code == 0
    text = capfd.readouterr().out
    picks = re.findall(r"^train\.py:5:\S+", text, re.MULTILINE)
    assert picks == ["train.py:5:add", "train.py:5:sum"]
    assert run("explain", script, picks[0]).exit_code == 0


def test_a_name_that_is_not_there(script: str) -> None:
    result = run("explain", script, "xx")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-2:] == ["error: there is no tensor called `xx`", "help: did you mean `x`?"]


def test_a_name_is_needed(script: str) -> None:
    result = run("explain", script)
    assert result.exit_code == 2
    assert "there is no tensor to explain" in result.stderr


def test_a_script_that_raises_is_explained_and_keeps_its_status(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    source = "import gradviz\nw = gradviz.tensor(1.0, requires_grad=True)\nloss = w.detach() * 2\nloss.backward()\n"
    Path("train.py").write_text(source)
    assert run("explain", script, "w").exit_code == 1
    assert "because `loss.backward()` (line 4) raised" in capfd.readouterr().out


def test_a_log_is_explained(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    b = Builder("train.py")
    w = b.leaf("w", requires_grad=True, line=1)
    b.sweep(b.op("mul", w, "2", name="loss", line=2), line=3, gradients=[Gradient(w, 2.0)])
    writer = LogWriter("run.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    result = run("explain", "run.gvlog", "w")
    assert result.exit_code == 0
    assert "`w` got a gradient of norm 2 from `loss.backward()` (line 3)" in result.stdout


# ---- the function


def test_a_tensor_explains_itself_without_a_recording() -> None:
    x = gv.tensor([1.0, 2.0], requires_grad=True)
    h = x * 2
    loss = (h.detach() * x).sum()
    account = gv.explain(x, loss)
    assert (account.name, account.state) == ("x", State.NONE)
    assert "a backward from `loss` would bring it one, by 1 of 2 roads" in account.verdict
    loss.backward()
    assert gv.explain(x).state is State.VALUE
    assert "`gradviz.record()" in " ".join(gv.explain(x).remarks).replace("with ", "")
    assert "gradient goes on from it to `x`" in gv.explain(loss).remarks


def test_a_tensor_of_pytorch_explains_itself_without_a_recording() -> None:
    w = torch.ones(2, requires_grad=True)
    loss = (w * w).sum()
    account = gv.explain(w, loss)
    assert (account.name, account.state) == ("w", State.NONE)
    assert "a backward from `loss` would bring it one" in account.verdict
    loss.backward()
    account = gv.explain(w, loss)
    assert account.state is State.VALUE
    assert w.grad is not None
    assert f"norm {float(w.grad.norm()):.4g}" in account.verdict


@pytest.mark.parametrize("library", [gv, torch], ids=["core", "torch"])
def test_a_recording_is_asked(library: Any) -> None:
    w = library.tensor([1.0, 2.0], requires_grad=True)
    with gv.record() as recording:
        h = w * 2
        loss = (h.detach() * w).sum()
        loss.backward()
        events = len(recording.events)
        account = gv.explain(w)
        assert len(recording.events) == events, "the look itself is not recorded"
        w.grad = None
        cleared = gv.explain(w)
    assert (account.name, account.state) == ("w", State.VALUE)
    assert account.passages[0].share.startswith("by 1 of 2 roads")
    assert any("it was cleared since" in remark for remark in cleared.remarks)
    assert not any("cleared" in remark for remark in account.remarks)
    assert "its only road to `loss` is cut by `detach()`" in gv.explain(recording, "h").verdict
    assert gv.explain(recording.graph(), "w").state is State.VALUE


def test_what_cannot_be_explained() -> None:
    for subject, of in ((3, None), ("w", None), (gv.tensor(1.0), 2), (Builder().graph(), None), (model(), "nope")):
        with pytest.raises(UsageError):
            gv.explain(subject, of)
    with pytest.raises(UsageError, match="several tensors"):
        gv.explain(model(), "train.py:1")


def test_marks_are_told_apart_in_text() -> None:
    """Each kind of stop has a sign of its own or none, so that no meaning is in colour alone."""
    from gradviz.views.account import DATA, FLOWS, SIGNS

    signs = [sign for sign, _ in SIGNS.values()] + [FLOWS[0], DATA[0]]
    assert len(set(signs)) == len(signs)
    assert set(SIGNS) | {Mark.OP, Mark.OFF} == set(Mark)


# ---- the documents


def test_documents_show_what_is_printed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[1]
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(root)
    assert run("explain", "samples/detach.py", "x").exit_code == 0
    printed = capfd.readouterr().out
    assert textwrap.indent(printed, "    ") in (root / "docs" / "explain.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(`x` got.*?)^```$", (root / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert blocks
    for part in blocks[0].split("\n\n"):
        assert part.strip("\n") in printed


def test_a_tensor_that_nobody_names_goes_by_what_uses_it() -> None:
    """A weight that was made before the recording, in a function that is left when the recording ends."""
    recording = gv.record()

    def train() -> list[torch.Tensor]:
        weights = [torch.ones(2, 3, requires_grad=True)]
        recording.start()
        loss = (torch.ones(1, 3) @ weights[0].T).sum()
        loss.backward()
        return weights

    held = train()
    recording.stop()
    account = gv.explain(held[0])
    line = int(re.fullmatch(r"input of \w+, (?:line |test_explain[.]py:)(\d+)", account.name)[1])
    assert "weights[0].T" in Path(__file__).read_text(encoding="utf-8").splitlines()[line - 1]
    assert account.state is State.VALUE


def test_what_grad_was_asked_for_is_all_that_its_root_gives_to() -> None:
    w, v = (torch.ones(3, requires_grad=True) for _ in range(2))
    with gv.record() as recording:
        loss = (w * v).sum()
        torch.autograd.grad(loss, [w])
    account = gv.explain(recording, "loss")
    assert account.state is State.STARTS
    assert [remark for remark in account.remarks if "goes on" in remark] == ["gradient goes on from it to `w`"]


def test_the_gradient_of_a_weight_that_only_a_checkpoint_used_comes_by_the_checkpoint() -> None:
    body, x = torch.nn.Linear(4, 4), torch.ones(2, 4, requires_grad=True)
    with gv.record() as rec:
        loss = checkpoint(body, x, use_reentrant=True).sum()
        loss.backward()
    graph = rec.graph()
    (weight,) = [value.id for value in graph.values.values() if value.name.endswith(".weight")]
    account = account_of(graph, weight)
    assert account.state is State.VALUE
    assert account.verdict.startswith("`body.weight` got a gradient of norm 8 from `loss.backward()`")
    assert [step.title for step in account.passages[0].roads[0].steps] == [
        "body.weight", "checkpoint", "loss = sum", "loss",
    ]  # fmt: skip
    assert account.remarks == ()


def test_a_hook_on_the_way_stands_at_the_road() -> None:
    with gv.record() as rec:
        x = torch.ones(3, requires_grad=True)
        y = x * 2
        y.register_hook(lambda grad: grad * 0)
        z = y.sum() + (y.detach() * x.detach()).sum()
        z.backward()
    account = explain(rec.graph(), "x")
    (road,) = [road for passage in account.passages for road in passage.roads if road.flows]
    (hooked,) = [step for step in road.steps if step.note]
    assert (hooked.title, hooked.mark) == ("y = mul", Mark.OP)
    rows = draw(account, width=80).splitlines()
    at = next(at for at, row in enumerate(rows) if row.startswith("│ y = mul"))
    assert re.fullmatch(r"│   a hook on it \(.*\) may change the gradient", rows[at + 1])
    cut = [step for passage in account.passages for road in passage.roads if not road.flows for step in road.steps]
    assert not any("hook" in step.note for step in cut)


def test_what_is_frozen_gives_data_only_and_the_legend_tells_what_is_drawn() -> None:
    with gv.record() as rec:
        f, x = torch.ones(3), torch.ones(3, requires_grad=True)
        h = x.exp()
        q = h.detach().requires_grad_()
        (q * f).sum().backward()
    rows = draw(explain(rec.graph(), "f")).splitlines()
    assert any(row.startswith("┊ mul") for row in rows)
    assert rows[-1] == "│ gradient  ┊ data only"
    assert draw(explain(rec.graph(), "h")).splitlines()[-1] == "│ gradient  ✂ gradient stops"


def test_a_list_that_a_finding_names_is_explained_by_the_finding():
    w = torch.ones(3, requires_grad=True)
    losses = []
    with gv.record() as recording:
        for _ in range(12):
            loss = (w * 2).sum()
            loss.backward()
            losses.append(loss)
    graph = recording.graph()
    told = r"`losses` is no tensor.* GV503 at test_explain.py:\d+: `losses` holds"
    with pytest.raises(UsageError, match=told) as raised:
        look_up(graph, "losses")
    assert "detach" in str(raised.value.help)
    with pytest.raises(UsageError, match="there is no tensor called `lossesses`"):
        look_up(graph, "lossesses")
