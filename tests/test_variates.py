"""Numbers that are drawn by trying again: PyTorch's to the bit; and the slopes of draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gradviz as gv
from gradviz.core.public import FUNCTIONS
from gradviz.core.variates import dirichlet_slope, gamma_slope

SHAPES = [0.1, 0.3, 0.9, 1.0, 2.0, 5.0, 30.0, 0.5, 0.7, 1e-3]
RATES = [0.1, 0.9, 1.0, 5.0, 9.99, 10.0, 30.0, 100.0, 1000.0, 0.0]
COUNTS, CHANCES = [1, 5, 10, 100, 1000, 50, 7, 0, 40], [0.1, 0.9, 0.5, 0.3, 0.7, 0.05, 0.0, 1.0, 1.0]


def draws(library: Any, dtype: Any) -> list[Any]:
    library.manual_seed(7)
    functions = FUNCTIONS if library is gv else vars(torch)
    shapes = library.tensor(SHAPES * 20, dtype=dtype)
    return [
        functions["_standard_gamma"](shapes),
        functions["_sample_dirichlet"](shapes.view(50, 4)),
        library.poisson(library.tensor(RATES * 20, dtype=dtype)),
        library.binomial(library.tensor(COUNTS * 20, dtype=dtype), library.tensor(CHANCES * 20, dtype=dtype)),
        library.empty(30, dtype=dtype).geometric_(0.2),
        library.empty(3, dtype=dtype).normal_(),
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_draws_are_pytorchs_to_the_bit(dtype: str) -> None:
    ours, theirs = (draws(library, getattr(library, dtype)) for library in (gv, torch))
    for one, other in zip(ours, theirs, strict=True):
        assert one.numpy().dtype == other.numpy().dtype
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_draws_by_functions_of_the_c_library() -> None:
    for name, options in (("cauchy_", (1.0, 2.0)), ("log_normal_", (0.2, 0.4)), ("cauchy_", ())):
        found = []
        for library in (gv, torch):
            library.manual_seed(3)
            found.append(getattr(library.empty(100, dtype=library.float64), name)(*options).numpy())
        np.testing.assert_allclose(*found, rtol=1e-13)


WRONG: dict[str, Any] = {
    "a rate below zero": lambda lib: lib.poisson(lib.tensor([-1.0])),
    "a rate that is none": lambda lib: lib.poisson(lib.tensor(float("nan"))),
    "a whole rate": lambda lib: lib.poisson(lib.tensor([1])),
    "a number": lambda lib: lib.poisson(3.0),
    "whole counts": lambda lib: lib.binomial(lib.tensor([1]), lib.tensor([0.5])),
    "two dtypes": lambda lib: lib.binomial(lib.ones(1).double(), lib.tensor([0.5])),
    "a sure success": lambda lib: lib.empty(2).geometric_(1.0),
    "no width": lambda lib: lib.empty(2).cauchy_(0, -1),
    "whole numbers": lambda lib: lib.empty(2, dtype=lib.int64).cauchy_(),
    "no deviation": lambda lib: lib.empty(2).log_normal_(0, -1),
    "whole numbers again": lambda lib: lib.empty(2, dtype=lib.int64).log_normal_(),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_drawn(name: str) -> None:
    told = []
    for library in (gv, torch):
        with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
            WRONG[name](library)
        told.append((caught.type.__name__, str(caught.value)))
    assert told[0] == told[1]


def test_an_unknown_chance_gives_an_unknown_count() -> None:
    assert np.isnan(gv.binomial(gv.tensor([3.0]), gv.tensor([float("nan")])).numpy()).all()


def test_nodes_and_slopes_of_draws() -> None:
    def program(library: Any) -> list[Any]:
        rate = library.tensor([1.0, 3.0], requires_grad=True)
        drawn = library.poisson(rate)
        (slope,) = library.autograd.grad(drawn.sum(), rate)
        found = [drawn.grad_fn.name(), slope.tolist()]
        for name, options in (("cauchy_", ()), ("geometric_", (0.5,)), ("log_normal_", ())):
            written = getattr(rate * 1, name)(*options)
            found += [written.grad_fn.name(), library.autograd.grad(written.sum(), rate)[0].tolist()]
        tries = library.binomial(rate, rate / 4)
        try:
            tries.sum().backward()
        except RuntimeError as error:
            found.append(str(error))
        return found

    assert program(gv) == program(torch)


def chances(name: str, *arguments: Any) -> Any:
    return getattr(torch.special, name)(*(torch.tensor(one, dtype=torch.float64) for one in arguments)).numpy()


def test_the_slope_of_a_gamma_variable_is_that_of_its_function() -> None:
    shapes = np.array([0.05, 0.3, 1.0, 2.0, 10.0, 3.0, 0.5, 20.0, 15.0])
    for factor in (0.3, 1.0, 1.7, 8.0):
        x = shapes * factor
        step = 1e-5 * shapes
        moved = (chances("gammainc", shapes + step, x) - chances("gammainc", shapes - step, x)) / (2 * step)
        density = np.exp((shapes - 1) * np.log(x) - x - torch.lgamma(torch.tensor(shapes)).numpy())
        known = density > 1e-4  # where differences still have digits
        np.testing.assert_allclose(gamma_slope(shapes, x)[known], (-moved / density)[known], rtol=1e-4)


def test_slopes_where_pytorch_computes_them_by_approximations() -> None:
    generator = np.random.default_rng(0)
    shapes = np.array([0.05, 0.3, 1.0, 2.0, 10.0, 100.0, 1000.0, 3.0])
    others = np.array([0.5, 0.3, 1.0, 20.0, 10.0, 1.0, 1000.0, 3.0])
    x = generator.gamma(shapes)
    theirs = torch._standard_gamma_grad(torch.tensor(shapes), torch.tensor(x)).numpy()
    np.testing.assert_allclose(gamma_slope(shapes, x), theirs, rtol=1e-3)
    for share in (generator.beta(shapes, others), np.full(8, 0.3), np.full(8, 0.8)):
        given = [torch.tensor(one) for one in (share, shapes, shapes + others)]
        mine = dirichlet_slope(share, shapes, shapes + others)
        np.testing.assert_allclose(mine, torch._dirichlet_grad(*given).numpy(), rtol=3e-2, atol=1e-9)
    # For a second shape of 1 the function is a power: x = u ** (1 / a), so that it grows by -x * log(x) / a.
    x = np.linspace(0.05, 0.95, 7)
    np.testing.assert_allclose(dirichlet_slope(x, 2.5, 3.5), -x * np.log(x) / 2.5 / (1 - x), rtol=1e-12)


def test_slopes_have_no_slopes() -> None:
    shape = gv.tensor([1.0, 2.0], requires_grad=True)
    for name in ("_standard_gamma", "_sample_dirichlet"):
        (slope,) = gv.autograd.grad(FUNCTIONS[name](shape)[0], shape, create_graph=True)
        with pytest.raises(RuntimeError, match=r"is not implemented|differentiate twice"):
            slope.sum().backward()
