"""Inside of a sweep: hooks, the backward of custom functions and recomputation are told, as what they are."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradviz
from gradviz.events import BACKWARD, Cause
from gradviz.frontends.torch.engine.sweeps import MISSED
from gradviz.graphs import Graph, Op
from gradviz.picture.composing import compose
from gradviz.selecting import default_selection
from gradviz.views import Options


def checked(recorder: gradviz.recorder.Recorder) -> Graph:
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph


def inside(graph: Graph) -> list[Op]:
    """The ops with inputs that ran inside of a sweep, in order."""
    within = {region.id for region in graph.regions.values() if region.kind == BACKWARD}
    for region in graph.regions.values():
        if region.parent in within:
            within.add(region.id)
    return [op for op in graph.ops.values() if op.region in within and op.inputs]


def line_of(graph: Graph, site: int | None) -> str:
    return "" if site is None else graph.sites[site].text.strip()


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, w = ctx.saved_tensors
        return g * w, (g * x).sum()


def test_hooks_and_the_backward_of_a_custom_function_are_told() -> None:
    x = torch.ones(3, requires_grad=True)
    w = torch.tensor(2.0, requires_grad=True)
    norms = []

    def watch(g: torch.Tensor) -> torch.Tensor:
        norms.append(g.norm().item())
        return g * 2

    with gradviz.record() as rec:
        y = Scaled.apply(x, w)
        y.register_hook(watch)
        y.sum().backward()
    graph = checked(rec)
    assert [op.name for op in inside(graph)] == ["norm", "item", "mul", "mul", "mul", "sum"]
    assert not any(op.tracked or op.cause for op in inside(graph))
    assert not graph.cuts
    (region,) = graph.regions.values()
    assert (region.kind, region.enabled, region.closed) == (BACKWARD, False, True)
    assert line_of(graph, region.site) == "y.sum().backward()"
    times_w = next(op for op in inside(graph) if line_of(graph, op.site).startswith("return g * w"))
    sources = [graph.ops[graph.values[item].op] for item in times_w.value_inputs]
    assert times_w.value_inputs[0] == inside(graph)[2].id  # what the hook gave back goes on
    assert graph.values[times_w.value_inputs[1]].name == "w"
    assert sources[1].name != "grad"
    first = graph.ops[graph.values[inside(graph)[0].value_inputs[0]].op]
    assert first.name == "grad"
    assert x.grad is not None
    assert x.grad.tolist() == [4.0, 4.0, 4.0]
    assert norms == [pytest.approx(3**0.5)]


def test_the_same_graph_as_the_core_gives() -> None:
    source = """
    w = torch.ones(3, requires_grad=True)
    x = torch.ones(3, requires_grad=True)
    h = x * w
    h.register_hook(lambda g: (g * 2) * w)
    h.sum().backward()
    """
    told = []
    for framework in (torch, gradviz):
        with gradviz.record() as rec:
            exec(textwrap.dedent(source), {"torch": framework})
        graph = checked(rec)
        region = {region.id: region.kind for region in graph.regions.values()}
        told.append([
            (op.name, op.tracked, region.get(op.region or 0), [item - op.id for item in op.value_inputs])
            for op in graph.ops.values() if op.inputs
        ])  # fmt: skip
    assert told[0] == told[1]


def test_what_runs_inside_counts_neither_as_skipped_nor_as_cut() -> None:
    with gradviz.record() as rec:
        w = torch.ones(3, requires_grad=True)
        h = w * 2
        h.register_hook(lambda g: g * w)
        loss = h.sum()
        with torch.no_grad():
            loss.backward()
    graph = checked(rec)
    picture = compose(graph, Options())
    assert "skipped" not in picture.summary
    assert " cut" not in picture.summary
    assert any(frame.title.startswith("backward") for frame in picture.frames)


def test_a_cut_that_the_user_wrote_inside_is_one() -> None:
    with gradviz.record() as rec:
        w = torch.ones(3, requires_grad=True)
        h = w * 2

        def blend(g: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                kept = w * 3
            with torch.no_grad():
                frozen = w * 4
            return g + w.detach() + kept.detach() + frozen

        h.register_hook(blend)
        h.sum().backward()
    graph = checked(rec)
    assert [cut.cause for cut in graph.cuts] == [Cause.NO_GRAD, Cause.DETACH, Cause.DETACH]
    kept = next(op for op in inside(graph) if op.tracked)
    assert graph.values[kept.id].name == "kept"


def test_module_and_accumulation_hooks() -> None:
    seen: list[torch.Tensor] = []
    with gradviz.record() as rec:
        layer = nn.Linear(2, 2)
        layer.register_full_backward_hook(lambda module, given, got: seen.append(got[0].abs()))
        layer.weight.register_post_accumulate_grad_hook(lambda weight: seen.append(weight.grad * weight))
        layer(torch.ones(1, 2, requires_grad=True)).sum().backward()
    graph = checked(rec)
    assert sorted(op.name for op in inside(graph)) == ["abs", "mul"]
    assert len(seen) == 2


def test_an_optimizer_that_steps_inside_of_the_sweep() -> None:
    """The pattern of optimizers fused into the backward pass: each parameter is updated once its gradient is there."""
    with gradviz.record() as rec:
        layer = nn.Linear(2, 2)
        optimizers = {parameter: torch.optim.SGD([parameter], lr=0.1) for parameter in layer.parameters()}

        def step(parameter: torch.Tensor) -> None:
            optimizers[parameter].step()
            optimizers[parameter].zero_grad()

        for parameter in layer.parameters():
            parameter.register_post_accumulate_grad_hook(step)
        layer(torch.ones(1, 2)).sum().backward()
    graph = checked(rec)
    assert [act.kind for act in graph.acts if act.kind in ("step", "zero_grad")] == ["step", "zero_grad"] * 2


class Inner(torch.autograd.Function):
    """Differentiates inside of its backward and forgets that grad mode is off there."""

    enabled = False

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor | None:
        (x,) = ctx.saved_tensors
        with torch.set_grad_enabled(Inner.enabled):
            x = x.detach().requires_grad_()
            out = x.sin()
        out.requires_grad_()
        (found,) = torch.autograd.grad(out, (x,), g, allow_unused=True)
        return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("enabled", [False, True])
def test_a_sweep_inside_of_a_sweep(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inner, "enabled", enabled)
    with gradviz.record() as rec:
        w = torch.ones(3, requires_grad=True)
        Inner.apply(w).sum().backward()
    graph = checked(rec)
    inner, outer = graph.sweeps
    assert (inner.kind, outer.kind) == ("grad", "backward")
    assert line_of(graph, inner.site).startswith("(found,) = torch.autograd.grad(out, (x,)")
    sine = next(op for op in inside(graph) if op.name == "sin")
    assert inner.roots == sine.outputs
    assert sine.tracked == enabled
    assert [graph.ops[graph.values[value].op].name for value in inner.inputs or ()] == ["detach"]
    assert len(inner.gradients) == len(outer.gradients) == enabled
    assert (w.grad is not None) == enabled


@pytest.mark.parametrize("reentrant", [True, False])
def test_recomputation_is_told_apart_from_the_forward_pass(reentrant: bool) -> None:
    with gradviz.record() as rec:
        block = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
        x = torch.ones(1, 2, requires_grad=True)
        loss = checkpoint(block, x, use_reentrant=reentrant).sum()
        loss.backward()
    graph = checked(rec)
    again = [op for op in inside(graph) if op.name in ("linear", "tanh")]
    assert [op.name for op in again][:2] == ["linear", "tanh"]
    assert all(op.tracked for op in again)
    path = "Sequential" if reentrant else "block"  # which a function that PyTorch calls backward for does not know
    assert {op.scope for op in again} >= {f"{path}.0", f"{path}.1"}
    assert not graph.cuts
    (sweep,) = graph.sweeps  # a checkpoint's own is a part of it
    assert sorted(graph.values[gradient.value].name for gradient in sweep.gradients) == [
        "block.0.bias", "block.0.weight", "block.2.bias", "block.2.weight", "x",
    ]  # fmt: skip
    drawn = compose(graph, Options())
    assert "skipped" not in drawn.summary
    assert {note.kind for note in graph.notes} == {"coverage"}


def test_a_gradient_with_a_graph_stays_one_op() -> None:
    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        y = Scaled.apply(x, torch.tensor(3.0, requires_grad=True))
        y.register_hook(lambda g: g * 2)
        (slope,) = torch.autograd.grad(y.pow(2).sum(), x, create_graph=True)
        slope.sum().backward()
    graph = checked(rec)
    again = {op.id for op in inside(graph)}
    assert all(op > max(graph.sweeps[1].roots) for op in again)
    ops = [op.name for op in graph.ops.values() if op.inputs and op.id not in again]
    assert ops == ["Scaled", "pow", "sum", "grad", "sum"]


def test_an_exception_inside_leaves_all_as_it_was() -> None:
    def refuse(g: torch.Tensor) -> None:
        raise ValueError(f"{g.numel()} elements")

    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        h = x * 2
        h.register_hook(refuse)
        with pytest.raises(ValueError, match="3 elements") as raised:
            h.sum().backward()
        assert torch._C._len_torch_function_stack() == 1
        after = x + 1
    graph = checked(rec)
    assert graph.ops[graph.values[max(graph.values)].op].name == "add"
    assert graph.ops[max(graph.ops)].region is None
    assert after.requires_grad
    own = Path(gradviz.__file__).parent
    assert not any(own in Path(str(entry.path)).parents for entry in raised.traceback)


def _train(sweep: Callable[[torch.Tensor], None]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
    block.linear1.weight.register_hook(lambda g: g * 0.5 + g.abs().mean())
    x = torch.randn(2, 5, 16)
    optimizer = torch.optim.AdamW(block.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        sweep(Scaled.apply(checkpoint(block, x, use_reentrant=False), torch.tensor(1.5, requires_grad=True)).sum())
        optimizer.step()
    return [*block.parameters(), torch.get_rng_state()]


@pytest.mark.parametrize("sweep", [torch.Tensor.backward, torch.autograd.backward])
def test_hooks_and_recomputation_give_the_same_to_the_bit(sweep: Callable[[torch.Tensor], None]) -> None:
    plain = _train(sweep)
    with gradviz.record() as rec:
        recorded = _train(sweep)
    checked(rec)
    assert all(torch.equal(one, other) for one, other in zip(plain, recorded, strict=True))


def test_the_picture_of_a_checkpointed_block_has_the_block_once() -> None:
    with gradviz.record() as rec:
        block = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
        checkpoint(block, torch.ones(1, 2), use_reentrant=False).sum().backward()
    graph = checked(rec)
    assert [op.name for op in graph.ops.values() if op.inputs] == ["linear", "tanh", "sum", "linear"]
    assert [op.name for op in default_selection(graph).ops.values() if op.inputs] == ["linear", "tanh", "sum"]


def coverage(recorder: gradviz.recorder.Recorder) -> list[str]:
    return [note.text for note in checked(recorder).notes if note.kind == "coverage"]


def test_without_a_sweep_the_living_graph_is_counted() -> None:
    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        y = (x * 2).sin()
        z = y.sum()
        del y
        assert z.requires_grad
    assert coverage(rec) == ["3 of 3 autograd nodes alive at the end matched to recorded ops"]


def test_without_a_sweep_an_unseen_node_is_counted_as_such() -> None:
    early = torch.ones(3, requires_grad=True).exp()
    with gradviz.record() as rec:
        z = early * 2
        assert z.requires_grad
    assert [op.name for op in checked(rec).ops.values() if op.tracked] == ["unrecorded op (ExpBackward0)", "mul"]
    assert coverage(rec) == ["1 of 2 autograd nodes alive at the end matched to recorded ops"]


def test_without_any_graph_that_is_said() -> None:
    with gradviz.record() as rec:
        assert (torch.ones(3) * 2).sum() == 6
    assert coverage(rec) == ["no autograd nodes to match"]


def test_a_deep_graph_that_nobody_swept() -> None:
    with gradviz.record() as rec:
        x = torch.ones(1, requires_grad=True)
        for _ in range(20_000):
            x = x + 1
    assert coverage(rec) == ["20,000 of 20,000 autograd nodes alive at the end matched to recorded ops"]


class Nested(torch.autograd.Function):
    """Runs a sweep inside of its backward, and that one another: too deep for one stack, the engine changes threads."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, depth: int) -> torch.Tensor:
        ctx.depth = depth
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        if ctx.depth:
            with torch.enable_grad():
                below = Nested.apply(x.detach().requires_grad_(), ctx.depth - 1).sum()
            below.backward()
        return g * 2, None


