"""What a recording cannot follow is left as it is, and said."""

from __future__ import annotations

import multiprocessing

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gradviz
from gradviz.diagnose import diagnose
from gradviz.frontends.torch.listening import elsewhere
from gradviz.frontends.torch.listening.elsewhere import TRACED


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_traced_is_the_same_as_without_a_recording() -> None:
    """Tracing checks itself: it traces twice, and raises where the two differ."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    plain = torch.jit.trace(model, torch.ones(1, 3))
    with gradviz.record() as rec:
        x = torch.ones(1, 3, requires_grad=True)
        traced = torch.jit.trace(model, x)
        loss = traced(x).sum()
        loss.backward()
    assert not rec.failures
    assert str(traced.inlined_graph).count("aten::") == str(plain.inlined_graph).count("aten::")
    assert torch.equal(traced(x), model(x))
    graph = rec.graph()
    graph.validate()
    assert [note.text for note in graph.notes if note.kind == "unrecorded"] == [TRACED]
    names = [op.name for op in graph.ops.values() if op.inputs]
    assert names[-1] == "sum"
    assert names[-2].startswith("unrecorded op (Tanh")


def test_what_pytorch_compiles_by_itself_is_one_op() -> None:
    """`torch.cond` has to be compiled: where it runs as it is written, it raises."""

    def program() -> list[float]:
        torch.compile(lambda x: x + 1, backend="eager")
        x = torch.ones(2, requires_grad=True)
        y = torch.cond(x.sum() > 1, lambda a: a * 2, lambda a: a * 3, (x,))
        y.sum().backward()
        assert x.grad is not None
        return x.grad.tolist()

    plain = program()
    with gradviz.record() as rec:
        recorded = program()
    assert recorded == plain
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    outside = [op.name for op in graph.ops.values() if op.inputs and op.region is None]
    assert outside == ["sum", "gt", "cond", "sum", "tolist"]
    assert not [finding for finding in diagnose(graph) if finding.severity != "note"]


def test_what_is_exported_is_said() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with gradviz.record() as rec:
        program = torch.export.export(model, (torch.ones(1, 2),))
    assert not rec.failures
    assert [op.name for op in rec.graph().ops.values() if op.inputs] == []
    assert [note.text for note in rec.graph().notes if note.kind == "unrecorded"] == [TRACED]
    assert torch.equal(program.module()(torch.ones(1, 2)), model(torch.ones(1, 2)))


def test_workers_that_are_forked_by_default_are_not_called_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "get_start_method", lambda: "fork")
    loader = DataLoader(TensorDataset(torch.arange(4.0)), 2, num_workers=1, multiprocessing_context="fork")
    with gradviz.record() as rec:
        seen = [float(x.sum()) for (x,) in loader]
        worker = multiprocessing.get_context("fork").Process(target=len, args=("",))
        worker._start_method = None  # as in `multiprocessing.Process`
        worker.start()
        worker.join()
    assert seen == [1.0, 5.0]
    told = {note.text: note.count for note in rec.graph().notes if note.kind == "unrecorded"}
    assert told == {"what a forked child process did is not recorded": 2}
