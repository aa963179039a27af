"""Products of vectors and matrices: `matmul` and what PyTorch makes of it, `dot`, `mv`, `mm`, `bmm`, `addmm`, `outer`.

By the ranks of its operands `matmul` is one of the others, or several of them with views around.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import whole, whole_called
from gradviz.core.ops.arithmetic import MUL
from gradviz.core.ops.copying import contiguous
from gradviz.core.ops.matrix_products import ADDMM, ADDMV, BADDBMM, BMM, DOT, MATMUL, MM, MV, laid_out
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import broadcast, expanded
from gradviz.core.ops.shaping import UNSAFE_VIEW, expand, permute, reshape, squeeze, t, transpose, unsqueeze, view
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import METHODS, both, compiled_method, first_tensor, operand
from gradviz.core.tensor import Tensor

# ---- rows

TRACE = op(
    "trace(x)",
    lambda x: np.trace(x, dtype=x.dtype if x.dtype.kind == "f" else np.int64),
    x=lambda g, shape: g * np.eye(*shape),
    samples=lambda: [sample(grid(3, 3)), sample(grid(2, 3))],
)
SQUEEZE_ = op(
    "squeeze(x, *, dim)",
    lambda x, dim: x.squeeze(dim),
    key="squeeze_",
    node="SqueezeBackward4",
    call="matmul",
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(grid(2), grid(2, 3))],
)

_C_NAMES = {"float64": "double", "float32": "float", "float16": "c10::Half", "int64": "long long", "int32": "int"}

# ---- one op each


@both
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors of one length."""
    return _dot(DOT, input, tensor)


def _dot(row: Row, input: Tensor, tensor: Tensor) -> Tensor:
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    _same_dtype(input, tensor, "dot : expected both vectors to have same dtype, but found {} and {}")
    if input.shape != tensor.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(input.shape)} and src {list(tensor.shape)} to have the "
            f"same number of elements, but got {input.numel()} and {tensor.numel()} elements respectively"
        )
    return apply(row, (input, tensor))


@both
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Matrix times vector."""
    return _mv(MV, input, vec)


def _mv(row: Row, input: Tensor, vec: Tensor) -> Tensor:
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    if input.shape[1] != vec.shape[0]:
        rows, columns = input.shape
        raise RuntimeError(f"size mismatch, got input ({rows}), mat ({rows}x{columns}), vec ({vec.shape[0]})")
    _same_dtype(vec, input, "addmv input tensors must have the same dtype, but got {0}, {1}, and {0}")
    return apply(row, (input, vec))


@both
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Matrix times matrix."""
    return _mm(MM, input, mat2)


def _mm(row: Row, input: Tensor, mat2: Tensor) -> Tensor:
    if input.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if mat2.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    _fit(input, mat2)
    if input.dtype is not mat2.dtype:
        names = [_C_NAMES.get(matrix.dtype.name, matrix.dtype.name) for matrix in (input, mat2)]
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {names[0]} != {names[1]}")
    return apply(laid_out(row, mat2), (input, mat2))


@both
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Matrix times matrix, for each of a batch of both."""
    _batches(input, mat2)
    return apply(BMM, (input, mat2))


@both
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    added, left, right = input._data, mat1._data, mat2._data
    # A layer's bias and two matrices that fit: most calls, which a glance is enough for.
    if not (_match(left, right) and added.shape == right.shape[1:] and added.dtype is right.dtype):
        _check_addmm(input, mat1, mat2)
    return apply(laid_out(ADDMM, mat2), (input, mat1, mat2), (beta, alpha))


def _check_addmm(input: Tensor, mat1: Tensor, mat2: Tensor) -> None:
    if mat1.ndim != 2:
        raise RuntimeError(f"mat1 must be a matrix, got {mat1.ndim}-D tensor")
    if mat2.ndim != 2:
        raise RuntimeError(f"mat2 must be a matrix, got {mat2.ndim}-D tensor")
    _fit(mat1, mat2)
    _same_dtype(input, mat2, "self and mat2 must have the same dtype, but got {} and {}")
    _same_dtype(mat1, mat2, "mat1 and mat2 must have the same dtype, but got {} and {}")
    expanded((mat1.shape[0], mat2.shape[1]), input.shape)


@both
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    if mat.ndim != 2 or vec.ndim != 1 or input.ndim > 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim}")
    if mat.shape[1] != vec.shape[0] or (input.ndim and input.shape[0] not in (1, mat.shape[0])):
        raise RuntimeError(
            f"size mismatch, got input ({input.numel()}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]})"
        )
    for vector in (vec, input):
        _same_dtype(mat, vector, "addmv input tensors must have the same dtype, but got {0} and {1}")
    return apply(ADDMV, (input, mat, vec), (beta, alpha))


@both
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), for each of a batch."""
    _batches(batch1, batch2)
    _same_dtype(batch1, input, "Input dtypes must be the same, got: input {1}, batch1: {0}")
    expanded((*batch1.shape[:2], batch2.shape[2]), input.shape)
    return apply(BADDBMM, (input, batch1, batch2), (beta, alpha))


