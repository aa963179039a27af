"""A second sweep over a freed graph: which values it is about."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradviz
from gradviz.frontends.torch.autograd.freed import Freed
from gradviz.graphs import Graph

SECOND = "backward through the graph a second time"


def concerned(recorder: gradviz.recorder.Recorder) -> list[str]:
    """The ops that the last sweep's error is about."""
    assert not recorder.failures
    graph: Graph = recorder.graph()
    graph.validate()
    assert SECOND in graph.sweeps[-1].error
    return [graph.ops[graph.values[value].op].name for value in graph.sweeps[-1].concerned]


def test_two_losses_on_one_trunk() -> None:
    """The heads of the second loss are run, and so freed, before the engine comes to the trunk: they are not it."""
    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        trunk = (x * 2).exp() + x
        first = (trunk * x).sin().sum()
        second = (trunk * x).cos().sum()
        first.backward()
        with pytest.raises(RuntimeError, match=SECOND):
            second.backward()
    # Adding keeps nothing; what is gone is the result of `exp`.
    assert concerned(rec) == ["exp"]


def test_the_same_loss_twice() -> None:
    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        loss = x.exp().sin().sum()
        loss.backward()
        with pytest.raises(RuntimeError, match=SECOND):
            loss.backward()
    assert concerned(rec) == ["sin"]


def test_a_state_that_is_carried_from_step_to_step() -> None:
    with gradviz.record() as rec:
        cell = nn.GRUCell(2, 2)
        state = torch.zeros(1, 2)
        state = cell(torch.ones(1, 2), state)
        state.sum().backward()
        state = cell(torch.ones(1, 2), state)
        with pytest.raises(RuntimeError, match=SECOND):
            state.sum().backward()
    graph = rec.graph()
    assert concerned(rec) == ["gru_cell"]
    (carried,) = graph.sweeps[-1].concerned
    (second,) = [op for op in graph.ops.values() if op.name == "gru_cell" and carried in op.inputs]
    assert graph.values[carried].op != second.id


def test_a_graph_that_was_kept_is_not_gone() -> None:
    with gradviz.record() as rec:
        x = torch.ones(3, requires_grad=True)
        kept = x.exp()
        gone = x.sin()
        kept.sum().backward(retain_graph=True)
        gone.sum().backward()
        with pytest.raises(RuntimeError, match=SECOND):
            (kept + gone).sum().backward()
    assert concerned(rec) == ["sin"]


def test_ranges_of_numbers() -> None:
    freed = Freed()
    freed.add([])
    freed.add(range(5, 9))
    freed.add([20, 3, 22, 21])
    freed.add(range(7, 12))
    assert freed.among(range(30)) == {3, *range(5, 12), 20, 21, 22}
    for number in range(0, 20_000, 2):
        freed.add([number])
    assert freed.among([5, 0, 19_998]) == {19_998}
