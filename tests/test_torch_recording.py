"""Recording PyTorch: what a graph tells of programs that gradviz's own tensors cannot run."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradviz
from gradviz.events import Cause, Role
from gradviz.graphs import Graph, Op
from gradviz.gvlog import read_log
from gradviz.query import ancestors, kept_alive, kept_bytes

NAMES_OF_LINEAR = ("net.weight", "net.bias")


def checked(recorder: gradviz.recorder.Recorder) -> Graph:
    """The graph, valid, of a recording without a failure."""
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph


def called(graph: Graph, name: str) -> list[Op]:
    return [op for op in graph.ops.values() if op.name == name]


def one(graph: Graph, name: str) -> Op:
    (op,) = called(graph, name)
    return op


def name_of(graph: Graph, value: int) -> str:
    return graph.values[value].name


def line_of(graph: Graph, site: int | None) -> str:
    return "" if site is None else graph.sites[site].text.strip()


def coverage(graph: Graph) -> str:
    return next((note.text for note in graph.notes if note.kind == "coverage"), "")


# ops


def test_a_composite_function_is_one_op_with_all_of_its_nodes() -> None:
    with gradviz.record() as rec:
        x = torch.randn(4, 3, requires_grad=True)
        loss = F.cross_entropy(x, torch.tensor([0, 1, 2, 0]))
        loss.backward()
    graph = checked(rec)
    op = one(graph, "cross_entropy")
    assert op.node == "NllLossBackward0"
    assert {saved.name for saved in op.saved} >= {"target", "LogSoftmaxBackward0.result"}
    assert coverage(graph) == "2 of 2 autograd nodes matched to recorded ops"


def test_saved_memory_is_told_by_its_source_and_counted_once() -> None:
    with gradviz.record() as rec:
        x = torch.randn(100, requires_grad=True)
        y = x * 2
        z = y * y
        loss = (z.exp() + y.sin()).sum()
    graph = checked(rec)
    (square,) = [op for op in called(graph, "mul") if op.inputs[0] == op.inputs[1]]
    assert [(saved.name, saved.source, saved.nbytes) for saved in square.saved] == [("other", 1, 400), ("self", 0, 400)]
    (root,) = [value.id for value in graph.values.values() if value.name == "loss"]
    # Kept are y, for the square and the sine, and the exponential: two storages.
    assert kept_bytes(graph, kept_alive(graph, root)) == 800
    assert loss.requires_grad


@pytest.mark.parametrize(
    "write", ["h.mul_(2)", "h.relu_()", "F.relu(h, inplace=True)", "torch.sigmoid_(h)", "h[1:] = 0"]
)
def test_a_write_in_place_by_any_name_is_one(write: str) -> None:
    with gradviz.record() as rec:
        x = torch.randn(4, requires_grad=True)
        h = x + 1
        exec(write, {"h": h, "torch": torch, "F": F})
        h.sum().backward()
    graph = checked(rec)
    (op,) = [op for op in graph.ops.values() if op.inplace]
    assert op.tracked
    assert graph.values[op.id].version == 1
    assert name_of(graph, op.id) == "h"
    assert op.id in ancestors(graph, graph.sweeps[0].roots, gradient=True)


@pytest.mark.parametrize("lib", [torch, gradviz])
@pytest.mark.parametrize(
    "write", ["x[0] = w", "x[1:3].copy_(w)", "v = x.view(16); v[12:].add_(w)", "x[0].unsqueeze(0).mul_(w); x[1].exp_()"]
)
@pytest.mark.parametrize("grad", [True, False])
def test_a_write_through_a_view_is_counted_once(lib: Any, write: str, grad: bool) -> None:
    with gradviz.record() as rec, lib.set_grad_enabled(grad):
        x, w = lib.zeros(4, 4), lib.ones(4, requires_grad=True)
        exec(write, {"x": x, "w": w})
        y = x * 1
    graph = checked(rec)
    (read,) = graph.ops[max(graph.ops)].value_inputs  # by the product
    assert graph.values[read].version == x._version > 0
    assert y is not None


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize(
    ("write", "name"),
    [
        ("F.relu(h, inplace=True)", "relu"), ("F.relu(h, True)", "relu"), ("torch.nn.ReLU(inplace=True)(h)", "relu"),
        ("F.dropout(h, 0.5, True, True)", "dropout"), ("h.relu_()", "relu"), ("F.silu(h, inplace=True)", "silu"),
    ],
)  # fmt: skip
def test_a_write_that_autograd_takes_no_note_of_is_one_all_the_same(write: str, name: str, mode: Any) -> None:
    """As in an evaluation, where nothing is tracked, or with data that requires no grad."""
    with gradviz.record() as rec, mode():
        x = torch.randn(4)
        h = x + 1
        exec(write, {"h": h, "torch": torch, "F": F})
        y = h * 2
    graph = checked(rec)
    (op,) = [op for op in graph.ops.values() if op.inplace]
    assert (op.name, op.tracked) == (name, False)
    assert one(graph, "mul").inputs[0] == op.id
    assert y is not None


def test_what_is_written_by_out_comes_from_what_the_op_was_given() -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        buffer, index = torch.empty(2), torch.empty(2, dtype=torch.long)
        with torch.no_grad():
            torch.mul(w, 3, out=buffer)
            torch.sort(buffer, out=(buffer, index))
        y = buffer * w
        y.sum().backward()
    graph = checked(rec)
    product = called(graph, "mul")[0]
    assert (product.inplace, product.cause, name_of(graph, product.id)) == (True, Cause.NO_GRAD, "buffer")
    values, positions = called(graph, "sort")
    assert [name_of(graph, op.id) for op in (values, positions)] == ["buffer", "index"]
    assert called(graph, "mul")[1].inputs[0] == values.id
    assert graph.values[values.id].version == 2
    assert [name_of(graph, cut.value) for cut in graph.cuts] == ["w"]


def test_a_write_to_several_tensors_is_one_to_each() -> None:
    with gradviz.record() as rec:
        w, v = (torch.ones(2, requires_grad=True) for _ in range(2))
        (w * v).sum().backward()
        with torch.no_grad():
            torch._foreach_add_([w, v], [w.grad, v.grad], alpha=-0.1)
        y = w * v
    graph = checked(rec)
    first, second = called(graph, "_foreach_add")
    assert [name_of(graph, value) for op in (first, second) for value in op.inputs] == ["w", "w.grad", "v", "v.grad"]
    assert called(graph, "mul")[1].inputs == (first.id, second.id)
    assert y.requires_grad


@pytest.mark.parametrize("call", ["F.dropout(h, 0.5, False, True)", "F.relu(h)", "F.dropout(h, 0.0, inplace=False)"])
def test_what_writes_nothing_is_no_write(call: str) -> None:
    with gradviz.record() as rec, torch.no_grad():
        h = torch.randn(4) + 1
        exec(call, {"h": h, "torch": torch, "F": F})
    assert not [op for op in checked(rec).ops.values() if op.inplace]


class Image(torch.Tensor):
    """As datasets of pictures have it."""


@pytest.mark.parametrize("needs", [False, True])
def test_a_tensor_of_another_class_comes_from_the_one_that_it_was(needs: bool) -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=needs)
        x = (w * 1).as_subclass(Image)
        y = (x * 2).sum()
        if needs:
            y.backward()
    graph = checked(rec)
    assert type(y) is Image
    assert [op.name for op in graph.ops.values() if op.inputs] == ["mul", "as_subclass", "mul", "sum"]
    assert not called(graph, "of unknown origin")
    changed = one(graph, "as_subclass")
    assert (name_of(graph, changed.id), changed.tracked, changed.alias) == ("x", needs, 0)
    assert not needs or coverage(graph).split()[0] == coverage(graph).split()[2]


def test_an_op_that_gives_back_what_it_was_given_is_none() -> None:
    with gradviz.record() as rec:
        x = torch.randn(4, requires_grad=True)
        same = x.contiguous().to(torch.float32).cpu()
        (same * 2).sum().backward()
    assert [op.name for op in checked(rec).ops.values() if op.inputs] == ["mul", "sum"]


def test_a_loop_over_indices_does_not_grow_the_book() -> None:
    with gradviz.record() as rec:
        x = torch.randn(500, requires_grad=True)
        total = sum(x[index] for index in range(500))
        total.backward()
    signatures = [event for event in rec.events if type(event).__name__ == "Signature" and event.name == "select"]
    assert len(signatures) < 100
    assert len(called(checked(rec), "select")) == 500


def test_a_call_that_pytorch_answers_in_python_is_at_the_expression_of_the_user() -> None:
    with gradviz.record() as rec:
        w = torch.ones(4, requires_grad=True)
        w.register_hook(lambda grad: grad * 2)
        loss = sum(part.norm() for part in w.split(2))
        loss.backward()
    graph = checked(rec)
    found = {site.text[site.column : site.end_column]: site for site in graph.sites.values()}
    assert found.keys() == {
        "torch.ones(4, requires_grad=True)", "w.register_hook(lambda grad: grad * 2)", "grad * 2", "w.split(2)",
        "part.norm()", "sum(part.norm() for part in w.split(2))", "loss.backward()",
    }  # fmt: skip
    backward = graph.sites[graph.sweeps[0].site or 0]
    assert (backward.text[backward.column : backward.end_column], backward.caller) == ("loss.backward()", None)


def test_devices_are_told() -> None:
    with gradviz.record() as rec:
        x = torch.ones(2, device="meta", requires_grad=True)
        y = (x * 2).sum()
        y.backward()
    graph = checked(rec)
    assert {value.device for value in graph.values.values()} == {"meta"}
    assert name_of(graph, graph.sweeps[0].gradients[0].value) == "x"


# cuts


def test_every_way_out_of_pytorch() -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        y = w * 2
        with pytest.warns(UserWarning, match="Converting a tensor"):
            float(y.sum())
        int(y[0].item())
        bool((y > 1).any())
        y.tolist()
        np.asarray(y.detach())
        torch.tensor([[y[0].item()], [0.0]])
        nn.Parameter(y)
        torch.equal(y, y)
    graph = checked(rec)
    causes = [(cut.cause, graph.ops[cut.op].name) for cut in graph.cuts]
    assert causes == [
        (Cause.ITEM, "item"), (Cause.ITEM, "item"), (Cause.NONDIFFERENTIABLE, "gt"), (Cause.ITEM, "tolist"),
        (Cause.DETACH, "detach"), (Cause.ITEM, "item"), (Cause.RETENSOR, "Parameter"), (Cause.ITEM, "equal"),
        (Cause.ITEM, "equal"),
    ]  # fmt: skip


def test_a_custom_function_that_is_not_differentiable_is_a_cut_of_its_own() -> None:
    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            y = x.round()
            ctx.mark_non_differentiable(y)
            return y

    with gradviz.record() as rec:
        x = torch.ones(2, requires_grad=True)
        y = Rounded.apply(x)
    graph = checked(rec)
    assert not y.requires_grad
    assert [(cut.cause, name_of(graph, cut.value)) for cut in graph.cuts] == [(Cause.CUSTOM_FUNCTION, "x")]
    assert [op.name for op in graph.ops.values()] == ["ones", "Rounded"], "what happens inside is not the user's"


def test_work_of_pytorch_itself_is_no_cut() -> None:
    with gradviz.record() as rec:
        model = nn.Linear(2, 1)
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(1, 2)).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        nn.init.zeros_(model.weight)
    assert not checked(rec).cuts


# regions


def test_a_module_that_is_frozen_as_a_whole_tells_of_each_parameter() -> None:
    with gradviz.record() as rec:
        net = nn.Linear(2, 1)
        net.requires_grad_(False)
        net(torch.ones(1, 2))
        net.requires_grad_(True)
    graph = checked(rec)
    told = [(name_of(graph, flag.value), flag.requires_grad, line_of(graph, flag.site)) for flag in graph.flags]
    frozen, thawed = "net.requires_grad_(False)", "net.requires_grad_(True)"
    assert told == [(name, on, line) for on, line in ((False, frozen), (True, thawed)) for name in NAMES_OF_LINEAR]


def test_the_opener_of_a_region_is_the_users_line() -> None:
    class Frozen(nn.Module):
        @torch.no_grad()
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    with gradviz.record() as rec:
        x = torch.ones(2, requires_grad=True)
        with torch.autograd.grad_mode.set_grad_enabled(False):
            x * 1
        Frozen()(x)
        with torch.inference_mode():
            x * 3
        torch._C._set_grad_enabled(False)
        x * 4
        torch._C._set_grad_enabled(True)
    graph = checked(rec)
    told = [
        (region.kind, line_of(graph, region.site)) for region in graph.regions.values() if region.ops
    ]
    assert told == [
        ("set_grad_enabled", "with torch.autograd.grad_mode.set_grad_enabled(False):"),
        ("no_grad", "@torch.no_grad()"),
        ("inference_mode", "with torch.inference_mode():"),
        ("set_grad_enabled", "torch._C._set_grad_enabled(False)"),
    ]
    assert [cut.cause for cut in graph.cuts] == ["set_grad_enabled", "no_grad", "inference_mode", "set_grad_enabled"]


def test_a_with_inside_a_generator_leaks_and_is_told_so() -> None:
    def steps() -> Any:
        with torch.no_grad():
            yield 1
            yield 2

    with gradviz.record() as rec:
        x = torch.ones(1, requires_grad=True)
        for _ in steps():
            leaked = x * 2
        after = x * 3
    graph = checked(rec)
    assert (leaked.requires_grad, after.requires_grad) == (False, True)
    assert [op.region is None for op in called(graph, "mul")] == [False, False, True]


# modules and optimizers


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.head = nn.Linear(4, 1)
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(x)
        return self.head(hidden) * self.scale


def test_modules_give_scopes_and_names() -> None:
    with gradviz.record() as rec:
        model = Net()
        out = model(torch.ones(2, 3))
        out.sum().backward()
    graph = checked(rec)
    assert {op.name: op.scope for op in graph.ops.values() if op.tracked} == {
        "linear": "model.head", "relu": "model.encoder.1", "mul": "model", "sum": "",
    }  # fmt: skip
    assert [op.scope for op in called(graph, "linear")] == ["model.encoder.0", "model.head"]
    roles = {value.name: value.role for value in graph.values.values() if value.role}
    assert roles == {
        "model.encoder.0.weight": Role.PARAMETER, "model.encoder.0.bias": Role.PARAMETER,
        "model.head.weight": Role.PARAMETER, "model.head.bias": Role.PARAMETER, "model.scale": Role.BUFFER,
    }  # fmt: skip
    assert name_of(graph, one(graph, "relu").id) == "hidden", "the user's code gets it from the module"
    assert name_of(graph, one(graph, "mul").id) == "out"
    assert not called(graph, "kaiming_uniform"), "how weights were drawn is not told"


def test_a_copy_of_a_model_has_parameters_of_its_own() -> None:
    with gradviz.record() as rec:
        model = nn.Linear(2, 1)
        model(torch.ones(1, 2))
        twin = copy.deepcopy(model)
        (model(torch.ones(1, 2)) - twin(torch.ones(1, 2))).sum().backward()
    graph = checked(rec)
    assert not graph.cuts
    assert {op.name for op in graph.ops.values() if op.is_source} == {"Parameter", "ones", "grad"}
    assert {name_of(graph, gradient.value) for gradient in graph.sweeps[0].gradients} == {
        "model.weight", "model.bias", "twin.weight", "twin.bias",
    }  # fmt: skip


def test_a_change_of_type_is_an_op() -> None:
    with gradviz.record() as rec:
        x = torch.ones(2, requires_grad=True)
        x.type(torch.float64).sum().backward()
        assert x.type() == "torch.FloatTensor"
    assert [op.name for op in checked(rec).ops.values() if op.inputs] == ["type", "sum"]


def test_a_pytorch_that_is_too_old_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.2.1+cpu")
    with gradviz.record() as rec:
        torch.ones(2) * 2
    assert rec.failures == ["PyTorch 2.2.1 is too old to be recorded"]
    assert rec.failures[0].help == "install PyTorch 2.4 or newer"
    assert torch._C._len_torch_function_stack() == 0


@pytest.mark.parametrize("command", ["render", "check", "tree", "stats", "record"])
def test_every_command_says_what_to_do_about_an_old_pytorch(command: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import torch\ntorch.ones(2)\nprint('ran')\n")
    old = "import sys, torch; torch.__version__ = '2.2.1'; from gradviz_cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", old, command, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "ran\n" in done.stdout + done.stderr
    assert [line for line in done.stderr.splitlines() if line != "ran"] == [
        "error: `script.py` was not recorded: PyTorch 2.2.1 is too old to be recorded",
        "help: install PyTorch 2.4 or newer",
    ]


def test_a_model_that_only_a_function_knows_keeps_its_names() -> None:
    def train() -> None:
        net = Net()
        loss = net(torch.ones(2, 3)).sum()
        loss.backward()

    with gradviz.record() as rec:
        train()
    graph = checked(rec)
    (sweep,) = graph.sweeps
    assert {name_of(graph, gradient.value) for gradient in sweep.gradients} == {
        "net.encoder.0.weight", "net.encoder.0.bias", "net.head.weight", "net.head.bias",
    }  # fmt: skip


def test_a_step_is_a_write_to_each_parameter_that_it_changed() -> None:
    with gradviz.record() as rec:
        model = nn.Linear(2, 1)
        unused = nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([*model.parameters(), unused], lr=0.1)
        optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        model(torch.ones(1, 2))
    graph = checked(rec)
    (owner,) = graph.optimizers
    assert owner.kind == "SGD"
    assert [name_of(graph, value) for value in owner.values] == ["model.weight", "model.bias", "unused"]
    assert line_of(graph, owner.site).startswith("optimizer = torch.optim.SGD")
    assert [(act.kind, act.optimizer) for act in graph.acts] == [("zero_grad", 0), ("step", 0)]
    steps = called(graph, "step")
    assert [name_of(graph, op.id) for op in steps] == ["model.weight", "model.bias"]
    assert all(op.inplace and line_of(graph, op.site) == "optimizer.step()" for op in steps)
    assert [graph.values[op.id].version for op in steps] == [1, 1]
    (_, after) = called(graph, "linear")
    assert after.inputs[1:] == (steps[0].id, steps[1].id), "the next pass uses the new versions"


def test_a_closure_runs_as_the_users_code() -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        optimizer = torch.optim.LBFGS([w], max_iter=2)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    graph = checked(rec)
    assert graph.sweeps
    assert {line_of(graph, op.site) for op in graph.ops.values() if op.tracked} == {"loss = (w * w).sum()"}


def test_gradients_read_and_written_and_hooks_are_told() -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        y = w * 2
        y.retain_grad()
        y.register_hook(lambda gradient: gradient * 2)
        y.sum().backward()
        norm = w.grad.norm()
        w.grad = None
    graph = checked(rec)
    told = [(act.kind, name_of(graph, act.values[0])) for act in graph.acts]
    assert told == [("retain_grad", "y"), ("hook", "y"), ("read_grad", "w"), ("write_grad", "w")]
    assert name_of(graph, one(graph, "norm").inputs[0]) == "w.grad"
    assert norm


# sweeps


def test_a_leaf_that_gets_zero_or_nan() -> None:
    with gradviz.record() as rec:
        zero = torch.ones(2, requires_grad=True)
        nan = torch.zeros(2, requires_grad=True)
        none = torch.ones(2, requires_grad=True)
        ((zero * 0).sum() + (nan / nan).sum()).backward()
    graph = checked(rec)
    (sweep,) = graph.sweeps
    told = {name_of(graph, gradient.value): (gradient.zero, gradient.nan) for gradient in sweep.gradients}
    assert told == {"zero": (True, False), "nan": (False, True)}
    assert none.grad is None


def test_a_failed_sweep_tells_who_saved_and_who_wrote() -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        y = (w * 2).exp()
        loss = y.sum()
        y += 1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    graph = checked(rec)
    (sweep,) = graph.sweeps
    assert sweep.error.startswith("one of the variables needed for gradient computation")
    saver, writer = (graph.ops[graph.values[value].op] for value in sweep.concerned)
    assert (saver.name, line_of(graph, saver.site)) == ("exp", "y = (w * 2).exp()")
    assert (writer.name, line_of(graph, writer.site)) == ("add", "y += 1")


def test_a_step_between_forward_and_backward_is_told_as_the_writer() -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        loss = (w * w).sum()
        w.grad = torch.ones(2)
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    graph = checked(rec)
    assert [graph.ops[graph.values[value].op].name for value in graph.sweeps[0].concerned] == ["mul", "step"]


def test_a_gradient_with_a_graph_leads_back_to_what_it_depends_on() -> None:
    with gradviz.record() as rec:
        x = torch.ones(2, requires_grad=True)
        w = torch.tensor([2.0, 3.0], requires_grad=True)
        y = (w * x**2).sum()
        (g,) = torch.autograd.grad(y, [x], create_graph=True)
        penalty = g.square().sum()
        penalty.backward()
    graph = checked(rec)
    grads = [op for op in called(graph, "grad") if op.tracked]
    assert [name_of(graph, op.id) for op in grads] == ["g"]
    reached = {name_of(graph, gradient.value) for gradient in graph.sweeps[1].gradients}
    assert reached == {"x", "w"}
    matched, _, whole = coverage(graph).partition(" of ")
    assert whole.startswith(f"{matched} autograd nodes")


# what was not seen


def test_what_nobody_recorded_is_said_so() -> None:
    x = torch.ones(3, requires_grad=True)
    before = (x * 2).exp()
    with gradviz.record() as rec:
        loss = (before + torch.Tensor([1.0, 2.0, 3.0])).sum()
        loss.backward()
    graph = checked(rec)
    assert [op.name for op in graph.ops.values()] == [
        "of unknown origin", "unrecorded op (MulBackward0)", "unrecorded op (ExpBackward0)", "of unknown origin", "add",
        "sum", "grad",
    ]  # fmt: skip
    assert coverage(graph).startswith("2 of 4 ")
    assert name_of(graph, graph.sweeps[0].gradients[0].value) == "x"


def test_a_scripted_function_is_unrecorded() -> None:
    with pytest.warns(DeprecationWarning, match="script"):
        scripted = torch.jit.script(_double)
    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        y = scripted(x)
        y.sum().backward()
    graph = checked(rec)
    unrecorded, last = [op.name for op in graph.ops.values() if op.tracked][-2:]
    assert unrecorded.startswith("unrecorded op (MulBackward")
    assert last == "sum"


def _double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_compiled_code_runs_as_it_is_written() -> None:
    with gradviz.record() as rec:
        compiled = torch.compile(_double, fullgraph=True)
        x = torch.ones(3, requires_grad=True)
        compiled(x).sum().backward()
    graph = checked(rec)
    assert [op.name for op in graph.ops.values() if op.tracked] == ["mul", "sum"]
    assert [note.text for note in graph.notes if note.kind == "compiled"] == [
        "what torch.compile compiles ran eagerly while it was recorded"
    ]


def test_children_are_told_of(tmp_path: Path) -> None:
    script = """
        import multiprocessing, os, torch

        def work():
            torch.ones(1) * 2

        if __name__ == "__main__":
            x = torch.ones(2, requires_grad=True)
            y = x * 2
            for method in ("fork", "spawn"):
                process = multiprocessing.get_context(method).Process(target=work)
                process.start()
                process.join()
                assert process.exitcode == 0
        """
    (tmp_path / "children.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "-W", "ignore", "-m", "gradviz", "record", "children.py", "-o", "run.gvlog"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    graph = gradviz.graphs.Graph.build(read_log(tmp_path / "run.gvlog"))
    assert len(called(graph, "mul")) == 1
    assert {note.text: note.count for note in graph.notes if note.kind == "unrecorded"} == {
        "what a forked child process did is not recorded": 1, "what a spawned child process did is not recorded": 1,
    }  # fmt: skip


# threads, nesting, and the end


def test_threads_of_any_class_are_recorded() -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            self.result = weight * 3

    with gradviz.record() as rec:
        weight = torch.ones(2, requires_grad=True)
        workers = [Worker(), Worker()]
        for worker in workers:
            worker.start()
            worker.join()
        loss = sum(worker.result.sum() for worker in workers)
        loss.backward()
    graph = checked(rec)
    assert [op.thread for op in called(graph, "mul")] == [1, 2]
    assert coverage(graph).startswith("6 of 6 ")


def test_recordings_nest() -> None:
    with gradviz.record() as outer:
        x = torch.ones(2, requires_grad=True)
        with gradviz.record() as inner:
            y = x * 2
        z = y + 1
    assert [op.name for op in checked(outer).ops.values()] == ["ones", "mul", "add"]
    assert [op.name for op in checked(inner).ops.values()] == ["of unknown origin", "mul"]
    assert z.requires_grad


def test_pytorch_is_left_as_it_was() -> None:
    watched = [
        (torch.autograd, "_engine_run_backward"), (torch.autograd, "_make_grads"), (torch.autograd.Function, "apply"),
        (nn.Parameter, "__new__"), (nn.Module, "__call__"), (nn.Module, "zero_grad"), (torch, "from_numpy"),
        (torch, "compile"), (torch.optim.Optimizer, "zero_grad"), (threading.Thread, "_bootstrap_inner"),
        (torch.overrides, "has_torch_function"), (torch.inference_mode, "__enter__"),
    ]  # fmt: skip
    before = [vars(owner)[name] for owner, name in watched]
    with gradviz.record():
        assert torch._C._len_torch_function_stack() == 1
        assert all(vars(owner)[name] is not held for (owner, name), held in zip(watched, before, strict=True))
    assert torch._C._len_torch_function_stack() == 0
    assert all(vars(owner)[name] is held for (owner, name), held in zip(watched, before, strict=True))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints(reentrant: bool) -> None:
    with gradviz.record() as rec:
        layer = nn.Linear(2, 2)
        x = torch.ones(1, 2, requires_grad=True)
        checkpoint(layer, x, use_reentrant=reentrant).sum().backward()
    graph = checked(rec)
    assert not graph.cuts
    assert called(graph, "checkpoint" if reentrant else "linear")
    assert {name_of(graph, gradient.value) for gradient in graph.sweeps[0].gradients} == {
        "x", "layer.weight", "layer.bias",
    }  # fmt: skip