@both
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if first_tensor("trace", input).ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return apply(TRACE, (input,))


def _fit(left: Tensor, right: Tensor) -> None:
    if left.shape[1] != right.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({left.shape[0]}x{left.shape[1]} and "
            f"{right.shape[0]}x{right.shape[1]})"
        )


def _batches(left: Tensor, right: Tensor) -> None:
    for name, batch in (("batch1", left), ("batch2", right)):
        if batch.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    if left.shape[0] != right.shape[0] or left.shape[2] != right.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{left.shape[0]}, {left.shape[2]}] but "
            f"got: [{right.shape[0]}, {right.shape[1]}]."
        )
    if left.numel() and right.numel():
        _same_dtype(left, right, "expected scalar type {} but found {}")


def _same_dtype(left: Tensor, right: Tensor, text: str) -> None:
    """Raise RuntimeError with `text`, in which `{}` stands for the types of both, where they differ."""
    if left.dtype is not right.dtype:
        raise RuntimeError(text.format(*(one.dtype.type_name.removesuffix("Tensor") for one in (left, right))))


# ---- composed


@both
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of vectors, matrices or broadcast batches of matrices, whichever the ranks of the two say."""
    left, right = first_tensor("matmul", input), operand(other)
    if not isinstance(right, Tensor):
        raise TypeError(f"matmul(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    ranks = (left.ndim, right.ndim)
    if 0 in ranks:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {ranks[0]}D and {ranks[1]}D"
        )
    if ranks == (2, 2):
        return _mm(MATMUL[ranks], left, right)
    if ranks == (1, 1):
        return _dot(MATMUL[ranks], left, right)
    if ranks == (2, 1):
        return _mv(MATMUL[ranks], left, right)
    if ranks == (1, 2):
        return _row_times_matrix(left, right)
    return _folded(left, right) if _folds(left, right) else _batched(left, right)


@whole_called("matmul")
def _row_times_matrix(left: Tensor, right: Tensor) -> Tensor:
    return apply(SQUEEZE_, (mm(unsqueeze(left, 0), right),), (0,))


def _folds(left: Tensor, right: Tensor) -> bool:
    """Whether a batch times one matrix or vector is to be computed as one product of two matrices.

    It is where that takes no copy, or where the smaller operand requires grad: its cotangent would be expanded to the
    whole batch before being summed.
    """
    larger, smaller = (left, right) if left.ndim >= right.ndim else (right, left)
    if larger.ndim < 3 or smaller.ndim > 2:
        return False
    if smaller.requires_grad:
        return True
    if left.ndim == 2:
        return False
    shape, strides = list(larger.shape), list(larger.stride())
    if larger is right:
        shape[-2:], strides[-2:] = shape[:-3:-1], strides[:-3:-1]
    return not larger.numel() or all(
        strides[dim] == strides[dim + 1] * shape[dim + 1] for dim in range(larger.ndim - 2)
    )


@whole_called("matmul")
def _folded(left: Tensor, right: Tensor) -> Tensor:
    """Times one matrix or vector, with the batch as more rows of the matrix."""
    swapped = right.ndim > left.ndim
    batch = transpose(right, -2, -1) if swapped else left
    single = right if not swapped else t(left) if left.ndim == 2 else left
    shape = batch.shape[:-1]
    rows = reshape(batch, (math.prod(shape), batch.shape[-1]))
    if single.ndim == 1:
        return apply(UNSAFE_VIEW, (mv(rows, single),), (shape,))
    out = apply(UNSAFE_VIEW, (mm(rows, single),), ((*shape, single.shape[1]),))
    return contiguous(transpose(out, -2, -1)) if swapped else out


@whole_called("matmul")
def _batched(left: Tensor, right: Tensor) -> Tensor:
    """Both as batches of matrices, broadcast to one batch."""
    if left.ndim == right.ndim == 3 and left.shape[0] != right.shape[0]:
        if left.shape[0] == 1 and left.requires_grad:
            return matmul(squeeze(left, 0), right)
        if right.shape[0] == 1 and right.requires_grad:
            return matmul(left, squeeze(right, 0))
    rows = left.shape[-2] if left.ndim > 1 else 1
    vector = right.ndim == 1
    inner, columns = (right.shape[0], 1) if vector else right.shape[-2:]
    batch = broadcast(left.shape[:-2], right.shape[:-2])
    count = math.prod(batch)
    lefts = reshape(expand(left, (*batch, rows, left.shape[-1])), (count, rows, left.shape[-1]))
    if vector:
        rights = unsqueeze(reshape(expand(right, (*batch, inner)), (count, inner)), 2)
        out = squeeze(bmm(lefts, rights), -1)
    else:
        rights = reshape(expand(right, (*batch, inner, columns)), (count, inner, columns))
        out = bmm(lefts, rights)
    shape = (*batch, *((rows,) if left.ndim > 1 else ()), *(() if vector else (columns,)))
    return apply(UNSAFE_VIEW, (out,), (shape,))


def _left_operand(row: Row, inputs: tuple[Any, ...], static: tuple[Any, ...]) -> Any:
    """`self @ other`, be they what they may."""
    self, other = inputs
    if type(other) is Tensor and _match(self._data, other._data):
        return apply(laid_out(_MATRICES, other), (self, other))
    return matmul(self, other) if isinstance(operand(other), Tensor) else NotImplemented


def _match(x: Any, y: Any) -> bool:
    return x.ndim == 2 == y.ndim and x.shape[1] == y.shape[0] and x.dtype is y.dtype


def _right_operand(self: Tensor, other: Any) -> Any:
    return matmul(operand(other), self) if isinstance(operand(other), Tensor) else NotImplemented


_MATRICES = MATMUL[2, 2]
METHODS["__matmul__"] = compiled_method(
    "__matmul__", _MATRICES, 2, (), _left_operand, operator.matmul,
    unless="len(w0 := l0.shape) != 2 or len(w1 := l1.shape) != 2 or w0[1] != w1[0] or (by := a1.strides)[0] < by[1]",
)  # fmt: skip
METHODS["__rmatmul__"] = _right_operand


@both
@whole
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of every element of one vector with every element of another: (n), (m) to (n, m)."""
    for name, vector in (("self", input), ("vec2", vec2)):
        if vector.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {vector.ndim}-D")
    return apply(MUL, (reshape(input, (input.numel(), 1)), vec2))


@both
@whole
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The dot products of the last dimensions of two tensors: (..., k), (... , k) to the two rests joined."""
    if not input.ndim or not other.ndim:
        return apply(MUL, (input, other))
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    rest, size = (*input.shape[:-1], *other.shape[:-1]), input.shape[-1]
    if input.ndim == other.ndim == 1:
        product = dot(permute(input, 0), permute(other, 0))
    else:
        left = reshape(permute(input, tuple(range(input.ndim))), (math.prod(input.shape[:-1]), size))
        order = (other.ndim - 1, *range(other.ndim - 1))
        product = mm(left, reshape(permute(other, order), (size, math.prod(other.shape[:-1]))))
    return view(product, rest)
