"""The rows that run behind a backward: their values are PyTorch's gradients, their derivatives its second ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gradviz.core.ops.max_pooling import PICK, PUT
from gradviz.core.ops.pooling import ADAPTIVE_SPREAD, SPREAD
from gradviz.core.ops.resizing import GATHERED as RESIZED
from gradviz.core.ops.samples import grid
from gradviz.core.ops.sorting import TO_INDEX
from gradviz.core.ops.table import Row
from gradviz.core.ops.unfolding import SLIDE_BACK


class Case(NamedTuple):
    """A row; what PyTorch computes, with or without the indices that the row also takes; and the row's static."""

    row: Row
    x: Any
    call: Callable[[torch.Tensor], Any]
    static: tuple[Any, ...]


IMAGES, VOLUMES = grid(2, 3, 5, 4), grid(1, 2, 4, 3, 3)
CASES = {
    "max_pool2d": Case(PUT, IMAGES, lambda x: F.max_pool2d(x, 2, return_indices=True), (IMAGES.shape, 2)),
    "max_pool2d where windows overlap": Case(
        PUT, IMAGES, lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True), (IMAGES.shape, 2)
    ),
    "max_pool3d": Case(PUT, VOLUMES, lambda x: F.max_pool3d(x, 2, 1, return_indices=True), (VOLUMES.shape, 3)),
    "adaptive_max_pool2d": Case(
        PUT, IMAGES, lambda x: F.adaptive_max_pool2d(x, (3, 3), return_indices=True), (IMAGES.shape, 2)
    ),
    "avg_pool2d": Case(
        SPREAD, IMAGES, lambda x: F.avg_pool2d(x, 2, 1), ((5, 4), (2, 2), (1, 1), (0, 0), True, None)
    ),
    "avg_pool2d beyond the end": Case(
        SPREAD,
        IMAGES,
        lambda x: F.avg_pool2d(x, (3, 2), 2, 1, ceil_mode=True, count_include_pad=False),
        ((5, 4), (3, 2), (2, 2), (1, 1), False, None),
    ),
    "avg_pool2d by a number": Case(
        SPREAD, IMAGES, lambda x: F.avg_pool2d(x, 2, divisor_override=3), ((5, 4), (2, 2), (2, 2), (0, 0), True, 3)
    ),
    "avg_pool3d": Case(
        SPREAD, VOLUMES, lambda x: F.avg_pool3d(x, 2, 1), ((4, 3, 3), (2, 2, 2), (1, 1, 1), (0, 0, 0), True, None)
    ),
    "adaptive_avg_pool2d": Case(ADAPTIVE_SPREAD, IMAGES, lambda x: F.adaptive_avg_pool2d(x, (3, 2)), ((5, 4),)),
    "adaptive_avg_pool3d": Case(ADAPTIVE_SPREAD, VOLUMES, lambda x: F.adaptive_avg_pool3d(x, 2), ((4, 3, 3),)),
    "sort": Case(TO_INDEX, IMAGES, lambda x: x.sort(2, descending=True), (IMAGES.shape, 2)),
    "topk": Case(TO_INDEX, IMAGES, lambda x: x.topk(2, -1), (IMAGES.shape, 3)),
    "kthvalue": Case(TO_INDEX, IMAGES, lambda x: x.kthvalue(2, 1, keepdim=True), (IMAGES.shape, 1)),
    "cummax": Case(TO_INDEX, IMAGES, lambda x: x.cummax(2), (IMAGES.shape, 2)),
    **{
        f"interpolate {mode}": Case(
            RESIZED,
            IMAGES,
            lambda x, mode=mode: F.interpolate(x, (3, 6), mode=mode),
            (ours, (5, 4), (5 / 3, 4 / 6), False),
        )
        for mode, ours in (("nearest", "nearest"), ("bilinear", "linear"), ("bicubic", "cubic"))
    },
    "Tensor.unfold": Case(SLIDE_BACK, IMAGES, lambda x: x.unfold(2, 3, 1), (IMAGES.shape, 2, 3, 1)),
    "Tensor.unfold that leaves some out": Case(
        SLIDE_BACK, IMAGES, lambda x: x.unfold(3, 1, 2), (IMAGES.shape, 3, 1, 2)
    ),
}


def pulled_back(row: Row, g: Any, inputs: tuple[Any, ...], static: tuple[Any, ...]) -> Any:
    """The row's VJP of its first input."""
    formula = row.formulas[0]
    assert formula is not None
    vjp, names = formula
    known = {**dict(zip(row.inputs, inputs, strict=True)), **dict(zip(row.static, static, strict=True))}
    return vjp(g, *[inputs[0].shape if name == "shape" else known[name] for name in names])


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives_are_torchs(name: str) -> None:
    row, array, call, static = CASES[name]
    x = torch.tensor(array, requires_grad=True)
    result = call(x)
    out, *indices = result if isinstance(result, tuple) else (result,)
    g = torch.tensor(grid(*out.shape), requires_grad=True)
    (first,) = torch.autograd.grad(out, x, g, create_graph=True)
    inputs = (g.detach().numpy(), *(one.numpy() for one in indices))
    np.testing.assert_allclose(row.forward(*inputs, *static), first.detach().numpy(), atol=1e-12)

    other = torch.tensor(grid(*array.shape) ** 2, requires_grad=True)
    (second,) = torch.autograd.grad(first, g, other, create_graph=True)
    got = pulled_back(row, other.detach().numpy(), inputs, static)
    np.testing.assert_allclose(got, second.detach().numpy(), atol=1e-12)
    if row is PUT:
        third = torch.autograd.grad(second, other, g)[0].numpy()
        picked = (other.detach().numpy(), inputs[1])
        np.testing.assert_allclose(PICK.forward(*picked, static[1]), got, atol=0)
        np.testing.assert_allclose(pulled_back(PICK, inputs[0], picked, static[1:]), third, atol=1e-12)
