"""`scaled_dot_product_attention`: values averaged by how well their keys fit each query.

Shapes: query (..., L, E), key (..., S, E), value (..., S, V), mask broadcast to (..., L, S); result (..., L, V).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply, leaf
from gradviz.core.composites import composite
from gradviz.core.dual import array_type, dots, run_row, sums
from gradviz.core.ops.classification import MUL_NUMBER
from gradviz.core.ops.linear import matmul
from gradviz.core.ops.normalising import wide
from gradviz.core.ops.samples import flags, grid
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import first_tensor, functional
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError

NEAR = 40
"""The powers of numbers up to here, and their sums, are well within float32."""


def _safe_shares(x: Any, dim: int) -> Any:
    """Softmax, but zeros where everything is minus infinity."""
    wider = wide(x)
    shares = np.exp(wider) if _all_near(wider) else _powers(wider, dim)
    shares /= _totals(shares, dim)
    return shares.astype(x.dtype, copy=False)


def _all_near(x: Any) -> bool:
    """Whether the powers of all of `x` can be computed as they are. It takes a tenth of finding each line's largest."""
    return bool(x.size and np.minimum.reduce(x, axis=None) > -NEAR and np.maximum.reduce(x, axis=None) < NEAR)


def _powers(x: Any, dim: int) -> Any:
    """The powers of what lies below each line's largest."""
    top = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    top[np.isneginf(top)] = 0
    powers = x - top
    return np.exp(powers, out=powers)


def _totals(powers: Any, dim: int) -> Any:
    """Their sums, but 1 for 0."""
    totals = sums(powers, (dim % powers.ndim,))
    totals[totals == 0] = 1
    return totals


SAFE_SOFTMAX: Row = op(
    "safe_softmax(x, *, dim)",
    _safe_shares,
    node="SafeSoftmaxBackward0",
    x=lambda g, out, dim: out * (g - dots(g, out, (dim % len(g.shape),))),
)


@functools.lru_cache(maxsize=32)
def _causal(rows: int, columns: int, kind: Any) -> Any:
    """Minus infinity where a key comes after the query."""
    return np.where(np.tri(rows, columns, dtype=bool), 0, -np.inf).astype(kind)


_before = functools.lru_cache(maxsize=32)(np.tri)
"""1 where a key does not come after the query, else 0."""


def _scores(query: Any, key: Any, mask: Any, scale: float) -> Any:
    """(..., L, S): how well each key fits each query."""
    scores = (wide(query) * scale) @ np.swapaxes(wide(key), -1, -2)
    return scores if mask is None else scores + wide(mask)


def _unequalled(scores: Any, is_causal: bool) -> tuple[Any, Any]:
    """In place of an array of scores how much each value counts, up to a factor for each query, and that factor."""
    rows, columns = scores.shape[-2:]
    near = _all_near(scores)
    if is_causal and not near:
        scores += _causal(rows, columns, scores.dtype.type)
    powers = np.exp(scores, out=scores) if near else _powers(scores, -1)
    if is_causal and near:
        powers *= _before(rows, columns, 0, scores.dtype.type)
    return powers, _totals(powers, -1)


