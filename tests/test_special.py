"""The gamma function's family, the error function's and `scatter_reduce` where the rows' own samples do not reach."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import op_checks
import pytest
import torch
from op_checks import GRADVIZ, TORCH

import gradviz as gv
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.table import sample

WIDE = np.concatenate([np.linspace(-7.3, 7.3, 400), [0.0, -0.0, np.inf, -np.inf, np.nan, 27.0, -1e-30, 1e300]])


@pytest.mark.parametrize("name", ["erf", "erfc", "lgamma"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 5e-6), ("float16", 2e-3)])
def test_functions_have_the_c_librarys_digits(name: str, dtype: str, tolerance: float) -> None:
    with np.errstate(all="ignore"):
        given = WIDE.astype(dtype)
    ours, theirs = getattr(gv, name)(gv.tensor(given)).numpy(), getattr(torch, name)(torch.tensor(given)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance / 5)


def test_the_tail_of_the_error_function_keeps_its_digits() -> None:
    x = np.array([5.0, 10.0, 20.0, 26.0])
    theirs = torch.erfc(torch.tensor(x)).numpy()
    assert (theirs > 0).all()
    np.testing.assert_allclose(gv.erfc(gv.tensor(x)).numpy(), theirs, rtol=1e-14)


def test_erfinv_inverts_to_the_ends() -> None:
    y = np.array([0.0, -0.0, 1e-300, 1e-9, -0.3, 0.5, 0.999, 1 - 1e-16, -1.0, 1.0, 1.5])
    np.testing.assert_allclose(gv.erfinv(gv.tensor(y)).numpy(), torch.erfinv(torch.tensor(y)).numpy(), rtol=1e-14)


@pytest.mark.parametrize("order", range(4))
def test_derivatives_of_the_gamma_function_everywhere(order: int) -> None:
    x = np.concatenate([np.linspace(0.05, 30, 60), [1e5]])
    x = np.concatenate([x, -np.linspace(0.05, 5.9, 30)]) if order < 2 else x
    ours = gv.polygamma(order, gv.tensor(x)).numpy()
    np.testing.assert_allclose(ours, torch.polygamma(order, torch.tensor(x)).numpy(), rtol=1e-8)
    step = x + 1
    jump = (-1.0) ** order * np.prod(np.arange(1, order + 1)) / x ** (order + 1)  # a recurrence that holds to rounding
    np.testing.assert_allclose(gv.polygamma(order, gv.tensor(step)).numpy() - ours, jump, rtol=1e-9, atol=1e-11)


def test_digamma_at_its_poles_and_beyond() -> None:
    x = np.array([0.0, -0.0, -1.0, -7.0, np.inf, np.nan])
    np.testing.assert_array_equal(gv.digamma(gv.tensor(x)).numpy(), torch.digamma(torch.tensor(x)).numpy())


@pytest.mark.parametrize(
    "name", ["log_ndtr", "ndtr", "entr", "i0", "i0e", "i1", "i1e", "expit", "gammaln", "psi", "erfc", "erfcx"]
)
def test_special_functions_far_out(name: str) -> None:
    x = np.concatenate([np.linspace(-12, 12, 49), [-40.0, 0.0]])
    if name in ("gammaln", "psi"):
        x = x[x > 0]
    ours, theirs = getattr(gv.special, name)(gv.tensor(x)), getattr(torch.special, name)(torch.tensor(x))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1])
def test_bessel_functions_of_the_first_kind(order: int) -> None:
    x = np.concatenate([np.linspace(-90, 90, 401), [59.99, 60.01, 0.0, 1e5]])
    ours, next_ = (getattr(gv.special, f"bessel_j{one}")(gv.tensor(x)).numpy() for one in (order, 1 - order))
    theirs = getattr(torch.special, f"bessel_j{order}")(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)  # PyTorch's are 4e-7 off around 5
    # What each changes by is the other one; a relation that holds to rounding.
    step = 1e-5
    moved = [getattr(gv.special, f"bessel_j{order}")(gv.tensor(x + way)).numpy() for way in (step, -step)]
    with np.errstate(all="ignore"):
        slope = next_ - np.where(x == 0, 0.5, ours / x) if order else -next_
    near = np.abs(x) < 1000
    np.testing.assert_allclose(((moved[0] - moved[1]) / (2 * step))[near], slope[near], atol=1e-9)
    assert gv.special.bessel_j0(gv.ones(2, requires_grad=True)).requires_grad is False


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_parts_of_the_gamma_function(name: str, dtype: str) -> None:
    shapes = np.array([0.0, 1e-3, 0.3, 1.0, 2.5, 30.0, 400.0, np.inf, -1.0], dtype)[:, None]
    places = np.array([0.0, 1e-4, 0.2, 1.0, 2.6, 29.0, 33.0, 420.0, np.inf, -1.0], dtype)
    found = []
    for library in (gv, torch):
        x = library.tensor(places, requires_grad=True)
        result = getattr(library.special, name)(library.tensor(shapes), x)
        finite = result[1:7, 1:8]
        (slope,) = library.autograd.grad(finite.sum(), x)
        found.append((result.detach().numpy(), slope.numpy(), result.grad_fn.name()))
    # PyTorch's are off by as much where both are large.
    relative = {"float64": 3e-9, "float32": 3e-5, "float16": 5e-3}[dtype]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=relative, atol=relative / 10)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=relative, atol=relative)
    assert found[0][2] == found[1][2]


def test_hurwitzs_zeta_function() -> None:
    powers = np.array([1.0, 1.5, 2.0, 3.0, 0.5, 7.0])[:, None]
    starts = np.array([0.3, 1.0, 4.5, 20.0, 0.0, -1.0, -1.5, -2.25])
    found = []
    for library in (gv, torch):
        q = library.tensor(starts, requires_grad=True)
        result = library.special.zeta(library.tensor(powers), q)
        (slope,) = library.autograd.grad(result[1:4, :4].sum(), q)
        found.append((result.detach().numpy(), slope.numpy(), library.special.zeta(2.0, library.ones(2)).numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)


@pytest.mark.parametrize("name", ["igamma", "igammac", "special.zeta"])
def test_derivatives_that_pytorch_refuses_are_refused(name: str) -> None:
    told = []
    for library in (gv, torch):
        x, y = (library.tensor([value], requires_grad=True) for value in (2.5, 1.5))
        call = library.special.zeta if "." in name else getattr(library, name)
        (slope,) = library.autograd.grad(call(x.detach(), y).sum(), y, create_graph=True)
        (again,) = library.autograd.grad(slope.sum(), y)
        parts = [slope.detach().numpy(), again.numpy()]
        with pytest.raises(RuntimeError, match="is not implemented") as caught:
            library.autograd.grad(call(x, y).sum(), x)
        told.append((str(caught.value), np.concatenate(parts)))
    assert told[0][0] == told[1][0]
    np.testing.assert_allclose(told[0][1], told[1][1], rtol=1e-5)


def test_special_functions_that_invert_and_that_are_missing() -> None:
    p = np.array([0.0, 0.001, 0.3, 0.5, 0.99, 1.0])
    np.testing.assert_allclose(
        gv.special.ndtri(gv.tensor(p)).numpy(), torch.special.ndtri(torch.tensor(p)).numpy(), rtol=1e-12, atol=1e-14
    )
    with pytest.raises(AttributeError, match="no attribute 'airy_ai'"):
        gv.special.airy_ai  # noqa: B018 - the look-up raises


def test_mvlgamma() -> None:
    call = sample(np.array([2.5, 3.1, 8.0]), 3)
    ours, theirs = (op_checks.run(library, "mvlgamma", call) for library in (GRADVIZ, TORCH))
    op_checks.check_values("mvlgamma", ours.result, theirs.result, (1e-12, 1e-12))
    op_checks.check_values("its slope", ours.gradients[0], theirs.gradients[0], (1e-10, 1e-12))


def test_distances_of_many_vectors_are_a_product_of_matrices() -> None:
    far = np.concatenate([grid(26, 3), grid(1, 3)])
    outcome = op_checks.check_against_torch("cdist", sample(far, grid(4, 3) + 0.1))
    assert outcome is not None
    tensors = tuple(gv.tensor(array, requires_grad=True) for array in (grid(26, 2), grid(2, 2) + 3))
    assert gv.autograd.gradcheck(gv.cdist, tensors)
    assert gv.autograd.gradgradcheck(gv.cdist, tensors)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, np.inf])
def test_distances_within_a_set(p: float) -> None:
    x = np.random.default_rng(5).normal(size=(4, 3))
    assert op_checks.check_against_torch("nn.functional.pdist", sample(x, p)) is not None
    if p:
        tensor = gv.tensor(x, requires_grad=True)
        assert gv.autograd.gradcheck(lambda x: gv.pdist(x, p), tensor)
        assert gv.autograd.gradgradcheck(lambda x: gv.pdist(x, p), tensor)


def test_sums_of_large_exponentials() -> None:
    x = np.array([[-np.inf, -np.inf, 700.0, 900.0, -900.0, 0.0], [1000.0, -1000.0, np.inf, 1.0, 2.0, 3.0]])
    assert op_checks.check_against_torch("logcumsumexp", sample(x[:1, 2:], 1)) is not None
    with np.errstate(all="ignore"):
        ours = gv.logcumsumexp(gv.tensor(x), 1).numpy()
    np.testing.assert_allclose(ours, torch.logcumsumexp(torch.tensor(x), 1).numpy())


# ---- elements combined at one place


@pytest.mark.parametrize(
    ("reduce", "own", "zeros"), [*itertools.product(["prod", "amax", "amin"], [True, False], [0, 1, 2])]
)
def test_scatter_reduce_where_only_whole_indices_agree(reduce: str, own: bool, zeros: int) -> None:
    # PyTorch broadcasts the cotangent of an index that is smaller than its source; these cover the source.
    src = grid(4, 2) + 0.2
    src.reshape(-1)[: zeros * 3 : 3] = 0
    call = sample(grid(3, 2), 0, integers(4, 2, high=3), src, reduce, include_self=own)
    outcome = op_checks.check_against_torch("scatter_reduce", call)
    assert outcome is not None
    if not zeros:
        index = gv.tensor(integers(4, 2, high=3))
        tensors = tuple(gv.tensor(array, requires_grad=True) for array in (grid(3, 2), src))

        def run(x: Any, y: Any) -> Any:
            return x.scatter_reduce(0, index, y, reduce, include_self=own)

        assert gv.autograd.gradcheck(run, tensors)
        assert gv.autograd.gradgradcheck(run, tensors)


def test_equal_extremes_share_their_gradient() -> None:
    call = sample(np.ones(2), 0, np.array([0, 0, 1]), np.array([1.0, 1.0, 0.5]), "amax")
    outcome = op_checks.check_against_torch("scatter_reduce", call)
    assert outcome is not None
