"""Recordings of real models: what the graph says of each, where its gradients stop, and that no node goes unmatched."""

from __future__ import annotations

import gc
import os
import re
import socket
import subprocess
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradviz
from gradviz.events import Cause, Role
from gradviz.frontends.torch.listening import unseen
from gradviz.graphs import Cut, Graph, Op
from gradviz.gvlog import read_log
from gradviz.query import ancestors, gradient_inputs, reached_leaves
from gradviz.recorder import Recorder


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def read(rec: Recorder, *, matched: bool = True) -> Graph:
    """The graph of a recording that must have gone well; `matched` says that a recorded op made every node."""
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    if matched:
        found, all_ = coverage(graph)
        assert found == all_ > 0
        assert not [op for op in graph.ops.values() if op.name.startswith("unrecorded")]
    return graph


def coverage(graph: Graph) -> tuple[int, int]:
    """How many autograd nodes were matched to recorded ops, of how many."""
    (text,) = [note.text for note in graph.notes if note.kind == "coverage"]
    numbers = re.match(r"([\d,]+) of ([\d,]+) autograd nodes? matched", text)
    assert numbers, text
    return int(numbers[1].replace(",", "")), int(numbers[2].replace(",", ""))


def names(graph: Graph, values: Any) -> set[str]:
    return {graph.values[value].name for value in values}


def line(graph: Graph, item: Op | Cut) -> str:
    """The user's line behind an op or a cut."""
    assert item.site is not None
    return graph.sites[item.site].text.strip()


def ops_called(graph: Graph, name: str) -> list[Op]:
    return [op for op in graph.ops.values() if op.name == name]


def test_gan_with_two_optimizers() -> None:
    with gradviz.record() as rec:
        maker = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4))
        judge = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        maker_optimizer = torch.optim.Adam(maker.parameters(), lr=0.01)
        judge_optimizer = torch.optim.SGD(judge.parameters(), lr=0.01)
        for _ in range(2):
            real, noise = torch.randn(5, 4), torch.randn(5, 3)
            fake = maker(noise)
            judge_optimizer.zero_grad()
            right, wrong = judge(real), judge(fake.detach())
            judge_loss = F.binary_cross_entropy_with_logits(right, torch.ones(5, 1))
            judge_loss = judge_loss + F.binary_cross_entropy_with_logits(wrong, torch.zeros(5, 1))
            judge_loss.backward()
            judge_optimizer.step()
            maker_optimizer.zero_grad()
            maker_loss = F.binary_cross_entropy_with_logits(judge(fake), torch.ones(5, 1))
            maker_loss.backward()
            maker_optimizer.step()
    graph = read(rec)
    makers = {f"maker.{name}" for name, _ in maker.named_parameters()}
    judges = {f"judge.{name}" for name, _ in judge.named_parameters()}
    fed = [names(graph, (gradient.value for gradient in sweep.gradients)) for sweep in graph.sweeps]
    assert fed == [judges, makers | judges] * 2
    cuts = [cut for cut in graph.cuts if cut.cause is Cause.DETACH]
    assert [line(graph, cut) for cut in cuts] == ["right, wrong = judge(real), judge(fake.detach())"] * 2
    assert names(graph, [cut.value for cut in cuts]) == {"fake"}
    assert {(o.kind, frozenset(names(graph, o.values))) for o in graph.optimizers} == {
        ("Adam", frozenset(makers)), ("SGD", frozenset(judges)),
    }  # fmt: skip
    deeds = Counter(act.kind for act in graph.acts)
    assert (deeds["step"], deeds["zero_grad"]) == (4, 4)
    assert {op.scope for op in ops_called(graph, "leaky_relu")} == {"judge.1"}


