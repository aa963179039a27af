"""What layers of a network compute: `linear`, `embedding`, `normalize`, `layer_norm`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import whole
from gradviz.core.dual import added_at, array_type, cast, dots, sums, taken_at
from gradviz.core.ops.arithmetic import ADD
from gradviz.core.ops.linear import addmm, matmul
from gradviz.core.ops.losses import apply_trimmed
from gradviz.core.ops.samples import grid, integers
from gradviz.core.ops.table import op, sample
from gradviz.core.public import first_tensor, functional
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError


@functional
@whole
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`. input: (..., n). weight: (m, n). bias: (m,). Returns (..., m)."""
    first_tensor("linear", input)
    flipped: Tensor = first_tensor("linear", weight).t()
    if bias is None:
        return matmul(input, flipped)
    if input.ndim == 2:
        return addmm(bias, input, flipped)
    if input._data.ndim and input.is_contiguous():
        rows: Tensor = input.view(-1, input.shape[-1])
        result: Tensor = addmm(bias, rows, flipped).view(*input.shape[:-1], weight.shape[0])
        return result
    return apply(ADD, (matmul(input, flipped), bias), (1,))


# ---- embedding


def _added_at(g: Any, indices: Any, shape: tuple[int, ...], padding_idx: int) -> Any:
    """Each cotangent added to the row that it was looked up in, but for the padding row."""
    rows = np.asarray(indices).reshape(-1)
    cotangents = g.reshape((len(rows), shape[1]))
    if padding_idx >= 0:
        counted = rows != padding_idx
        rows, cotangents = rows[counted], taken_at(cotangents, counted)
    return added_at(cotangents, shape, rows)


EMBEDDING = op(
    "embedding(weight, indices, *, padding_idx=-1)",
    lambda weight, indices, padding_idx: weight[indices],
    call="nn.functional.embedding",
    weight=lambda g, indices, shape, padding_idx: _added_at(g, indices, shape, padding_idx),
    samples=lambda: [
        sample(integers(2, 3, high=4), grid(4, 3)),
        sample(integers(0), grid(4, 3)),
        sample(np.int64(2), grid(4, 3)),
        sample(integers(5, high=4), grid(4, 3), padding_idx=1, smooth=False),
        sample(integers(5, high=4), grid(4, 3), padding_idx=-2, smooth=False),
    ],
)


@functional
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that the whole numbers in `input` name. input: (...). weight: (n, m). Returns (..., m).

    padding_idx: the row that gets no gradient; a negative one counts from the end. Raises IndexError for a row that
    does not exist. `max_norm`, `scale_grad_by_freq` and `sparse` are not written yet.
    """
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotWrittenError("`max_norm`, `scale_grad_by_freq` and `sparse` of `embedding` are not written yet")
    if not weight.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    count = len(weight)
    if padding_idx is not None:
        if not -count <= padding_idx < count:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= count
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    indices = input._data
    if indices.dtype not in (np.dtype(np.int64), np.dtype(np.int32)):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{input.dtype.type_name} instead (while checking arguments for embedding)"
        )
    if indices.size and not (indices.min() >= 0 and indices.max() < count):
        raise IndexError("index out of range in self")
    return apply(EMBEDDING, (weight, input), (-1 if padding_idx is None else padding_idx,))


# ---- normalisation


@functional
@whole
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """`input` divided by its p-norm along `dim`, or by `eps` where that is larger."""
    values: Any = input
    lengths: Any = values.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(values)
    result: Tensor = values / lengths
    return result


def _axes(ndim: int, count: int) -> tuple[int, ...]:
    return tuple(range(ndim - count, ndim))


def _standardised(x: Any, count: int, eps: float) -> tuple[Any, Any]:
    """x with mean 0 and variance 1 over its last `count` dimensions, and the factor that made the variance so."""
    axes = _axes(x.ndim, count)
    wide = cast(x, np.float32) if array_type(x) == np.float16 else x
    size = max(math.prod(x.shape[-count:]), 1)
    centred = wide - sums(wide, axes) / size
    factor = 1 / np.sqrt(dots(centred, centred, axes) / size + eps)
    if type(centred) is np.ndarray:  # nobody else has it, and a new array costs more than what is computed
        centred *= factor
        return centred, factor
    return centred * factor, factor


def _layer_norm(x: Any, weight: Any, bias: Any, count: int, eps: float) -> Any:
    out, _ = _standardised(x, count, eps)
    if weight is not None:
        out *= weight
    if bias is not None:
        out += bias
    return out.astype(x.dtype, copy=False)


def _layer_norm_slope(g: Any, standard: tuple[Any, Any], weight: Any, count: int) -> Any:
    """The cotangent of x: that of the standardised x, less what moves its mean and what moves its variance."""
    out, factor = standard
    axes = _axes(out.ndim, count)
    size = max(math.prod(out.shape[-count:]), 1)
    g = g if weight is None else g * weight
    mean = sums(g, axes) / size
    along = dots(g, out, axes) / size
    if type(out) is np.ndarray and type(g) is np.ndarray:
        moved = out * along
        moved += mean
        np.subtract(g, moved, out=moved)
        moved *= factor
        return moved
    return (g - mean - out * along) * factor


LAYER_NORM = op(
    "layer_norm(x, weight, bias, *, count=1, eps=1e-05)",
    _layer_norm,
    node="NativeLayerNormBackward0",
    call="nn.functional.layer_norm",
    shared={"standard": lambda g, x, count, eps: _standardised(x, count, eps)},
    x=_layer_norm_slope,
    weight=lambda g, standard: g * standard[0],
    bias=lambda g: g,
    samples=lambda: [
        sample(grid(2, 3), (3,), grid(3), grid(3)),
        sample(grid(2, 3), (2, 3), eps=0.1),
        sample(grid(4, 2, 3), [2, 3], grid(2, 3)),
    ],
)


@functional
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """`input` with mean 0 and variance 1 over its last dimensions, which are `normalized_shape`, then scaled and moved.

    weight, bias: of that shape. Raises RuntimeError where the input does not end in it.
    """
    wanted = tuple(normalized_shape)
    if not wanted:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is None:
            continue
        if tensor.dtype is not input.dtype and (input._data.dtype, tensor._data.dtype) != (np.float16, np.float32):
            raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
        if tensor.shape != wanted:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(tensor.shape)} and normalized_shape = {list(wanted)}"
            )
    if tuple(input.shape[-len(wanted) :]) != wanted:
        inner = ", ".join(["*", *map(str, wanted)])
        raise RuntimeError(
            f"Given normalized_shape={list(wanted)}, expected input with shape [{inner}], but got input of "
            f"size{list(input.shape)}"
        )
    return apply_trimmed(LAYER_NORM, [input, weight, bias], (len(wanted), eps))
