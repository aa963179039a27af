"""What a recording cannot follow is left as it is, and said."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradviz
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