def test_recurrent_network_with_a_detached_state() -> None:
    with gradviz.record() as rec:
        cell = nn.GRUCell(2, 3)
        head = nn.Linear(3, 1)
        hidden = torch.zeros(4, 3)
        for _ in range(3):
            hidden = hidden.detach()
            for _ in range(2):
                hidden = cell(torch.randn(4, 2), hidden)
            loss = head(hidden).square().mean()
            loss.backward()
    graph = read(rec)
    cuts = [cut for cut in graph.cuts if cut.cause is Cause.DETACH]
    assert [line(graph, cut) for cut in cuts] == ["hidden = hidden.detach()"] * 2, "the first one cuts nothing"
    assert names(graph, [cut.value for cut in cuts]) == {"hidden"}
    assert len(graph.sweeps) == 3
    walked = [ancestors(graph, sweep.roots, gradient=True) for sweep in graph.sweeps]
    assert not walked[0] & walked[1]
    assert not walked[1] & walked[2]
    cells = {op.id for op in ops_called(graph, "gru_cell")}
    assert ancestors(graph, graph.sweeps[2].roots) > cells | walked[2], "by data, every step leads there"
    parameters = {f"cell.{name}" for name, _ in cell.named_parameters()} | {"head.weight", "head.bias"}
    for sweep in graph.sweeps:
        assert names(graph, (gradient.value for gradient in sweep.gradients)) == parameters


def test_gpt2_takes_one_step() -> None:
    case = models.gpt2()
    model, batch = case.model, case.batch
    with gradviz.record() as rec:
        optimizer = torch.optim.AdamW(model.parameters())
        logits = model(batch[0]).logits
        loss = case.loss(logits, batch)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            after = model(batch[0]).logits
    graph = read(rec)
    parameters = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    assert "model.transformer.h.0.attn.c_attn.weight" in parameters
    (sweep,) = graph.sweeps
    assert names(graph, (gradient.value for gradient in sweep.gradients)) == set(parameters)
    assert names(graph, reached_leaves(graph, sweep)) == set(parameters)
    for gradient in sweep.gradients:
        parameter = parameters[graph.values[gradient.value].name]
        assert gradient.norm == pytest.approx(float(torch.linalg.vector_norm(parameter.grad)), rel=1e-5)
        assert graph.values[gradient.value].role is Role.PARAMETER
    assert names(graph, sweep.roots) == {"loss"}
    scopes = {op.scope for op in graph.ops.values()}
    assert {"model.transformer.h.0.attn", "model.transformer.h.1.mlp.c_fc", "model.lm_head"} <= scopes
    (region,) = [region for region in graph.regions.values() if region.ops and not region.enabled]
    assert region.kind == "no_grad"
    assert line(graph, graph.ops[region.ops[0]]) != ""
    assert not [cut for cut in graph.cuts if cut.op not in region.ops], "none outside the evaluation"
    assert not after.requires_grad
    tracked = [op for op in graph.ops.values() if op.tracked]
    assert sum(saved.nbytes for op in tracked for saved in op.saved) > 10_000
    sites = {graph.sites[op.site].text.strip() for op in tracked if op.site is not None}
    assert sites == {
        "logits = model(batch[0]).logits",
        "lambda result, batch: F.cross_entropy(result[0, :-1], batch[0][0, 1:]),",
    }


