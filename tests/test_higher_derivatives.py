"""Gradients that have a graph of their own: second derivatives of every row, and what `create_graph=True` leaves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import op_checks
import pytest
import torch
from alike import assert_alike

import gradviz
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import TABLE, Sample

STEP = 1e-5
UNABLE = (*op_checks.NO_KERNEL, "not implemented", "cannot reshape tensor of 0 elements")
"""What PyTorch says where it has no second derivative."""
WITHOUT: dict[str, str] = {}
"""The rows whose second derivative is not written yet, each with the reason."""
ROWS = [
    row
    for row in TABLE.values()
    if row.samples is not None and row.differentiable and not op_checks.refuses(row) and row.key not in WITHOUT
]
KEYS = [row.key for row in ROWS]


def float64(row: Any) -> list[Sample]:
    return [op_checks.cast(sample, "float64") for sample in row.samples()]


def slopes(library: op_checks.Library, call: str, sample: Sample, *, create_graph: bool) -> tuple[Any, Any, Any, Any]:
    """The tensors of a call, its outputs, the cotangents given, and the first derivatives."""
    grad = torch.autograd.grad if library is op_checks.TORCH else gradviz.autograd.grad
    outcome = op_checks.run(library, call, sample, backward=False)
    assert outcome.error is None, repr(outcome.error)
    tensors = [tensor for tensor in outcome.tensors if tensor.requires_grad]
    outputs = [out for out in op_checks.flat(outcome.result) if library.is_tensor(out) and out.requires_grad]
    if not outputs or not tensors:
        return tensors, outputs, [], []
    cotangents = [library.leaf(grid(*library.array(out).shape) + 0.3, True) for out in outputs]
    first = grad(outputs, tensors, cotangents, create_graph=create_graph, allow_unused=True)
    return tensors, outputs, cotangents, first


def second(library: op_checks.Library, call: str, sample: Sample) -> tuple[Any, Any]:
    """The first derivatives, and the derivatives of their weighted sum for all tensors and all cotangents."""
    grad = torch.autograd.grad if library is op_checks.TORCH else gradviz.autograd.grad
    tensors, _, cotangents, first = slopes(library, call, sample, create_graph=True)
    kept = [one for one in first if one is not None and one.requires_grad]
    if not kept:
        return first, [None] * (len(tensors) + len(cotangents))
    weights = [library.leaf(grid(*one.shape, low=0.4, high=1.1), False) for one in kept]
    first = [_filled(one) for one in first]
    return first, [_filled(one) for one in grad(kept, [*tensors, *cotangents], weights, allow_unused=True)]


def _filled(gradient: Any) -> Any:
    """PyTorch has tensors that only say that they are zero."""
    lazy = isinstance(gradient, torch.Tensor) and gradient._is_zerotensor()
    return torch.zeros(gradient.shape, dtype=gradient.dtype) if lazy else gradient


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("key", KEYS)
def test_torch_has_the_same_second_derivatives(key: str) -> None:
    row = TABLE[key]
    for sample in float64(row):
        theirs = _unless_unable(row.call, sample)
        if theirs is None:
            continue
        ours = second(op_checks.GRADVIZ, row.call, sample)
        for mine, yours in zip([*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True):
            exact = sample.kwargs.get("dtype") is not gradviz.float32
            tolerance = (1e-7, 1e-8) if exact else (1e-5, 1e-6)
            _compare(f"{row.call}{op_checks.describe(sample)}", mine, yours, tolerance, sample.smooth)


def _unless_unable(call: str, sample: Sample) -> Any:
    try:
        return second(op_checks.TORCH, call, sample)
    except (RuntimeError, NotImplementedError) as refused:
        if any(text in str(refused) for text in UNABLE):
            return None
        raise


def _compare(what: str, mine: Any, yours: Any, tolerance: tuple[float, float], smooth: bool) -> None:
    zero = [one is None or not np.any(library.array(one)) for library, one in
            ((op_checks.GRADVIZ, mine), (op_checks.TORCH, yours))]  # fmt: skip
    if None in (mine, yours):  # zeros are as good as nothing: PyTorch itself gives now one, now the other
        assert zero == [True, True], f"{what} gave {mine}, not {yours}"
        return
    if smooth or not np.isnan(op_checks.TORCH.array(yours)).any():  # it gives up at some kinks
        op_checks.check_values(what, mine, yours, tolerance)


@pytest.mark.parametrize("key", KEYS)
def test_second_derivatives_are_central_differences(key: str) -> None:
    row = TABLE[key]
    for sample in float64(row):
        if sample.smooth:
            _check_differences(row, sample)


def _check_differences(row: Any, sample: Sample) -> None:
    tensors, _, _, _ = slopes(op_checks.GRADVIZ, row.call, sample, create_graph=False)
    _, found = second(op_checks.GRADVIZ, row.call, sample)

    def weighted(changed: Sample) -> float:
        _, _, _, first = slopes(op_checks.GRADVIZ, row.call, changed, create_graph=False)
        kept = [one._data for one in first if one is not None]
        return float(sum((grid(*one.shape, low=0.4, high=1.1) * one).sum() for one in kept))

    places = [at for at, array in enumerate(op_checks.arrays_of(sample)) if array.dtype.kind == "f"]
    for position, (at, _) in enumerate(zip(places, tensors, strict=True)):
        array = op_checks.arrays_of(sample)[at]
        slope = np.zeros(array.shape)
        for index in np.ndindex(*array.shape):
            ends = []
            for step in (STEP, -STEP):
                new = np.array(array)
                new[index] += step
                changed = op_checks.change_arrays(sample, lambda n, old, to=at, new=new: new if n == to else old)
                ends.append(weighted(changed))
            slope[index] = (ends[0] - ends[1]) / (2 * STEP)
        got = found[position]
        value = np.zeros(array.shape) if got is None else np.asarray(got._data)
        what = f"the second derivative of {row.call}{op_checks.describe(sample)} for tensor {position}"
        alike = np.allclose(value, slope, rtol=1e-4, atol=1e-5)
        assert alike, f"{what} is\n{value}\nbut central differences give\n{slope}"


# ---- what is left behind


def leaf(library: Any, *values: float) -> Any:
    return library.tensor(list(values) or [1.0, 2.0], requires_grad=True)


def follow(node: Any, depth: int = 2) -> Any:
    if node is None or not depth:
        return None
    return node.name(), [follow(behind, depth - 1) for behind, _ in node.next_functions]


def test_backward_gives_gradients_with_a_graph_and_warns() -> None:
    def program(library: Any) -> Any:
        w = leaf(library)
        (w**3).sum().backward(create_graph=True)
        first = w.grad
        (w**3).sum().backward(create_graph=True)
        return first, follow(first.grad_fn), w.grad, follow(w.grad.grad_fn), w.grad is first

    assert_alike(program)


def test_a_plain_backward_adds_in_place_to_a_gradient_with_a_graph() -> None:
    def program(library: Any) -> Any:
        w = leaf(library)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (w**3).sum().backward(create_graph=True)
        held = w.grad
        (w**2).sum().backward()
        return w.grad, w.grad is held, w.grad._version

    assert_alike(program)


def test_a_gradient_that_is_constant_requires_none() -> None:
    def program(library: Any) -> Any:
        w = leaf(library)
        (slope,) = library.autograd.grad((w * 3).sum(), w, create_graph=True)
        return slope

    assert_alike(program)


def test_hooks_see_tensors_with_a_graph_and_may_replace_them() -> None:
    def program(library: Any) -> Any:
        w = leaf(library)
        seen: list[Any] = []
        h = w * w
        h.retain_grad()
        h.register_hook(lambda g: seen.append((g.requires_grad, library.is_grad_enabled())) or g * w)
        w.register_hook(lambda g: g * 2)
        (slope,) = library.autograd.grad((h * h).sum(), w, create_graph=True)
        (curve,) = library.autograd.grad(slope.sum(), w)
        return seen, slope, curve, h.grad

    assert_alike(program)


def test_three_times_under_no_grad_and_through_a_leaf_made_later() -> None:
    def program(library: Any) -> Any:
        w = leaf(library)
        found = []
        value = (w**5).sum()
        with library.no_grad():
            for _ in range(4):
                (value,) = library.autograd.grad(value, w, library.ones_like(value), create_graph=True)
                found.append(value)
        return found

    assert_alike(program)


def test_the_graph_is_retained_unless_asked_otherwise() -> None:
    def program(library: Any) -> Any:
        w = leaf(library)
        loss = (w.exp() * w).sum()
        library.autograd.grad(loss, w, create_graph=True)
        library.autograd.grad(loss, w, create_graph=True, retain_graph=False)
        return library.autograd.grad(loss, w)

    assert_alike(program)


def test_what_was_saved_is_still_watched_for_writes() -> None:
    def program(library: Any) -> Any:
        w = leaf(library)
        h = w * 1
        (slope,) = library.autograd.grad((h.exp() * h * h).sum(), h, create_graph=True)
        h += 1
        return library.autograd.grad(slope.sum(), w)

    assert_alike(program)


def test_views_and_writes_through_them() -> None:
    def program(library: Any) -> Any:
        w = library.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        v = leaf(library)
        h = w * w
        h[0] = v * v * v
        h.t()[1].mul_(v)
        (slope,) = library.autograd.grad((h**3).sum(), w, create_graph=True)
        loss = (slope * slope).sum()
        return slope, library.autograd.grad(loss, [w, v])

    assert_alike(program)


def test_a_network_and_its_gradient_penalty() -> None:
    def program(library: Any) -> Any:
        function = library.nn.functional
        w1 = library.tensor([[0.3, -0.2], [0.5, 0.1], [-0.4, 0.7]], requires_grad=True)
        b1 = library.tensor([0.1, 0.0, -0.1], requires_grad=True)
        w2 = library.tensor([[0.2, -0.6, 0.9]], requires_grad=True)
        x = library.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
        out = function.linear(function.linear(x, w1, b1).tanh(), w2)
        (slope,) = library.autograd.grad(out.sum(), x, create_graph=True)
        penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
        penalty.backward()
        return out, slope.detach(), penalty, w1.grad, b1.grad, w2.grad, x.grad

    assert_alike(program)


def test_a_row_without_a_second_derivative_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE["exp"]
    for vjp in (lambda g, out: np.asarray(g.detach()) * 1, lambda g, out: np.asarray(out), lambda g, out: g.astype(1)):
        monkeypatch.setitem(row.__dict__, "formulas", ((vjp, ("out",)),))
        w = leaf(gradviz)
        with pytest.raises(gradviz.errors.NotWrittenError, match="second derivative of `exp`"):
            gradviz.autograd.grad(w.exp().sum(), w, create_graph=True)


# ---- how it is told


PENALTY = """
w = torch.tensor([[0.5, -0.2], [0.1, 0.4]], requires_grad=True)
b = torch.zeros(2, requires_grad=True)
x = torch.ones(3, 2, requires_grad=True)
hidden = (x @ w + b).tanh()
(slope,) = torch.autograd.grad(hidden.sum(), x, create_graph=True)
penalty = (slope * slope).sum()
found = torch.autograd.grad(penalty, [w, b, x], allow_unused=True)
"""
TWO = """
x = torch.ones(2, requires_grad=True)
w = torch.tensor([2.0, 3.0], requires_grad=True)
y = (w * x**2).sum()
g, h = torch.autograd.grad(y, [x, w], create_graph=True)
total = g.sum() + h.sum()
"""
CONSTANT = """
x = torch.ones(2, requires_grad=True)
(g,) = torch.autograd.grad((x * 3).sum(), x, create_graph=True)
y = g * x
"""
KEPT = """
x = torch.ones(2, requires_grad=True)
(x**3).sum().backward(create_graph=True)
z = x.grad.sum()
z.backward()
"""


@pytest.mark.parametrize("source", [PENALTY, TWO, CONSTANT, KEPT])
@pytest.mark.filterwarnings("ignore:Using backward")
def test_a_gradient_with_a_graph_is_told_as_pytorchs_front_end_tells_it(source: str) -> None:
    told = []
    for library in (gradviz, torch):
        with gradviz.record() as rec:
            exec(source, {"torch": library})
        graph = rec.graph()
        graph.validate()
        order = {value: number for number, value in enumerate(graph.values)}
        ops = [
            (
                op.name, op.node, sorted(order[one] for one in op.inputs if isinstance(one, int)), op.needs[:1],
                [(graph.values[out].shape, graph.values[out].leaf) for out in op.outputs],
            )
            for op in graph.ops.values()
        ]  # fmt: skip
        sweeps = [
            (sweep.kind, sweep.create_graph, sweep.freed, sorted(order[one.value] for one in sweep.gradients))
            for sweep in graph.sweeps
        ]
        told.append((ops, sweeps, list(graph.regions.values())))
    assert told[0] == told[1]


def test_gradients_are_named_by_what_they_are_assigned_to() -> None:
    with gradviz.record() as rec:
        x, w = leaf(gradviz), leaf(gradviz, 3.0, 4.0)
        g, h = gradviz.autograd.grad((w * x**2).sum(), [x, w], create_graph=True)
        assert (g * h).requires_grad
    graph = rec.graph()
    (op,) = (op for op in graph.ops.values() if op.name == "grad")
    assert [graph.values[value].name for value in op.outputs] == ["g", "h"]


def test_without_a_recording_the_ops_of_the_gradient_are_drawn() -> None:
    w = leaf(gradviz)
    (slope,) = gradviz.autograd.grad((w**3).sum(), w, create_graph=True)
    graph = gradviz.graph(slope)
    graph.validate()
    assert [op.name for op in graph.ops.values() if op.tracked][-1] == "mul"
