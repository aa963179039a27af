"""Functions that run several ops and are told of as one: `linear`, as PyTorch's recordings tell of it."""

from __future__ import annotations

import gc
import importlib
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz
from gradviz.core.trace import HISTORY_LIMIT
from gradviz.graphs import Graph, Op

SHAPES = {"vector": (3,), "matrix": (2, 3), "batch": (2, 4, 3), "none": (0, 3)}


def linear_of(graph: Graph) -> Op:
    (op,) = (op for op in graph.ops.values() if op.name == "linear")
    return op


def facts(library: Any, shape: tuple[int, ...], bias: bool, grad: bool) -> Any:
    """What a recording tells of one call of `linear`."""
    with gradviz.record() as rec:
        x = library.ones(*shape, requires_grad=True)
        weight = library.ones(2, 3, requires_grad=True)
        offset = library.ones(2, requires_grad=True) if bias else None
        with library.set_grad_enabled(grad):
            y = library.nn.functional.linear(x, weight, offset)
    graph = rec.graph()
    graph.validate()
    assert rec.failures == []
    op = linear_of(graph)
    assert len([one for one in graph.ops.values() if one.inputs]) == 1
    assert y.shape is not None
    return (
        [graph.values[value].name for value in op.inputs if isinstance(value, int)],
        op.needs,
        op.node,
        op.cause,
        op.alias,
        sorted((kept.shape, kept.nbytes, kept.source) for kept in op.saved),
        [(graph.values[out].shape, graph.values[out].name, graph.values[out].requires_grad) for out in op.outputs],
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_linear_is_one_op_as_in_pytorch(shape: str, bias: bool, grad: bool) -> None:
    assert facts(gradviz, SHAPES[shape], bias, grad) == facts(torch, SHAPES[shape], bias, grad)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("form", ["classes", "weights", "probabilities"])
def test_cross_entropy_is_one_op_as_in_pytorch(form: str, reduction: str) -> None:
    told = []
    for library in (gradviz, torch):
        with gradviz.record() as rec:
            scores = library.ones(4, 3, requires_grad=True)
            target = library.ones(4, 3) / 3 if form == "probabilities" else library.tensor([0, 1, 2, 1])
            weight = library.ones(3) if form == "weights" else None
            loss = library.nn.functional.cross_entropy(scores, target, weight, reduction=reduction)
            loss.sum().backward()
        graph = rec.graph()
        graph.validate()
        (op,) = (op for op in graph.ops.values() if op.name == "cross_entropy")
        given = [graph.values[value].name for value in op.inputs if isinstance(value, int)]
        made = [(graph.values[out].shape, graph.values[out].name) for out in op.outputs]
        told.append((given, op.needs, op.node, made))
        assert len([one for one in graph.ops.values() if "softmax" in one.name]) == 0
    assert told[0] == told[1]


def test_a_picture_without_a_recording_has_one_op_too() -> None:
    weight = gradviz.ones(2, 3, requires_grad=True)
    x = gradviz.ones(4, 3)
    y = gradviz.nn.functional.linear(x, weight)
    with gradviz.no_grad():
        skipped = gradviz.nn.functional.linear(x.exp(), weight)
    for result in (y, skipped):
        graph = gradviz.graph(result)
        given = [graph.values[value] for value in linear_of(graph).inputs if isinstance(value, int)]
        assert [(value.shape, value.leaf) for value in given] == [((4, 3), True), ((2, 3), True)]
        assert given[1].requires_grad
        assert "t" not in [one.name for one in graph.ops.values()]


def test_the_steps_are_there_for_autograd() -> None:
    weight = gradviz.ones(2, 3, requires_grad=True)
    y = gradviz.nn.functional.linear(gradviz.ones(4, 3), weight, gradviz.ones(2, requires_grad=True))
    assert y.grad_fn is not None
    assert [node and node.name() for node, _ in y.grad_fn.next_functions] == [
        "torch::autograd::AccumulateGrad",
        None,
        "TBackward0",
    ]


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3)])
def test_an_error_of_a_step_is_about_the_whole(shape: tuple[int, ...]) -> None:
    with gradviz.record() as rec:
        x = gradviz.ones(*shape) * gradviz.ones(1, requires_grad=True)
        weight = gradviz.ones(2, 3, requires_grad=True)
        offset = gradviz.ones(2, requires_grad=True)
        y = gradviz.nn.functional.linear(x, weight, offset)
        with gradviz.no_grad():
            weight.add_(1.0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    graph = rec.graph()
    graph.validate()
    (sweep,) = graph.sweeps
    assert graph.ops[graph.values[sweep.concerned[0]].op].name == "linear"


def test_a_loop_under_no_grad_keeps_a_bounded_history() -> None:
    weight = gradviz.eye(3)
    x = gradviz.ones(2, 3)
    with gradviz.no_grad():
        for _ in range(2_000):
            x = gradviz.nn.functional.linear(x, weight)
    assert len(gradviz.graph(x).ops) <= 2 * HISTORY_LIMIT
    seen, queue = set(), [x._origin]
    for step in queue:
        links = (*step.links, *(step.whole[0] if step.whole is not None else ()))
        for link in links:
            if hasattr(link, "links") and id(link) not in seen:
                seen.add(id(link))
                queue.append(link)
    assert len(queue) <= 4 * HISTORY_LIMIT


def test_nothing_lives_longer_for_it() -> None:
    gc.collect()
    gc.disable()
    try:
        weight = gradviz.ones(2, 3, requires_grad=True)
        x = gradviz.ones(4, 3) * weight.sum()
        node = weakref.ref(x.grad_fn)  # type: ignore[arg-type]
        y = gradviz.nn.functional.linear(x, weight)
        with gradviz.no_grad():
            z = gradviz.nn.functional.linear(x, weight)
        del x, y
        assert node() is None
        assert z.shape == (4, 2)
    finally:
        gc.enable()


def test_a_recording_with_values_measures_the_whole_only() -> None:
    with gradviz.record(values=True) as rec:
        gradviz.nn.functional.linear(gradviz.ones(4, 3), gradviz.ones(2, 3))
    graph = rec.graph()
    assert set(graph.measures) <= set(graph.values)
    assert rec.failures == []


FOLDED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "batches of matrices": lambda lib, x, y: x @ y.mT,
    "a batch and a matrix": lambda lib, x, y: x @ y[0].T,
    "a vector and a matrix": lambda lib, x, y: x[0, 0] @ y[0].T,
    "einsum": lambda lib, x, y: lib.einsum("bij,bkj->bik", x, y),
    "tensordot": lambda lib, x, y: lib.tensordot(x, y, dims=([2], [2])),
    "kron": lambda lib, x, y: lib.kron(x[0], y[0]),
    "inner": lambda lib, x, y: lib.inner(x, y),
    "outer": lambda lib, x, y: lib.outer(x[0, 0], y[0, 0]),
    "normalize": lambda lib, x, y: lib.nn.functional.normalize(x, dim=-1),
    "cosine_similarity": lambda lib, x, y: lib.nn.functional.cosine_similarity(x, y, dim=-1),
    "block_diag": lambda lib, x, y: lib.block_diag(x[0], y[0]),
    "repeat_interleave": lambda lib, x, y: x.repeat_interleave(2, 0),
    "multi_dot": lambda lib, x, y: lib.linalg.multi_dot([x[0], y[0].T, x[0]]),
    "a number by a tensor": lambda lib, x, y: 2 / x,
    "a reshape that copies": lambda lib, x, y: x.mT.reshape(-1),
    "triplet_margin_loss": lambda lib, x, y: lib.nn.functional.triplet_margin_loss(x, y, x + 1),
    "kl_div": lambda lib, x, y: lib.nn.functional.kl_div(x, y, reduction="batchmean"),
}


