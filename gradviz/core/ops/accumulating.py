"""Products that are added to what is there: `addbmm`, `addr`, and in place `addmm_`, `addmv_`, `baddbmm_`."""

from __future__ import annotations

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.linear import _batches, _check_addmm, _same_dtype
from gradviz.core.ops.matrix_products import ADDMM, ADDMV, BADDBMM, _added, _flipped, _scaled
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import expanded
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import both, method
from gradviz.core.tensor import Tensor

ADDBMM: Row = op(
    "addbmm(input, batch1, batch2, *, beta=1, alpha=1)",
    lambda input, batch1, batch2, beta, alpha: _added(
        input, np.add.reduce(batch1 @ batch2, axis=0, dtype=batch1.dtype), beta, alpha
    ),
    input=lambda g, beta: _scaled(g, beta),
    batch1=lambda g, batch2, alpha: _scaled(g @ _flipped(batch2), alpha),
    batch2=lambda g, batch1, alpha: _scaled(_flipped(batch1) @ g, alpha),
    samples=lambda: [
        sample(grid(2, 4), grid(2, 2, 3), grid(2, 3, 4)),
        sample(grid(4), grid(2, 2, 3), grid(2, 3, 4), beta=2, alpha=3),
    ],
)


ADDR: Row = op(
    "addr(input, vec1, vec2, *, beta=1, alpha=1)",
    lambda input, vec1, vec2, beta, alpha: _added(input, vec1[:, None] * vec2, beta, alpha).astype(vec1.dtype),
    input=lambda g, beta: _scaled(g, beta),
    vec1=lambda g, vec2, alpha: _scaled(g @ vec2, alpha),
    vec2=lambda g, vec1, alpha: _scaled(vec1 @ g, alpha),
    promotes=True,
    samples=lambda: [
        sample(grid(2, 3), grid(2), grid(3)),
        sample(grid(3), grid(2), grid(3) + 0.1, beta=2, alpha=3),
    ],
)


def _check(input: Tensor, batch1: Tensor, batch2: Tensor) -> None:
    _batches(batch1, batch2)
    _same_dtype(batch1, input, "Input dtypes must be the same, got: input {1}, batch1: {0}")


@both
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * the sum of `batch1 @ batch2` over the batch."""
    _check(input, batch1, batch2)
    expanded((batch1.shape[1], batch2.shape[2]), input.shape)
    return apply(ADDBMM, (input, batch1, batch2), (beta, alpha))


@both
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * the product of each element of `vec1` with each of `vec2`."""
    _check_vectors(vec1, vec2)
    expanded((vec1.shape[0], vec2.shape[0]), input.shape)
    return apply(ADDR, (input, vec1, vec2), (beta, alpha))


def _check_vectors(vec1: Tensor, vec2: Tensor) -> None:
    for name, vector in (("vec1", vec1), ("vec2", vec2)):
        if vector.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {vector.ndim}-D")


@method
def addr_(self: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """In-place `addr`."""
    _check_vectors(vec1, vec2)
    if self.ndim != 2:
        raise RuntimeError(f"2D tensor expected, got {self.ndim}D tensor for input")
    if tuple(self.shape) != (vec1.shape[0], vec2.shape[0]):
        raise RuntimeError(f"size mismatch, input: {list(self.shape)}, v1: {list(vec1.shape)}, v2: {list(vec2.shape)}")
    return apply_inplace(ADDR, self, (vec1, vec2), (beta, alpha))


def _fits(self: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(self.shape) != shape:
        raise RuntimeError(f"Bad in-place call: input tensor size {list(self.shape)} and output tensor size "
                           f"{list(shape)} should match")  # fmt: skip


@method
def addmm_(self: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """In-place `addmm`."""
    _check_addmm(self, mat1, mat2)
    _fits(self, (mat1.shape[0], mat2.shape[1]))
    return apply_inplace(ADDMM, self, (mat1, mat2), (beta, alpha))


@method
def addmv_(self: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """In-place `addmv`."""
    if mat.ndim != 2 or vec.ndim != 1 or self.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {self.ndim}, {mat.ndim}, {vec.ndim}")
    if mat.shape[1] != vec.shape[0] or mat.shape[0] != self.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({self.shape[0]}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]})"
        )
    return apply_inplace(ADDMV, self, (mat, vec), (beta, alpha))


@method
def baddbmm_(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """In-place `baddbmm`."""
    _check(self, batch1, batch2)
    _fits(self, (*batch1.shape[:2], batch2.shape[2]))
    return apply_inplace(BADDBMM, self, (batch1, batch2), (beta, alpha))
