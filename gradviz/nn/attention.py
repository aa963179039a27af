"""`MultiheadAttention`: attentions side by side, each on its part of the queries, keys and values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError
from gradviz.nn import functional, init
from gradviz.nn.linear import NonDynamicallyQuantizableLinear, zeros
from gradviz.nn.module import Module
from gradviz.nn.parameter import born


class MultiheadAttention(Module):
    """`num_heads` attentions side by side, each on its part of the projected queries, keys and values.

    batch_first: tensors are (batch, length, size) and not (length, batch, size).
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} "
                "instead"
            )
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        if add_bias_kv or add_zero_attn:
            raise NotWrittenError("`add_bias_kv` and `add_zero_attn` of `MultiheadAttention` are not written yet")
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self._qkv_same_embed_dim:
            self.in_proj_weight = zeros((3 * embed_dim, embed_dim), dtype)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = zeros((embed_dim, embed_dim), dtype)
            self.k_proj_weight = zeros((embed_dim, self.kdim), dtype)
            self.v_proj_weight = zeros((embed_dim, self.vdim), dtype)
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = zeros((3 * embed_dim,), dtype)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, dtype=dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """query: (length, batch, size); key, value: (other length, batch, size); without the batch for one sequence.

        key_padding_mask: (batch, other length), True for keys to leave out. attn_mask: (length, other length) or one
        for each head, True for pairs to leave out, or numbers to be added. Returns the output and, if they are wanted,
        the weights, averaged over the heads or with one for each.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        batched = query.ndim == 3
        q, k, v = (part if batched else part.unsqueeze(1) for part in (query, key, value))
        if batched and self.batch_first:
            q, k, v = (part.transpose(0, 1) for part in (q, k, v))
        length, batch, _ = q.shape
        other = k.shape[0]
        q, k, v = self._projected(q, k, v)
        q, k, v = (
            part.reshape(part.shape[0], batch * self.num_heads, self.head_dim).transpose(0, 1) for part in (q, k, v)
        )
        mask = self._mask(attn_mask, key_padding_mask, batch, length, other, q)
        scores = (q * math.sqrt(1.0 / self.head_dim)).bmm(k.transpose(-2, -1))
        if mask is not None:
            scores = scores + mask
        weights = scores.softmax(-1)
        if self.dropout > 0.0:
            weights = functional.dropout(weights, self.dropout, self.training)
        output = weights.bmm(v).transpose(0, 1).reshape(length, batch, self.embed_dim)
        output = functional.linear(output, self.out_proj.weight, self.out_proj.bias)
        if batched and self.batch_first:
            output = output.transpose(0, 1)
        told: Any = None
        if need_weights:
            told = weights.view(batch, self.num_heads, length, other)
            told = told.mean(1) if average_attn_weights else told
            told = told if batched else told.squeeze(0)
        return (output if batched else output.squeeze(1)), told

    def _projected(self, q: Any, k: Any, v: Any) -> tuple[Any, Any, Any]:
        bias: Any = self.in_proj_bias
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        if self._qkv_same_embed_dim:
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        first, second, third = map(functional.linear, (q, k, v), weights, biases)
        return first, second, third

    def _mask(
        self, pairs: Tensor | None, keys: Tensor | None, batch: int, length: int, other: int, like: Tensor
    ) -> Any:
        """Both masks as numbers to be added to the scores of all heads, or None."""
        mask: Any = None
        if pairs is not None:
            wanted = [(length, other), (batch * self.num_heads, length, other)]
            if tuple(pairs.shape) not in wanted:
                shown = "2D" if pairs.ndim == 2 else "3D"
                expected = wanted[pairs.ndim != 2]
                raise RuntimeError(
                    f"The shape of the {shown} attn_mask is {pairs.shape}, but should be {expected}."
                )
            mask = _added(pairs, like)
        if keys is not None:
            rows: Any = _added(keys, like).reshape(batch, 1, 1, other)
            rows = rows.expand(-1, self.num_heads, -1, -1).reshape(batch * self.num_heads, 1, other)
            mask = rows if mask is None else mask + rows
        return mask


def _added(mask: Tensor, like: Tensor) -> Any:
    """A mask as numbers: -inf for True."""
    if mask._data.dtype.kind == "f":
        return mask
    return born(np.where(mask._data, -np.inf, 0.0).astype(like._data.dtype), False, Tensor, TABLE["tensor"])
