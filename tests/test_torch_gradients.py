"""How large a gradient is: exact where it is small, close where it is large, and never silent about zeros."""

from __future__ import annotations

import math

import pytest
import torch

import gradviz
from gradviz.frontends.torch.autograd.gradients import WHOLE, measure


def test_a_small_gradient_is_measured_whole() -> None:
    gradient = torch.randn(WHOLE, generator=torch.Generator().manual_seed(0))
    (found,) = measure([gradient])
    assert found.norm == pytest.approx(math.sqrt(sum(x * x for x in gradient.tolist())), rel=1e-5)
    assert found[1:] == (False, False, False)


@pytest.mark.parametrize("shape", [(WHOLE + 1,), (1000, 777), (3, 100, 1000)])
def test_a_large_one_is_estimated(shape: tuple[int, ...]) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    (found,) = measure([gradient])
    assert found.norm == pytest.approx(float(gradient.norm()), rel=0.02)
    assert found[1:] == (False, False, True)
    assert measure([gradient]) == [found], "the same part each time"


def test_one_element_of_a_large_gradient_is_found() -> None:
    gradient = torch.zeros(WHOLE * 4)
    assert measure([gradient]) == [(0.0, True, False, False)]
    gradient[-1] = 3.0
    assert measure([gradient]) == [(3.0, False, False, False)]


def test_special_values_and_layouts() -> None:
    sparse = torch.sparse_coo_tensor([[0, 0]], [3.0, 4.0], (5,), check_invariants=False)
    found = measure([
        torch.tensor([math.nan, 1.0]), torch.full((WHOLE * 2,), math.nan), torch.tensor(1e-30), torch.empty(0), sparse,
        torch.tensor([3 + 4j]), torch.ones(2, 3, dtype=torch.float16).t(),
    ])  # fmt: skip
    assert [one.nan for one in found] == [True, True, False, False, False, False, False]
    assert [one.zero for one in found] == [False, False, False, True, False, False, False]
    assert [round(one.norm, 3) for one in found[3:]] == [0, 7, 5, 2.449]
    (meta,) = measure([torch.ones(2, device="meta")])
    assert math.isnan(meta.norm)
    assert meta.estimated


def test_a_gradient_of_several_shapes_is_measured_as_a_whole() -> None:
    parts = [torch.ones(2, 3), torch.full((1, 3), 2.0)]
    (found,) = measure([torch.nested.nested_tensor(parts, layout=torch.jagged)])
    assert round(found.norm, 3) == round(math.sqrt(6 + 12), 3)
    assert not found.zero


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning", "ignore:torch.quantize_per_tensor")
def test_a_compressed_gradient_is_measured_and_one_without_a_norm_is_left_out() -> None:
    rows = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    compressed, left_out, whole = measure([rows.to_sparse_csr(), quantized, rows])
    assert (compressed.norm, whole.norm) == (5.0, 5.0)
    assert math.isnan(left_out.norm)
    assert left_out.estimated


def test_a_sweep_for_many_seeds_at_once_is_recorded() -> None:
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        (rows,) = torch.autograd.grad(w * 2, w, torch.eye(2), is_grads_batched=True)
    assert not rec.failures
    assert rows.tolist() == [[2.0, 0.0], [0.0, 2.0]]
    (sweep,) = rec.graph().sweeps
    assert [(gradient.zero, gradient.estimated) for gradient in sweep.gradients] == [(False, True)]


def test_a_norm_that_underflows_is_not_zero() -> None:
    (found,) = measure([torch.full((3,), 1e-30)])
    assert not found.zero