@pytest.mark.parametrize(("depth", "missed"), [(3, False), (80, True)])
def test_what_the_engine_calls_on_a_thread_of_its_own_is_said_to_be_missed(depth: int, missed: bool) -> None:
    with gradviz.record() as rec:
        x = torch.ones(2, requires_grad=True)
        Nested.apply(x, depth).sum().backward()
    graph = checked(rec)
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0]
    assert missed or len(graph.sweeps) == depth + 1
    assert [note.text for note in graph.notes if note.kind == "unrecorded"] == [MISSED] * missed


def test_what_a_reentrant_checkpoint_uses_inside_is_an_input_of_it() -> None:
    body = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    scale = torch.ones(3, requires_grad=True)
    with gradviz.record() as rec:
        x = torch.ones(1, 2, requires_grad=True)
        checkpoint(lambda h: body(h) * scale * 2, x, use_reentrant=True).sum().backward()
    graph = checked(rec)
    (op,) = [op for op in graph.ops.values() if op.name == "checkpoint"]
    assert [graph.values[item].name for item in op.value_inputs] == ["x", "body.0.weight", "body.0.bias", "scale"]
    assert op.tracked
    assert op.needs == (True,) * 4
    assert {graph.values[gradient.value].name for gradient in graph.sweeps[-1].gradients} == {
        "x", "body.0.weight", "body.0.bias", "scale",
    }  # fmt: skip


def test_a_checkpoint_in_vain_cuts_what_it_uses_inside() -> None:
    body = nn.Linear(2, 3)
    with gradviz.record() as rec, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = checkpoint(body, torch.ones(1, 2), use_reentrant=True)
    assert not y.requires_grad
    graph = checked(rec)
    assert [(graph.ops[cut.op].name, graph.values[cut.value].name) for cut in graph.cuts] == [
        ("checkpoint", "body.weight"),
        ("checkpoint", "body.bias"),
    ]
