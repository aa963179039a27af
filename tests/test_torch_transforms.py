"""`torch.func`: each transform is one op, which leads back to what it was given and to what it closed over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.func as func
from torch import nn

import gradviz
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.query import ancestors
from gradviz.views import Options


def checked(recorder: gradviz.recorder.Recorder) -> Graph:
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    assert not any(op.name == "of unknown origin" or op.name.startswith("unrecorded") for op in graph.ops.values())
    return graph


def ops(graph: Graph) -> list[str]:
    return [op.name for op in graph.ops.values() if op.inputs]


def sources(graph: Graph, value: int) -> set[str]:
    """Names of the leaves behind a value, by data."""
    behind = [graph.ops[id] for id in ancestors(graph, [value])]
    return {graph.values[op.outputs[0]].name for op in behind if not op.inputs}


def curve(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return (x * w).sum().sin()


CALLS: dict[str, Any] = {
    "grad": lambda x, w: func.grad(curve)(x, w),
    "grad_and_value": lambda x, w: func.grad_and_value(curve)(x, w)[1],
    "vmap": lambda x, w: func.vmap(lambda part: part * w.sum())(x),
    "vjp": lambda x, w: func.vjp(curve, x, w)[0],
    "jvp": lambda x, w: func.jvp(curve, (x, w), (torch.ones(3), torch.ones(3)))[1],
    "jacrev": lambda x, w: func.jacrev(curve)(x, w),
    "jacfwd": lambda x, w: func.jacfwd(curve)(x, w),
    "hessian": lambda x, w: func.hessian(curve)(x, w),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(CALLS))
def test_each_transform_is_one_op_that_leads_back(name: str) -> None:
    torch.manual_seed(0)
    start = torch.randn(3)
    expected = CALLS[name](start, torch.full((3,), 2.0, requires_grad=True))
    with gradviz.record() as rec:
        x = torch.zeros(3) + start
        w = torch.full((3,), 2.0, requires_grad=True)
        result = CALLS[name](x, w)
        result.sum().backward()
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    assert torch.equal(result, expected)
    (op,) = [op for op in graph.ops.values() if op.name == name and op.inputs]
    assert op.tracked
    (value,) = [value for value in graph.values.values() if value.name == "result"]
    assert value.op == op.id
    assert "w" in sources(graph, value.id)
    assert "x" in {graph.values[id].name for id in ancestors(graph, [value.id])}
    assert [graph.values[gradient.value].name for gradient in graph.sweeps[-1].gradients] == ["w"]
    assert len(graph.sweeps) == 1


def test_a_pullback_leads_back_to_the_primals() -> None:
    with gradviz.record() as rec:
        x = torch.randn(3)
        out, pull = func.vjp(torch.sin, x)
        (slope,) = pull(torch.ones(3))
    graph = checked(rec)
    assert ops(graph) == ["vjp", "vjp"]
    assert torch.equal(slope, x.cos())
    assert sources(graph, max(graph.values)) >= {"x"}
    assert torch.equal(out, x.sin())


def test_gradients_of_each_sample() -> None:
    torch.manual_seed(0)

    def loss_of(params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        prediction = func.functional_call(model, params, (x.unsqueeze(0),))
        return ((prediction - y) ** 2).mean()

    with gradviz.record() as rec:
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        inputs, targets = torch.randn(6, 4), torch.randn(6, 1)
        params = {name: parameter.detach() for name, parameter in model.named_parameters()}
        gradients = func.vmap(func.grad(loss_of), in_dims=(None, 0, 0))(params, inputs, targets)
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients.values()]).norm(dim=0)
    graph = checked(rec)
    one_by_one = []
    for x, y in zip(inputs, targets, strict=True):
        model.zero_grad()
        ((model(x.unsqueeze(0)) - y) ** 2).mean().backward()
        one_by_one.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm())
    torch.testing.assert_close(norms, torch.stack(one_by_one))
    (op,) = [op for op in graph.ops.values() if op.name == "vmap"]
    assert len(op.outputs) == 4
    behind = ancestors(graph, [max(graph.values)])
    detached = {op.id for op in graph.ops.values() if op.name == "detach"}
    assert len(detached) == 4
    assert detached <= set(behind)
    assert not graph.sweeps


def test_what_raises_inside_shows_no_frame_of_the_recording() -> None:
    def refuse(x: torch.Tensor) -> torch.Tensor:
        raise ValueError("no")

    with gradviz.record() as rec:
        with pytest.raises(ValueError, match="no") as raised:
            func.vmap(refuse)(torch.ones(2))
        after = torch.ones(1) + 1
    graph = checked(rec)
    assert ops(graph) == ["add"]
    assert after.item() == 2
    assert not any("gradviz/frontends" in str(entry.path) for entry in raised.traceback)


def test_it_is_left_as_it_was() -> None:
    before = (func.jacrev, func.hessian, torch._functorch.apis.vmap_impl)
    with gradviz.record():
        assert func.jacrev is not before[0]
    assert (func.jacrev, func.hessian, torch._functorch.apis.vmap_impl) == before


def test_an_op_of_many_results_keeps_its_name_in_the_picture() -> None:
    with gradviz.record() as rec:
        weights = {f"layers.{index}.weight": torch.ones(2) for index in range(4)}
        slopes = func.grad(lambda held: sum((value**2).sum() for value in held.values()))(weights)
        assert len(slopes) == 4
    titles = [box.title for box in compose(checked(rec), Options()).boxes]
    assert any(title.endswith(" = grad") for title in titles), titles
