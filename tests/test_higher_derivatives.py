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
from gradviz.core.ops.pairs import NOT_IMPLEMENTED
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import TABLE, Sample

STEP = 1e-5
WITHOUT: dict[str, str] = {}
"""The rows whose second derivative is not written yet, each with the reason."""
ROWS = [
    row
    for row in TABLE.values()
    if row.samples is not None and row.differentiable and row.node_name != NOT_IMPLEMENTED and row.key not in WITHOUT
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
    weights = [library.leaf(grid(*library.array(one).shape, low=0.4, high=1.1), False) for one in kept]
    return first, grad(kept, [*tensors, *cotangents], weights, allow_unused=True)


@pytest.mark.parametrize("key", KEYS)
def test_torch_has_the_same_second_derivatives(key: str) -> None:
    row = TABLE[key]
    for sample in float64(row):
        try:
            theirs = second(op_checks.TORCH, row.call, sample)
        except (RuntimeError, NotImplementedError) as refused:
            assert "not implemented" in str(refused), refused
            continue
        ours = second(op_checks.GRADVIZ, row.call, sample)
        for mine, yours in zip([*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True):
            _compare(f"{row.call}{op_checks.describe(sample)}", mine, yours)


def _compare(what: str, mine: Any, yours: Any) -> None:
    zero = [one is None or not np.any(library.array(one)) for library, one in
            ((op_checks.GRADVIZ, mine), (op_checks.TORCH, yours))]  # fmt: skip
    if None in (mine, yours):  # zeros are as good as nothing: PyTorch itself gives now one, now the other
        assert zero == [True, True], f"{what} gave {mine}, not {yours}"
    else:
        op_checks.check_values(what, mine, yours, (1e-9, 1e-10))


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
                moved = np.array(array)
                moved[index] += step
                ends.append(weighted(op_checks.change_arrays(sample, lambda n, old, to=at, new=moved: new if n == to else old)))
            slope[index] = (ends[0] - ends[1]) / (2 * STEP)
        got = found[position]
        value = np.zeros(array.shape) if got is None else np.asarray(got._data)
        what = f"the second derivative of {row.call}{op_checks.describe(sample)} for tensor {position}"
        assert np.allclose(value, slope, rtol=1e-4, atol=1e-5), f"{what} is\n{value}\nbut central differences give\n{slope}"