def _weights(query: Any, key: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """(..., L, S): how much each value counts for each query."""
    scores = _scores(query, key, mask, scale)
    if isinstance(scores, np.ndarray):
        powers, totals = _unequalled(scores, is_causal)
        powers /= totals
        return powers
    if is_causal:
        scores = scores + _causal(*scores.shape[-2:], array_type(scores))
    return run_row(SAFE_SOFTMAX, (scores,), (-1,))


def _forward(query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    powers, totals = _unequalled(_scores(query, key, mask, scale), is_causal)
    out = powers @ wide(value)
    out /= totals
    return out.astype(query.dtype, copy=False)


def _score_cotangent(g: Any, weights: Any, value: Any) -> Any:
    pulled = wide(g) @ np.swapaxes(wide(value), -1, -2)
    along = dots(weights, pulled, (weights.ndim - 1,))
    if not isinstance(pulled, np.ndarray):
        return weights * (pulled - along)
    pulled -= along
    pulled *= weights
    return pulled


ATTENTION: Row = op(
    "scaled_dot_product_attention(query, keys, value, mask, *, is_causal, scale)",
    _forward,
    node="ScaledDotProductFlashAttentionForCpuBackward0",
    call="nn.functional.scaled_dot_product_attention",
    shared={
        "weights": lambda g, query, keys, mask, is_causal, scale: _weights(query, keys, mask, is_causal, scale),
        "slope": _score_cotangent,
    },
    query=lambda g, slope, keys, scale: slope @ (wide(keys) * scale),
    keys=lambda g, slope, query, scale: np.swapaxes(slope, -1, -2) @ (wide(query) * scale),
    value=lambda g, weights: np.swapaxes(weights, -1, -2) @ wide(g),
    samples=lambda: [
        sample(grid(1, 2, 3, 4), grid(1, 2, 5, 4), grid(1, 2, 5, 4) + 0.1),
        sample(grid(2, 1, 3, 2), grid(2, 1, 3, 2) - 0.1, grid(2, 1, 3, 2), is_causal=True, scale=0.3),
        sample(grid(1, 2, 3, 2), grid(1, 2, 3, 2), grid(1, 2, 3, 2), flags(3, 3)),
    ],
)


@functional
@composite
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`softmax(query @ key.T * scale + mask) @ value`, in one op where PyTorch has one, and else in several.

    attn_mask: bool (true: may be looked at), or numbers to be added. is_causal: no query looks at keys after it.
    scale: by default one over the root of the last dimension. `enable_gqa` is not written yet.
    """
    if enable_gqa:
        raise NotWrittenError("`enable_gqa` of `scaled_dot_product_attention` is not written yet")
    for tensor in (query, key, value):
        first_tensor("scaled_dot_product_attention", tensor)
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{_type(query)} key.dtype: {_type(key)} and value.dtype: {_type(value)} instead."
        )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    factor = 1 / math.sqrt(query.shape[-1] or 1) if scale is None else scale
    mask = _additive(attn_mask, query)
    fused = (
        query.ndim == key.ndim == value.ndim == 4
        and query.is_floating_point()
        and query.shape[-1] == key.shape[-1] == value.shape[-1]
        and query.shape[:2] == key.shape[:2] == value.shape[:2]
        and key.shape[2] == value.shape[2]
        and not dropout_p
        and all(one.stride()[-1] == 1 for one in (query, key, value))
        and (mask is None or (not mask.requires_grad and mask.ndim in (2, 4)))
    )
    if 0 in (*query.shape, *key.shape, *value.shape):
        return _empty(query, key, value)
    if fused or (query.ndim == 4 and mask is not None and mask.ndim < 2):
        if mask is not None:
            wrap(-2, mask.ndim)
        return apply(ATTENTION, (query, key, value, mask), (is_causal, factor))
    return _in_several(query, key, value, mask, dropout_p, is_causal, factor)


def _empty(query: Any, key: Any, value: Any) -> Tensor:
    """Zeros that depend on the three all the same."""
    zeros: Any = leaf(np.zeros((*query.shape[:-1], value.shape[-1]), query._data.dtype), "zeros", False, inner=True)
    result: Tensor = zeros + apply(MUL_NUMBER, (query.sum() + key.sum() + value.sum(), 0))
    return result


def _type(tensor: Tensor) -> str:
    return tensor.dtype.type_name.removesuffix("Tensor").lower()


def _additive(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """A bool mask as numbers to be added."""
    if mask is None:
        return None
    if mask.dtype.name == "bool":
        kind = query._data.dtype
        return leaf(np.where(mask._data, 0, -np.inf).astype(kind), "from_numpy", False, inner=True)
    if mask.dtype is not query.dtype and mask.dtype.name != "float32":
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{_type(mask)} and  query.dtype: {_type(query)} instead."
        )
    return mask


def _in_several(
    query: Any, key: Any, value: Any, mask: Any, dropout_p: float, is_causal: bool, scale: float
) -> Tensor:
    from gradviz.core.ops.dropping import dropout

    if is_causal:
        if mask is not None:
            raise RuntimeError(
                "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
            )
        rows, columns = query.shape[-2], key.shape[-2]
        mask = leaf(_causal(rows, columns, query._data.dtype), "from_numpy", False, inner=True)
    root = math.sqrt(scale)
    scores: Any = matmul(apply(MUL_NUMBER, (query, root)), apply(MUL_NUMBER, (key.transpose(-2, -1), root)))
    if mask is not None:
        scores = scores + mask
    shares = apply(SAFE_SOFTMAX, (scores,), (-1,))
    if dropout_p:
        shares = dropout(shares, dropout_p)
    return matmul(shares, value)
