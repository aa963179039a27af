"""Ops of PyTorch with several results: each of them has its own name, its own flag and its own road back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Normal, TransformedDistribution, transforms

import gradviz
from gradviz.events import Cause
from gradviz.graphs import Graph, Op
from gradviz.query import ancestors


def checked(recorder: gradviz.recorder.Recorder) -> Graph:
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph


def called(graph: Graph, name: str) -> list[Op]:
    return [op for op in graph.ops.values() if op.name == name]


def named(graph: Graph, name: str) -> int:
    (value,) = [value.id for value in graph.values.values() if value.name == name]
    return value


def coverage(graph: Graph) -> str:
    return next(note.text for note in graph.notes if note.kind == "coverage")


def leads_to(graph: Graph, root: str, leaf: str) -> bool:
    """Whether the gradient of the value named `root` comes to the one named `leaf`."""
    wanted = named(graph, leaf)
    return any(wanted in graph.ops[op].value_inputs for op in ancestors(graph, [named(graph, root)], gradient=True))


@pytest.mark.parametrize("rows", [1, 4])
def test_a_log_probability_leads_to_its_logits(rows: int) -> None:
    """Inside, an index and the logits are broadcast together: the index may change, the logits may stay as they are."""
    with gradviz.record() as rec:
        logits = torch.randn(rows, 3, requires_grad=True)
        policy = Categorical(logits=logits)
        action = torch.tensor([0, 1, 2, 0])
        score = policy.log_prob(action)
        loss = score.sum()
        loss.backward()
    graph = checked(rec)
    assert coverage(graph).split()[0] == coverage(graph).split()[2]
    assert leads_to(graph, "score", "logits")
    assert {graph.ops[cut.op].name for cut in graph.cuts} <= {"eq"}, "the only cut is in its check of arguments"
    assert [graph.values[got.value].name for got in graph.sweeps[0].gradients] == ["logits"]


def test_what_is_given_back_stays_what_it_is() -> None:
    with gradviz.record() as rec:
        index = torch.tensor([[0], [1]])
        x = torch.randn(2, 3, requires_grad=True)
        wide, same = torch.broadcast_tensors(index, x)
        loss = (same * 2).sum()
        loss.backward()
    assert same is x
    graph = checked(rec)
    assert not graph.cuts
    (op,) = called(graph, "broadcast_tensors")
    assert [graph.values[value].name for value in (*op.value_inputs, *op.outputs)] == ["index", "wide"]
    (product,) = called(graph, "mul")
    assert product.inputs[0] == named(graph, "x")
    assert wide.shape == (2, 3)


@pytest.mark.parametrize(
    "call",
    [
        "torch.broadcast_tensors(index, x)", "torch.meshgrid(index.float(), x[:, 0], indexing='ij')",
        "torch.atleast_3d(index, x)",
    ],
)  # fmt: skip
def test_each_result_comes_from_its_own_tensor(call: str) -> None:
    with gradviz.record() as rec:
        index = torch.arange(4)
        x = torch.randn(4, 1, requires_grad=True)
        one, other = eval(call, {"torch": torch, "index": index, "x": x})
        (other * other).sum().backward()
    graph = checked(rec)
    assert [one.requires_grad, other.requires_grad] == [False, True]
    first, second = called(graph, call[6:].partition("(")[0])
    assert (first.tracked, second.tracked) == (False, True)
    assert [graph.values[op.id].name for op in (first, second)] == ["one", "other"]
    assert leads_to(graph, "other", "x")
    assert not [cut for cut in graph.cuts if graph.values[cut.value].name == "x"]
    assert coverage(graph).split()[0] == coverage(graph).split()[2]


def test_an_index_beside_a_value_carries_no_gradient() -> None:
    with gradviz.record() as rec:
        x = torch.randn(3, 2, requires_grad=True)
        best, where = x.max(1)
        ranked, order = torch.sort(x, dim=0)
        loss = (best * where).sum() + (ranked * order).sum()
        loss.backward()
    graph = checked(rec)
    for name in ("max", "sort"):
        (op,) = called(graph, name)
        assert op.tracked
        assert [graph.values[value].requires_grad for value in op.outputs] == [True, False]
    (product, _) = called(graph, "mul")
    assert product.needs == (True, False)
    assert best.requires_grad
    assert not where.requires_grad


def test_results_of_several_nodes_are_told_apart() -> None:
    """What nobody saw being made comes from the hidden state of an LSTM, not from its output."""
    with gradviz.record() as rec:
        cell = nn.LSTM(2, 3)
        out, (hidden, state) = cell(torch.ones(4, 1, 2))
        with torch._C.DisableTorchFunction():
            tail = hidden.exp()
        loss = tail.sum()
        loss.backward()
    graph = checked(rec)
    (op,) = called(graph, "lstm")
    users = [other for other in graph.ops.values() if set(other.value_inputs) & set(op.outputs)]
    assert [item - op.id for other in users for item in other.value_inputs] == [1]
    assert [out.requires_grad, hidden.requires_grad, state.requires_grad] == [True] * 3


def test_integers_alone_are_a_cut_of_their_own() -> None:
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            ctx.mark_non_differentiable(found := x.argmax(), kept := x.clone())
            return found, kept

    with gradviz.record() as rec:
        x = torch.randn(3, requires_grad=True)
        where = x.argmax()
        mantissa, exponent = torch.frexp(x.detach())
        found, kept = Both.apply(x)
    graph = checked(rec)
    causes = {graph.ops[cut.op].name: cut.cause for cut in graph.cuts}
    assert causes == {"argmax": Cause.INTEGER, "detach": Cause.DETACH, "Both": Cause.CUSTOM_FUNCTION}
    assert [t.dtype.is_floating_point for t in (where, mantissa, exponent, found, kept)] == [
        False, True, False, False, True,
    ]  # fmt: skip


def test_a_flow_of_distributions_leads_to_its_parameters() -> None:
    with gradviz.record() as rec:
        mean = torch.zeros(3, requires_grad=True)
        scale = torch.ones(3, requires_grad=True)
        flow = TransformedDistribution(Normal(mean, scale), [transforms.TanhTransform()])
        score = flow.log_prob(torch.tensor([0.1, 0.2, 0.3])).sum()
        sample = flow.rsample().sum()
        loss = score + sample
        loss.backward()
    graph = checked(rec)
    for root in ("score", "sample"):
        assert leads_to(graph, root, "mean")
        assert leads_to(graph, root, "scale")
    assert coverage(graph).split()[0] == coverage(graph).split()[2]