OTHER_STEPS = ("block_diag", "repeat_interleave", "multi_dot")
"""Those that PyTorch computes by other steps, so that the last one is another node."""


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("grad", [True, False])
def test_functions_of_several_steps_are_one_op_as_in_pytorch(name: str, grad: bool) -> None:
    told = []
    for library in (gradviz, torch):
        with gradviz.record() as rec:
            x = library.linspace(0.1, 1, 12, requires_grad=True).view(2, 2, 3)
            y = library.linspace(0.2, 1, 12).view(2, 2, 3)
            with library.set_grad_enabled(grad):
                made = FOLDED[name](library, x, y)
            if grad:
                made.sum().backward()
        graph = rec.graph()
        graph.validate()
        assert rec.failures == []
        views = ("select", "transpose", "mT", "t", "T", "permute", "numpy_T", "view", "slice", "getitem")
        ops = [op for op in graph.ops.values() if op.inputs and op.name not in views]
        told.append([(op.name, len(op.inputs), op.cause, op.alias) for op in ops])
        if name not in OTHER_STEPS:
            told[-1] += [op.node for op in ops]
    assert told[0] == told[1]


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
@pytest.mark.parametrize("grad", [True, False])
def test_a_reentrant_checkpoint_is_one_op_with_its_weights_as_in_pytorch(grad: bool) -> None:
    told = []
    for library in (gradviz, torch):
        layer = library.nn.Linear(3, 3)
        scale = library.ones(3, requires_grad=True)
        with gradviz.record() as rec, library.set_grad_enabled(grad):
            x = library.ones(2, 3, requires_grad=True)
            y = importlib.import_module(f"{library.__name__}.utils.checkpoint").checkpoint(
                lambda one, layer=layer, scale=scale: layer(one).relu() * scale, x * 2, use_reentrant=True
            )
            if grad:
                y.sum().backward()
        graph = rec.graph()
        graph.validate()
        assert rec.failures == []
        (op,) = (op for op in graph.ops.values() if op.name == "checkpoint")
        shapes = sorted(graph.values[value].shape for value in op.inputs if isinstance(value, int))
        told.append((shapes, len(op.inputs), sorted(op.needs), op.node, op.cause))
        told.append([cut.cause for cut in graph.cuts])  # type: ignore[arg-type]
    assert told[:2] == told[2:]


def test_modules_inside_of_a_custom_function_are_not_told_of() -> None:
    told = []
    for library in (gradviz, torch):
        layer = library.nn.Linear(3, 3)

        class Layered(library.autograd.Function):  # type: ignore[name-defined, misc]
            @staticmethod
            def forward(ctx: Any, x: Any, layer: Any = layer) -> Any:
                return layer(x) * 2

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g

        with gradviz.record() as rec:
            x = library.ones(2, 3, requires_grad=True)
            Layered.apply(x).sum().backward()
        told.append([op.name for op in rec.graph().ops.values() if op.inputs])
    assert told[0] == told[1] == ["Layered", "sum"]


def test_hooks_may_compute_with_what_a_step_saved() -> None:
    told = []
    for library in (gradviz, torch):
        library.manual_seed(0)
        layer = library.nn.Linear(3, 2)
        with gradviz.record() as rec, library.autograd.graph.saved_tensors_hooks(lambda one: one.detach() * 1, _same):
            y = layer(library.ones(2, 3)) @ library.ones(2, 2, requires_grad=True)
            y.sum().backward()
        graph = rec.graph()
        graph.validate()
        assert rec.failures == []
        told.append(layer.weight.grad.tolist())
    assert np.allclose(told[0], told[1])


def _same(kept: Any) -> Any:
    return kept