def test_bert() -> None:
    case = models.bert()
    model = case.model
    model.bert.embeddings.requires_grad_(False)
    with gradviz.record() as rec:
        loss = case.loss(case.run(model, case.batch), case.batch)
        loss.backward()
    graph = read(rec)
    (sweep,) = graph.sweeps
    trained = {f"model.{name}" for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names(graph, (gradient.value for gradient in sweep.gradients)) == trained
    assert not {name for name in trained if "embeddings" in name}
    assert not graph.cuts, "a frozen layer cuts nothing"


def test_resnet_in_training_and_evaluation() -> None:
    case = models.resnet()
    model, batch = case.model, case.batch
    with gradviz.record() as rec:
        model.train()
        loss = case.loss(model(batch[0]), batch)
        loss.backward()
        model.eval()
        with torch.no_grad():
            scores = model(batch[0])
    graph = read(rec)
    assert not scores.requires_grad
    convolutions = ops_called(graph, "conv2d")
    parameters = dict(model.named_parameters())
    assert len(convolutions) == 2 * sum(isinstance(part, nn.Conv2d) for part in model.modules())
    assert Counter(op.tracked for op in convolutions) == {True: 12, False: 12}
    off = [op for op in convolutions if not op.tracked]
    assert {op.cause for op in off} == {Cause.NO_GRAD}
    assert {graph.regions[op.region].kind for op in off if op.region is not None} == {"no_grad"}
    assert [op.scope for op in convolutions[:12]] == [op.scope for op in off]
    assert convolutions[1].scope == "model.layer1.0.conv1"
    (sweep,) = graph.sweeps
    assert names(graph, (g.value for g in sweep.gradients)) == {f"model.{name}" for name in parameters}
    additions = [op for op in graph.ops.values() if op.inplace and op.tracked and op.name in ("add_", "add")]
    assert len(additions) >= 4, "`out += x` of each block"
    assert {"model.bn1.running_mean", "model.layer1.0.bn1.running_var"} <= {
        value.name for value in graph.values.values() if value.role is Role.BUFFER
    }
    trained = [op for op in ops_called(graph, "batch_norm") if op.tracked]
    assert trained
    assert all(op.node.endswith("BatchNormBackward0") for op in trained)


def test_lstm_and_what_it_keeps() -> None:
    case = models.lstm()
    model = case.model
    with gradviz.record() as rec:
        loss = case.loss(case.run(model, case.batch), case.batch)
        loss.backward()
    graph = read(rec)
    (lstm,) = ops_called(graph, "lstm")
    assert lstm.scope == "model.lstm"
    assert [graph.values[value].name for value in gradient_inputs(graph, lstm)][1:] == [
        f"model.lstm.{name}" for name, _ in model.lstm.named_parameters()
    ]
    assert sum(saved.nbytes for saved in lstm.saved) > 0


@pytest.mark.parametrize("reentrant", [False, True], ids=["plain", "reentrant"])
def test_checkpoint_is_no_cut_and_its_recomputation_no_op_of_the_user(reentrant: bool) -> None:
    with gradviz.record() as rec:
        first, second = nn.Linear(3, 3), nn.Linear(3, 1)
        x = torch.randn(2, 3, requires_grad=True)
        loss = second(checkpoint(lambda h: first(h).tanh(), x, use_reentrant=reentrant)).sum()
        loss.backward()
    graph = read(rec)
    own = [cut for cut in graph.cuts if cut.site is not None and "checkpoint" not in line(graph, cut)]
    assert own == []
    assert [cut.cause for cut in graph.cuts if cut.cause in (Cause.DETACH, Cause.NO_GRAD)] == []
    assert len(ops_called(graph, "tanh")) <= 1
    sweep = graph.sweeps[-1]
    assert {"x", "second.weight", "second.bias", "first.weight", "first.bias"} <= {
        name for s in graph.sweeps for name in names(graph, (g.value for g in s.gradients))
    }
    assert names(graph, sweep.roots) == {"loss"} or reentrant


def test_autocast() -> None:
    with gradviz.record() as rec:
        layer = nn.Linear(3, 2)
        x = torch.randn(4, 3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
        loss = y.float().sum()
        loss.backward()
    graph = read(rec)
    (linear,) = ops_called(graph, "linear")
    assert graph.values[linear.outputs[0]].dtype == "bfloat16"
    assert names(graph, gradient_inputs(graph, linear)) == {"layer.weight", "layer.bias"}
    assert not graph.cuts
    (sweep,) = graph.sweeps
    assert names(graph, (gradient.value for gradient in sweep.gradients)) == {"layer.weight", "layer.bias"}


def test_double_backward() -> None:
    with gradviz.record() as rec:
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = (x**3).sum()
        (slope,) = torch.autograd.grad(y, x, create_graph=True)
        penalty = slope.square().sum()
        penalty.backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 2 * (3 * x**2) * (6 * x))
    graph = read(rec)
    first, second = graph.sweeps
    assert (first.kind, first.create_graph, second.kind) == ("grad", True, "backward")
    assert names(graph, first.inputs or ()) == {"x"}
    assert names(graph, second.roots) == {"penalty"}
    assert names(graph, (gradient.value for gradient in second.gradients)) == {"x"}
    assert names(graph, reached_leaves(graph, second)) == {"x"}, "through the graph of the first sweep"


# What PyTorch itself warns of when it loads the rules of forward differentiation.
LOADING = "ignore:`torch.jit.script` is deprecated:DeprecationWarning"


@pytest.mark.filterwarnings(LOADING)
def test_functional_transforms() -> None:
    def loss(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return (x @ w).tanh().sum()

    def program() -> list[torch.Tensor]:
        w, batch = torch.arange(3.0), torch.arange(12.0).view(4, 3)
        slope = torch.func.grad(loss)(w, batch)
        each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(w, batch)
        _, pull = torch.func.vjp(lambda v: loss(v, batch), w)
        _, push = torch.func.jvp(lambda v: loss(v, batch), (w,), (torch.ones(3),))
        return [slope, each, pull(torch.tensor(1.0))[0], push, torch.func.hessian(loss)(w, batch)]

    plain = program()
    with gradviz.record() as rec:
        recorded = program()
    assert all(torch.equal(one, other) for one, other in zip(plain, recorded, strict=True))
    graph = read(rec, matched=False)
    told = [op.name for op in graph.ops.values() if op.inputs and op.name != "view"]
    assert told == ["grad", "vmap", "vjp", "jvp", "vjp", "hessian"]
    assert line(graph, ops_called(graph, "grad")[0]) == "slope = torch.func.grad(loss)(w, batch)"


@pytest.mark.filterwarnings(LOADING)
def test_forward_mode() -> None:
    from torch.autograd import forward_ad

    def program() -> torch.Tensor:
        with forward_ad.dual_level():
            x = forward_ad.make_dual(torch.ones(3), torch.full((3,), 2.0))
            return forward_ad.unpack_dual(x.exp() * x).tangent

    plain = program()
    with gradviz.record() as rec:
        recorded = program()
    assert torch.equal(plain, recorded)
    assert ops_called(read(rec, matched=False), "exp")


def test_a_class_method_in_c_is_called_as_one_in_python() -> None:
    """From PyTorch 2.15 on, `Function.apply` is written in C."""
    in_c = vars(dict)["fromkeys"]
    assert not hasattr(in_c, "__func__")
    assert unseen._class_function(in_c)(OrderedDict, "ab") == OrderedDict(a=None, b=None)


def test_custom_function_is_one_op() -> None:
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
            ctx.save_for_backward(x)
            ctx.factor = factor
            return (x * factor).exp()

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> Any:
            (x,) = ctx.saved_tensors
            return g * ctx.factor * (x * ctx.factor).exp(), None

    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        y = Scaled.apply(x, 2.0)
        y.sum().backward()
    graph = read(rec)
    assert [op.name for op in graph.ops.values() if op.inputs and op.region is None] == ["Scaled", "sum"]
    (op,) = ops_called(graph, "Scaled")
    assert (op.node, op.tracked, [saved.source for saved in op.saved]) == ("ScaledBackward", True, [0])
    assert names(graph, op.outputs) == {"y"}
    assert line(graph, op) == "y = Scaled.apply(x, 2.0)"
    assert not graph.cuts


def test_a_custom_function_inside_of_an_op_is_a_part_of_it() -> None:
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return g * 2

    def doubled(x: torch.Tensor) -> torch.Tensor:
        """As functions of PyTorch do that are written in Python."""
        if torch.overrides.has_torch_function_unary(x):
            return torch.overrides.handle_torch_function(doubled, (x,), x)
        return Doubled.apply(x.unsqueeze(0)).squeeze(0)

    class Silent(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        y = doubled(x)
        with Silent():
            z = Doubled.apply(y)
        z.sum().backward()
    graph = read(rec)
    assert [op.name for op in graph.ops.values() if op.tracked] == ["doubled", "Doubled", "sum"]


def test_parameters_made_in_forward_and_replaced() -> None:
    class Lazy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not hasattr(self, "weight"):
                self.weight = nn.Parameter(torch.ones(x.shape[-1]))
            return x * self.weight

    with gradviz.record() as rec:
        model = Lazy()
        loss = model(torch.ones(2, 3)).sum()
        loss.backward()
    graph = read(rec)
    (sweep,) = graph.sweeps
    assert names(graph, (gradient.value for gradient in sweep.gradients)) == {"model.weight"}


def test_lazy_modules_make_their_parameters_in_the_first_pass() -> None:
    with gradviz.record() as rec:
        model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
        loss = model(torch.ones(2, 3)).sum()
        loss.backward()
    graph = read(rec)
    made = ops_called(graph, "Parameter")
    assert names(graph, (op.outputs[0] for op in made)) == {
        f"model.{index}.{part}" for index in (0, 2) for part in ("weight", "bias")
    }
    assert {line(graph, op) for op in made} == {"loss = model(torch.ones(2, 3)).sum()"}
    assert not ops_called(graph, "of unknown origin")


def test_make_dot_shows_what_was_recorded() -> None:
    def program() -> tuple[str, str]:
        x = torch.ones(3, requires_grad=True)
        with torch.no_grad():
            y = x * 2
        before = gradviz.make_dot(y, {"x": x}).source
        z = (y + x.detach()).sum()
        return before, gradviz.make_dot(z).source

    alone, _ = program()
    assert "mul" not in alone, "autograd knows nothing of it"
    with gradviz.record() as rec:
        skipped, cut = program()
    assert not rec.failures
    assert "label=no_grad" in skipped or 'label="no_grad' in skipped
    assert "mul" in skipped
    assert "✂" in skipped
    assert "✂ detach" in cut


def test_make_dot_knows_a_recording_that_has_ended() -> None:
    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        with torch.no_grad():
            y = x * 2
        z = (x * 3).sum()
    assert "✂" in gradviz.make_dot(y).source
    graph = gradviz.graph(y)
    assert [op.name for op in graph.ops.values()][-1] == "mul"
    assert graph.cuts
    assert "z\n ()" in gradviz.make_dot(z).source
    del rec
    gc.collect()
    assert "✂" not in gradviz.make_dot(y).source


RANKS = """
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
dist.init_process_group("gloo")
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
parallel = DistributedDataParallel(model)
torch.manual_seed(dist.get_rank())
loss = parallel(torch.randn(5, 3)).square().mean()
loss.backward()
print(*(parameter.grad.flatten().tolist() for parameter in model.parameters()))
dist.barrier()  # PyTorch may abort where one rank is gone while the other one still takes its leave
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch was built without torch.distributed")
def test_two_ranks_write_two_logs(tmp_path: Path) -> None:
    (tmp_path / "ranks.py").write_text(RANKS)
    plain = run_ranks([sys.executable, "ranks.py"], tmp_path)
    recorded = run_ranks([sys.executable, "-m", "gradviz", "record", "ranks.py", "-o", "run.gvlog"], tmp_path)
    assert [out.splitlines()[0] for out in recorded] == [out.splitlines()[0] for out in plain]
    assert sorted(path.name for path in tmp_path.glob("*.gvlog")) == ["run.rank0.gvlog", "run.rank1.gvlog"]
    for rank in range(2):
        graph = Graph.build(read_log(tmp_path / f"run.rank{rank}.gvlog"))
        graph.validate()
        found, all_ = coverage(graph)
        assert found == all_ > 0
        (sweep,) = graph.sweeps
        assert names(graph, (gradient.value for gradient in sweep.gradients)) == {
            f"model.{index}.{part}" for index in (0, 2) for part in ("weight", "bias")
        }


def run_ranks(command: list[str], folder: Path) -> list[str]:
    """What two processes print that train together."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip
    outputs = []
    for process in ranks:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        outputs.append(out)
    return outputs
