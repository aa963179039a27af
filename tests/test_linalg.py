"""Matrices taken apart have PyTorch's values, up to the signs that are free, and PyTorch's gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz as gv
from gradviz.core.ops.samples import grid
from gradviz.errors import NotWrittenError


def anything(*shape: int) -> Any:
    """Matrices of full rank, which those of evenly spaced numbers are not."""
    return np.random.default_rng(7).normal(size=shape)


def definite(*shape: int) -> Any:
    root = anything(*shape)
    return root @ np.swapaxes(root, -1, -2) + np.eye(shape[-1])


def symmetric(library: Any, x: Any) -> Any:
    return (x + x.mT) / 2


CASES: list[tuple[str, Any, Callable[[Any, Any], Any]]] = [
    ("cholesky", definite(3, 3), lambda lib, x: lib.linalg.cholesky(symmetric(lib, x))),
    ("cholesky of a lower triangle", definite(3, 3), lambda lib, x: lib.linalg.cholesky(x)),
    ("cholesky upper", definite(2, 3, 3), lambda lib, x: lib.linalg.cholesky(x, upper=True)),
    ("qr R", grid(3, 2), lambda lib, x: lib.linalg.qr(x)[1] ** 2),
    ("qr Q", anything(4, 3), lambda lib, x: lib.linalg.qr(x).Q ** 2),
    ("qr both", anything(2, 3, 3), lambda lib, x: lib.linalg.qr(x)[0] ** 2 + lib.linalg.qr(x)[1] ** 2),
    ("svd S", grid(3, 2), lambda lib, x: lib.linalg.svd(x)[1]),
    ("svd U", grid(3, 2), lambda lib, x: lib.linalg.svd(x, False).U ** 2),
    ("svd V", grid(2, 2, 3), lambda lib, x: lib.linalg.svd(x, full_matrices=False).Vh ** 2),
    ("torch.svd", grid(3, 2), lambda lib, x: lib.svd(x).V ** 2),
    ("torch.svd without vectors", grid(3, 2), lambda lib, x: x.svd(compute_uv=False)[1]),
    ("svdvals", grid(2, 3), lambda lib, x: lib.linalg.svdvals(x)),
    ("eigh values", definite(3, 3), lambda lib, x: lib.linalg.eigh(symmetric(lib, x))[0]),
    ("eigh vectors", definite(2, 3, 3), lambda lib, x: lib.linalg.eigh(symmetric(lib, x)).eigenvectors ** 2),
    ("eigh of one triangle", definite(3, 3), lambda lib, x: lib.linalg.eigh(x, "U")[1] ** 2),
    ("eigvalsh", definite(3, 3), lambda lib, x: lib.linalg.eigvalsh(x)),
    ("logdet", definite(2, 3, 3), lambda lib, x: lib.logdet(x)),
    ("logdet of a negative one", -np.eye(3), lambda lib, x: lib.logdet(x)),
    ("matrix_power", grid(3, 3), lambda lib, x: lib.linalg.matrix_power(x, 5)),
    ("negative matrix_power", definite(3, 3), lambda lib, x: lib.linalg.matrix_power(x, -2)),
    ("zeroth matrix_power", grid(3, 3), lambda lib, x: lib.linalg.matrix_power(x, 0) * x),
    ("inverse", definite(3, 3), lambda lib, x: x.inverse()),
    ("solve from the right", definite(3, 3), lambda lib, x: lib.linalg.solve(x, x[:2], left=False)),
    ("matrix_exp", grid(3, 3), lambda lib, x: lib.linalg.matrix_exp(x)),
    ("matrix_exp of large ones", grid(2, 2, 2) * 6, lambda lib, x: lib.matrix_exp(x)),
    ("lu of each", definite(2, 3, 3), lambda lib, x: lib.linalg.lu(x).L ** 2 + lib.linalg.lu(x)[2] ** 2),
    ("lu pivots", anything(4, 3), lambda lib, x: lib.linalg.lu(x)[0] @ x),
    ("lu of wide ones", anything(2, 2, 4), lambda lib, x: lib.linalg.lu(x).L.sum() + lib.linalg.lu(x).U ** 2),
    ("lu of high ones", anything(2, 4, 2), lambda lib, x: lib.linalg.lu(x).U.sum() + lib.linalg.lu(x).L ** 2),
    ("lu, L of wide ones", anything(2, 4), lambda lib, x: lib.linalg.lu(x).L ** 2),
    ("lu_factor", anything(2, 3, 3), lambda lib, x: lib.linalg.lu_factor(x).LU ** 2),
    ("lu_factor of high ones", anything(4, 2), lambda lib, x: lib.linalg.lu_factor(x)[0] ** 2),
    ("lu_factor pivots", anything(4, 4), lambda lib, x: x[0] * lib.linalg.lu_factor(x).pivots),
    ("lu_factor_ex", np.zeros((2, 2)), lambda lib, x: x * lib.linalg.lu_factor_ex(x.detach()).info),
    ("lu_unpack", anything(2, 2, 4), lambda lib, x: lib.lu_unpack(*lib.linalg.lu_factor(x)).U ** 2),
    ("lu_unpack L", anything(4, 2), lambda lib, x: lib.lu_unpack(*lib.linalg.lu_factor(x)).L ** 2),
    *(
        (
            f"lu_solve left={left} adjoint={adjoint}",
            anything(2, 3, 3),
            lambda lib, x, left=left, adjoint=adjoint: lib.linalg.lu_solve(
                *lib.linalg.lu_factor(x), x.exp(), left=left, adjoint=adjoint
            ),
        )
        for left in (True, False)
        for adjoint in (True, False)
    ),
    *(
        (
            f"cholesky_solve upper={upper}",
            definite(2, 3, 3),
            lambda lib, x, upper=upper: lib.cholesky_solve(
                x[..., :2].sin(), x.triu() if upper else x.tril(), upper=upper
            ),
        )
        for upper in (True, False)
    ),
    ("cholesky_inverse", definite(3, 3), lambda lib, x: lib.cholesky_inverse(x.tril()) ** 2),
    ("cholesky_inverse upper", definite(2, 3, 3), lambda lib, x: x.triu().cholesky_inverse(upper=True) ** 2),
    ("pinv of low rank", np.outer([1.0, 2.0, 3.0], [1.0, -1.0]), lambda lib, x: lib.linalg.pinv(x.detach()) @ x),
    ("pinverse", anything(3, 2), lambda lib, x: x.pinverse()),
    ("lstsq", anything(4, 2), lambda lib, x: lib.linalg.lstsq(x, x.detach()[:, :1] * 2 + 1).solution),
    ("lstsq with distances", anything(4, 2), lambda lib, x: lib.linalg.lstsq(x, x[:, :1].exp(), driver="gelsd")[1]),
    ("vector_norm", grid(3, 4), lambda lib, x: lib.linalg.vector_norm(x, 3, 1)),
    *(
        (f"matrix_norm {order}", grid(2, 3, 4) ** 3, lambda lib, x, order=order: lib.linalg.matrix_norm(x, order))
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    ),
    *(
        (
            f"matrix_norm {order} over others",
            grid(4, 2, 3) ** 3,
            lambda lib, x, order=order: lib.linalg.matrix_norm(x, order, dim=(2, 0), keepdim=True),
        )
        for order in ("nuc", 1, np.inf)
    ),
    ("norm", grid(2, 3, 2), lambda lib, x: lib.linalg.norm(x)),
    ("norm of a vector", grid(5), lambda lib, x: lib.linalg.norm(x, 1)),
    ("norm of a matrix", grid(3, 2), lambda lib, x: lib.linalg.norm(x, 1)),
    ("norm along", grid(3, 2), lambda lib, x: lib.linalg.norm(x, dim=1, keepdim=True)),
    ("cond", definite(2, 3, 3), lambda lib, x: lib.linalg.cond(x)),
    ("cond by sums", definite(3, 3), lambda lib, x: lib.linalg.cond(x.detach(), 1) * x),
    ("matrix_rank", np.outer([1.0, 2.0, 3.0], [1.0, -1.0]), lambda lib, x: lib.linalg.matrix_rank(x) * x),
    ("vecdot", grid(3, 2), lambda lib, x: lib.linalg.vecdot(x, x[0])),
    ("cross", grid(2, 3), lambda lib, x: lib.linalg.cross(x, x[:1].exp())),
    ("diagonal", grid(2, 3, 3), lambda lib, x: lib.linalg.diagonal(x, offset=1)),
    ("matmul", grid(3, 3), lambda lib, x: lib.linalg.matmul(x, x)),
    ("inv_ex", definite(2, 3, 3), lambda lib, x: lib.linalg.inv_ex(x).inverse),
    ("solve_ex", definite(3, 3), lambda lib, x: lib.linalg.solve_ex(x, x.detach()[0]).result),
    ("cholesky_ex", definite(3, 3), lambda lib, x: lib.linalg.cholesky_ex(symmetric(lib, x)).L),
    ("vander", grid(3), lambda lib, x: lib.linalg.vander(x, N=4)),
    ("tensorinv", anything(4, 2, 2), lambda lib, x: lib.linalg.tensorinv(x, ind=1)),
    ("tensorsolve", anything(2, 3, 6), lambda lib, x: lib.linalg.tensorsolve(x, x[..., 0])),
    ("multi_dot", grid(3, 3), lambda lib, x: lib.linalg.multi_dot([x, x, x[0]])),
]


@pytest.mark.parametrize("position", range(len(CASES)), ids=[case[0] for case in CASES])
def test_same_as_torch(position: int) -> None:
    _, array, call = CASES[position]
    x = gv.tensor(array, requires_grad=True)
    t = torch.tensor(array, requires_grad=True)
    ours, theirs = call(gv, x), call(torch, t)
    assert np.allclose(ours.detach().numpy(), theirs.detach().numpy(), equal_nan=True)
    weights = grid(*theirs.shape)
    (ours * gv.tensor(weights)).sum().backward()
    (theirs * torch.tensor(weights)).sum().backward()
    assert np.allclose(x.grad.numpy(), t.grad.numpy(), equal_nan=True)
    assert x.grad_fn is None


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("cholesky", "LinalgCholeskyExBackward0"),
        ("qr", "LinalgQrBackward0"),
        ("svd", "LinalgSvdBackward0"),
        ("eigh", "LinalgEighBackward0"),
        ("matrix_exp", "LinalgMatrixExpBackward0"),
        ("lu_factor", "LinalgLuFactorExBackward0"),
        ("lu_factor_ex", "LinalgLuFactorExBackward0"),
    ],
)
def test_the_nodes_are_torchs(name: str, row: str) -> None:
    for library in (gv, torch):
        x = library.tensor(definite(2, 2).tolist(), requires_grad=True)
        result = getattr(library.linalg, name)(x)
        first = result[0] if isinstance(result, tuple) else result
        assert first.grad_fn.name() == row


def test_what_has_no_answer_raises() -> None:
    for library in (gv, torch):
        for name in ("inv", "cholesky"):
            with pytest.raises(RuntimeError, match=r"could not be completed|singular"):
                getattr(library.linalg, name)(library.zeros(2, 2))
        for name in ("inv", "det", "solve"):
            arguments = (library.zeros(2, 3), library.zeros(2))[: 2 if name == "solve" else 1]
            with pytest.raises(RuntimeError, match="but they are 2 by 3 matrices"):
                getattr(library.linalg, name)(*arguments)


def test_an_answer_or_a_number_that_says_there_is_none() -> None:
    for library in (gv, torch):
        bad, good = library.zeros(2, 2), library.eye(2)
        for name in ("inv_ex", "cholesky_ex"):
            call = getattr(library.linalg, name)
            assert (int(call(good).info), int(call(bad).info)) == (0, 1)
            assert call(bad).info.dtype is library.int32
            with pytest.raises(RuntimeError, match="could not be completed"):
                call(bad, check_errors=True)


def test_what_is_not_written_yet_says_so() -> None:
    with pytest.raises(NotWrittenError, match="more columns than rows"):
        gv.linalg.qr(gv.tensor(grid(2, 3), requires_grad=True))[1].sum().backward()
    x = gv.tensor(grid(3, 2), requires_grad=True)
    with pytest.raises(RuntimeError, match="not differentiable when mode='complete'"):
        gv.linalg.qr(x, mode="complete")[1].sum().backward()


def test_the_determinant_of_a_singular_matrix_has_a_derivative() -> None:
    x = gv.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    gv.det(x).backward()
    assert np.allclose(x.grad.numpy(), [[4, -2], [-2, 1]])


ELIMINATION = [name for name, *_ in CASES if name.startswith(("lu", "cholesky_")) and "pivots" not in name]


@pytest.mark.parametrize("name", [name for name in ELIMINATION if name != "lu_factor_ex"])
def test_elimination_has_second_derivatives(name: str) -> None:
    array, call = next(case[1:] for case in CASES if case[0] == name)
    x = gv.tensor(array, requires_grad=True)
    assert gv.autograd.gradgradcheck(lambda x: call(gv, x), (x,))


REFUSED: list[Callable[[Any, Any, Any], Any]] = [
    lambda lib, a, b: lib.cholesky_solve(b[:2], a),
    lambda lib, a, b: lib.cholesky_solve(b[:, 0], a),
    lambda lib, a, b: lib.cholesky_solve(b, a[:, :2]),
    lambda lib, a, b: lib.cholesky_inverse(a[:2]),
    lambda lib, a, b: lib.linalg.lu_factor(a * 0),
    lambda lib, a, b: lib.linalg.lu_factor(lib.stack([a, a * 0])),
    lambda lib, a, b: lib.linalg.lu_factor(a[0]),
    lambda lib, a, b: lib.linalg.lu_factor(a.long()),
    lambda lib, a, b: lib.linalg.lu_factor(a, pivot=False),
    lambda lib, a, b: lib.linalg.lu_solve(a[:2], lib.tensor([1, 2, 3], dtype=lib.int32), b),
    lambda lib, a, b: lib.linalg.lu_solve(a, lib.tensor([1, 2], dtype=lib.int32), b),
    lambda lib, a, b: lib.linalg.lu_solve(a, lib.tensor([1, 2, 3], dtype=lib.int32), b[:2]),
    lambda lib, a, b: lib.linalg.lu_solve(a, lib.tensor([1, 2, 3], dtype=lib.int32), b, left=False),
    lambda lib, a, b: lib.linalg.lu_solve(a, lib.tensor([1, 2, 3]), b),
    lambda lib, a, b: lib.linalg.lu_solve(a, lib.tensor([1, 2, 3], dtype=lib.int32), b[:, 0]),
]


@pytest.mark.parametrize("position", range(len(REFUSED)))
def test_elimination_is_refused_in_torchs_words(position: int) -> None:
    told = []
    for library in (torch, gv):
        with pytest.raises((RuntimeError, NotImplementedError)) as caught:
            REFUSED[position](library, library.tensor(definite(3, 3)), library.tensor(grid(3, 2)))
        told.append((caught.type.__name__.strip("_"), str(caught.value)))
    assert told[0] == told[1]
