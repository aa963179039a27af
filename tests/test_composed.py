"""Functions that are others put together give what PyTorch's give, with the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz as gv
from gradviz.core.ops.samples import grid

SQUARE = grid(3, 4)
CUBE = grid(2, 3, 4)
IMAGE = grid(2, 4, 3, 4)
HOLED = np.where(SQUARE > 1, np.nan, SQUARE)
CASES: list[tuple[str, Any, Callable[[Any, Any], Any]]] = [
    ("fliplr", SQUARE, lambda lib, x: lib.fliplr(x)),
    ("flipud", SQUARE, lambda lib, x: x.flipud()),
    *((f"rot90 by {k}", CUBE, lambda lib, x, k=k: lib.rot90(x, k, (0, 2))) for k in range(-1, 4)),
    ("tensor_split in parts", SQUARE, lambda lib, x: lib.tensor_split(x, 3, 1)),
    ("tensor_split at", SQUARE, lambda lib, x: x.tensor_split([1, 3], dim=1)),
    ("repeat_interleave", SQUARE, lambda lib, x: x.repeat_interleave(2)),
    ("repeat_interleave along", SQUARE, lambda lib, x: lib.repeat_interleave(x, lib.tensor([0, 2, 1]), dim=0)),
    ("diff", SQUARE, lambda lib, x: lib.diff(x, 2)),
    ("diff along", SQUARE, lambda lib, x: x.diff(dim=0)),
    ("take_along_dim", SQUARE, lambda lib, x: lib.take_along_dim(x, lib.tensor([[0, 2]]), 1)),
    ("var_mean", SQUARE, lambda lib, x: lib.var_mean(x)),
    ("std_mean", SQUARE, lambda lib, x: lib.std_mean(x, 1, keepdim=True)),
    ("aminmax", SQUARE, lambda lib, x: tuple(lib.aminmax(x, dim=1))),
    ("nansum", SQUARE, lambda lib, x: x.nansum(1)),
    ("nanmean", SQUARE, lambda lib, x: x.nanmean()),
    ("dist", SQUARE, lambda lib, x: lib.dist(x, x.flip(0).detach())),
    ("kron", SQUARE, lambda lib, x: lib.kron(x, x[0])),
    ("cross", grid(2, 3), lambda lib, x: lib.cross(x, x.flip(0).detach(), dim=1)),
    ("tensordot", CUBE, lambda lib, x: lib.tensordot(x, x, dims=([1, 2], [1, 2]))),
    ("tensordot by number", SQUARE, lambda lib, x: lib.tensordot(x, x.T, 1)),
    ("pixel_shuffle", IMAGE, lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2)),
    ("interpolate to", IMAGE, lambda lib, x: lib.nn.functional.interpolate(x, (5, 7))),
    ("interpolate by", IMAGE, lambda lib, x: lib.nn.functional.interpolate(x, scale_factor=2)),
    ("interpolate by area", IMAGE, lambda lib, x: lib.nn.functional.interpolate(x, (2, 3), mode="area")),
    (
        "interpolate anew",
        IMAGE,
        lambda lib, x: lib.nn.functional.interpolate(
            x, scale_factor=1.4, mode="bilinear", recompute_scale_factor=True
        ),
    ),
    ("interpolate a line", CUBE, lambda lib, x: lib.nn.functional.interpolate(x, size=3)),
    ("unfold and write", SQUARE, lambda lib, x: (x * 1).unfold(1, 2, 1).mul(2)),
    ("atleast", SQUARE[0], lambda lib, x: (*lib.atleast_2d(x, x[0]), lib.atleast_3d(x), lib.atleast_1d(x[0]))),
    ("broadcast_tensors", SQUARE, lambda lib, x: tuple(lib.broadcast_tensors(x[:1], x))),
    ("column_stack", SQUARE, lambda lib, x: lib.column_stack([x[:, 0], x])),
    ("dstack", SQUARE, lambda lib, x: lib.dstack([x, x[:, :4]])),
    ("hsplit", SQUARE, lambda lib, x: tuple(lib.hsplit(x, 2))),
    ("vsplit", SQUARE, lambda lib, x: tuple(x.vsplit([1]))),
    ("dsplit", CUBE, lambda lib, x: tuple(lib.dsplit(x, [1, 3]))),
    ("diagflat", SQUARE, lambda lib, x: lib.diagflat(x, 1)),
    ("block_diag", SQUARE, lambda lib, x: lib.block_diag(x, x[0], x[:2, :1])),
    ("cartesian_prod", SQUARE, lambda lib, x: lib.cartesian_prod(x[0], x[:, 0])),
    ("combinations", SQUARE[0], lambda lib, x: lib.combinations(x, 3)),
    ("combinations with equals", SQUARE[0], lambda lib, x: lib.combinations(x, 2, True)),
    ("msort", SQUARE, lambda lib, x: lib.msort(x)),
    ("sum_to_size", CUBE, lambda lib, x: (x.sum_to_size(3, 1), x.sum_to_size((1, 1, 4)))),
    ("trapezoid", SQUARE, lambda lib, x: lib.trapezoid(x, dx=0.3)),
    ("trapezoid at", SQUARE, lambda lib, x: lib.trapezoid(x, x.detach()[:, 0] * 2, dim=0)),
    ("trapz at", SQUARE, lambda lib, x: lib.trapz(x, x.detach() ** 2)),
    ("cumulative_trapezoid", SQUARE, lambda lib, x: lib.cumulative_trapezoid(x, dim=0)),
    ("cov", SQUARE, lambda lib, x: lib.cov(x)),
    ("cov of a vector", SQUARE[0], lambda lib, x: lib.cov(x, correction=0)),
    ("cov with weights", SQUARE, lambda lib, x: lib.cov(x, aweights=x.detach()[0].abs())),
    ("cov with counts", SQUARE, lambda lib, x: x.cov(fweights=lib.tensor([1, 2, 1, 3]))),
    ("corrcoef", SQUARE, lambda lib, x: lib.corrcoef(x)),
    ("gradient", SQUARE, lambda lib, x: tuple(lib.gradient(x, spacing=0.5))),
    ("gradient along", CUBE, lambda lib, x: tuple(lib.gradient(x, dim=2))),
    ("addr", SQUARE, lambda lib, x: lib.addr(x, x[:, 0], x[0], beta=2, alpha=3)),
    ("vander", SQUARE[0], lambda lib, x: lib.vander(x.detach(), 3) * x[0]),
    ("vander upwards", SQUARE[0], lambda lib, x: lib.vander(x.detach(), increasing=True) * x),
    ("ger and vdot", SQUARE, lambda lib, x: (lib.ger(x[0], x[:, 0]), lib.vdot(x[0], x[1]))),
    ("float_power", np.abs(SQUARE), lambda lib, x: (lib.float_power(x, 2), x.float_power(x), lib.float_power(2, x))),
    *(
        (f"quantile {how}", SQUARE, lambda lib, x, how=how: lib.quantile(x, 0.3, 1, interpolation=how))
        for how in ("linear", "lower", "higher", "midpoint", "nearest")
    ),
    ("quantile of all", SQUARE, lambda lib, x: lib.quantile(x, lib.tensor([0.1, 0.55], dtype=lib.float64))),
    ("quantiles along", CUBE, lambda lib, x: x.quantile(lib.tensor([0.0, 1.0], dtype=lib.float64), 1, True)),
    ("quantile with NaN", HOLED, lambda lib, x: lib.quantile(x, 0.4, 0)),
    ("nanquantile", HOLED, lambda lib, x: lib.nanquantile(x, 0.4, 0)),
    ("nanquantile of all", HOLED, lambda lib, x: lib.nanquantile(x, 0.7, keepdim=True)),
    ("clip", SQUARE, lambda lib, x: lib.clip(x, -0.5, 0.5)),
    ("multiply", SQUARE, lambda lib, x: lib.multiply(x, x)),
    ("row_stack", SQUARE, lambda lib, x: lib.row_stack([x, x])),
]
ONE, TWO = (SQUARE,), (SQUARE, SQUARE.T.copy().reshape(3, 4) + 0.1)
SYNONYMS = {
    **dict.fromkeys(("multiply", "divide", "true_divide", "subtract"), TWO),
    **dict.fromkeys(("negative", "absolute", "arcsin", "arctan", "arcsinh", "arctanh", "fix", "arccos"), ONE),
    "arccosh": (np.abs(SQUARE) + 1.5,),
    "arctan2": TWO,
    "clip": (SQUARE, -0.5, 0.5),
}
COMPARISONS = ("greater", "greater_equal", "less", "less_equal", "not_equal")


@pytest.mark.parametrize("position", range(len(CASES)), ids=[case[0] for case in CASES])
def test_same_as_torch(position: int) -> None:
    _, array, call = CASES[position]
    x, t = gv.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    ours, theirs = call(gv, x), call(torch, t)
    pairs = zip(ours, theirs, strict=True) if isinstance(theirs, tuple) else [(ours, theirs)]
    for one, oracle in pairs:
        assert tuple(one.shape) == tuple(oracle.shape)
        assert np.allclose(one.detach().numpy(), oracle.detach().numpy(), equal_nan=True)
        weights = grid(*oracle.shape)
        (one * gv.tensor(weights)).sum().backward(retain_graph=True)
        (oracle * torch.tensor(weights)).sum().backward(retain_graph=True)
    assert np.allclose(x.grad.numpy(), t.grad.numpy(), equal_nan=True)


def test_what_says_something_of_tensors() -> None:
    def program(lib: Any) -> list[Any]:
        x, whole = lib.ones(2, 3), lib.ones(2, dtype=lib.int64)
        return [
            lib.is_tensor(x), lib.is_tensor(3), lib.is_floating_point(whole), lib.numel(x),
            lib.broadcast_shapes((2, 1), 3), lib.result_type(whole, 1.5), lib.result_type(whole, x[0, 0]),
            lib.promote_types(lib.int32, lib.float16), lib.can_cast(lib.float32, lib.int64),
            lib.can_cast(lib.uint8, lib.int8), lib.tril_indices(2, 3).tolist(), lib.triu_indices(3, 3, 1).tolist(),
            lib.isin(whole, 1).tolist(), lib.isin(lib.tensor([1, 2]), lib.tensor([2]), invert=True).tolist(),
            lib.is_complex(x), whole.is_signed(), lib.is_same_size(x, whole), x.adjoint().shape, lib.real(x) is x,
            [part.tolist() for part in lib.unravel_index(lib.tensor([5, 1]), (2, 3))],
            lib.argwhere(x).tolist(), lib.combinations(whole, 4).shape, lib.positive(x) is x,
        ]  # fmt: skip

    with pytest.raises(RuntimeError, match="cannot be broadcast to a single shape"):
        gv.broadcast_shapes((2,), (3,))
    assert [str(one).replace("gradviz", "torch") for one in program(gv)] == [str(one) for one in program(torch)]


@pytest.mark.parametrize("name", [*SYNONYMS, *COMPARISONS])
def test_second_names_are_functions_and_methods(name: str) -> None:
    found = []
    for lib in (gv, torch):
        first, *rest = (lib.tensor(one) if isinstance(one, np.ndarray) else one for one in SYNONYMS.get(name, TWO))
        results = [getattr(lib, name)(first, *rest), getattr(first, name)(*rest)]
        if name in SYNONYMS:
            results.append(getattr(first, f"{name}_")(*rest))
            assert results[-1] is first
        found.append([one.numpy() for one in results])
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs)


def test_limits_of_dtypes() -> None:
    def program(lib: Any) -> list[Any]:
        floats = [lib.finfo(kind) for kind in (lib.float16, lib.float32, lib.float64)] + [lib.finfo()]
        whole = [lib.iinfo(kind) for kind in (lib.uint8, lib.int8, lib.int64)]
        found: list[Any] = [repr(one) for one in floats + whole]
        found += [(one.bits, one.max, one.min, one.dtype) for one in floats + whole]
        found += [(one.eps, one.tiny, one.smallest_normal, one.resolution) for one in floats]
        return [*found, lib.finfo(lib.float32) == lib.finfo(), lib.iinfo(lib.int8) == lib.iinfo(lib.uint8)]

    assert program(gv) == program(torch)
    for lib in (gv, torch):
        with pytest.raises(TypeError, match="requires a floating point input type"):
            lib.finfo(lib.int32)
        with pytest.raises(TypeError):
            lib.iinfo(lib.float32)


def test_diagonals_and_states() -> None:
    for shape in ((3, 3), (2, 4), (7, 2), (3, 3, 3)):
        ours, theirs = (lib.zeros(shape).fill_diagonal_(2.0, wrap=True).tolist() for lib in (gv, torch))
        assert ours == theirs
    gv.manual_seed(5)
    state = gv.get_rng_state()
    first = gv.rand(3).tolist()
    gv.set_rng_state(state)
    assert gv.rand(3).tolist() == first
    for lib in (gv, torch):
        assert (lib.is_nonzero(lib.tensor([0.0])), lib.tensor(2).is_nonzero()) == (False, True)
        assert (lib.ones(2, 3).ndimension(), lib.ones(2, 3).nelement()) == (2, 6)


@pytest.mark.parametrize("kind", ["int32", "uint8", "int8", "float16", "float64", "int64"])
@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "cumprod"])
def test_a_total_has_the_dtype_that_is_asked_for(name: str, kind: str) -> None:
    told = []
    for library in (gv, torch):
        x = library.tensor([[2, 0, 3], [1, 4, 1]], dtype=library.int32)
        found = getattr(x, name)(1, dtype=getattr(library, kind))
        told.append((found.tolist(), str(found.dtype).rpartition(".")[2]))
    assert told[0] == told[1]
