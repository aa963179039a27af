"""Layers of a transformer, and stacks of them: `TransformerEncoderLayer`, `TransformerEncoder`, and decoders."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from gradviz.core import dtypes
from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.attention import MultiheadAttention
from gradviz.nn.containers import ModuleList
from gradviz.nn.linear import Linear
from gradviz.nn.module import Module
from gradviz.nn.normalization import LayerNorm
from gradviz.nn.regularizing import Dropout


class _Layer(Module):
    """Attentions, then two linear layers; what each gives is added to its input and normalised."""

    _attentions: tuple[str, ...] = ()

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        for name in self._attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype))
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        parts = range(1, len(self._attentions) + 2)
        for part in parts:
            setattr(self, f"norm{part}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for part in parts:
            setattr(self, f"dropout{part}", Dropout(dropout))
        if isinstance(activation, str):
            if activation not in ("relu", "gelu"):
                raise RuntimeError(f"activation should be relu/gelu, not {activation}")
            activation = getattr(functional, activation)
        self.activation = activation

    def _attend(
        self, part: int, x: Any, memory: Any, mask: Tensor | None, keys: Tensor | None, is_causal: bool
    ) -> Any:
        """The `part`-th attention, counted from 1, of `x` to `memory`, or to itself."""
        attention = getattr(self, self._attentions[part - 1])
        memory = x if memory is None else memory
        found, _ = attention(
            x, memory, memory, attn_mask=mask, key_padding_mask=keys, is_causal=is_causal, need_weights=False
        )
        return getattr(self, f"dropout{part}")(found)

    def _feed(self, x: Any) -> Any:
        activation: Callable[..., Any] = self.activation  # type: ignore[assignment]
        last = getattr(self, f"dropout{len(self._attentions) + 1}")
        return last(self.linear2(self.dropout(activation(self.linear1(x)))))


class _Stack(Module):
    """`num_layers` copies of a layer, one after the other. norm: a last layer."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _through(self, x: Any, *memory: Any, **masks: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *memory, **masks)
        return x if self.norm is None else self.norm(x)


class TransformerEncoderLayer(_Layer):
    """Attention of a sequence to itself, then two linear layers; each added to its input and normalised.

    activation: "relu", "gelu" or a function. norm_first: normalise before and not after.
    """

    _attentions = ("self_attn",)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """src: (length, batch, d_model), or as `batch_first` says. Returns that shape. The masks: see attention."""
        masks = (src_mask, src_key_padding_mask, is_causal)
        x: Any = src
        if self.norm_first:
            x = x + self._attend(1, self.norm1(x), None, *masks)
            return x + self._feed(self.norm2(x))  # type: ignore[no-any-return]
        x = self.norm1(x + self._attend(1, x, None, *masks))
        return self.norm2(x + self._feed(x))  # type: ignore[no-any-return]


class TransformerDecoderLayer(_Layer):
    """Attention of a sequence to itself, then to `memory`, then two linear layers; each added and normalised.

    activation: "relu", "gelu" or a function. norm_first: normalise before and not after.
    """

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """tgt, memory: (length, batch, d_model), or as `batch_first` says. Returns the shape of `tgt`."""
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        x: Any = tgt
        if self.norm_first:
            x = x + self._attend(1, self.norm1(x), None, *own)
            x = x + self._attend(2, self.norm2(x), memory, *other)
            return x + self._feed(self.norm3(x))  # type: ignore[no-any-return]
        x = self.norm1(x + self._attend(1, x, None, *own))
        x = self.norm2(x + self._attend(2, x, memory, *other))
        return self.norm3(x + self._feed(x))  # type: ignore[no-any-return]


class TransformerEncoder(_Stack):
    """`num_layers` copies of an encoder layer, one after the other. norm: a last layer."""

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """src: as the layers take it. Returns that shape."""
        return self._through(  # type: ignore[no-any-return]
            src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal)
        )


class TransformerDecoder(_Stack):
    """`num_layers` copies of a decoder layer, one after the other. norm: a last layer."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """tgt, memory: as the layers take them. Returns the shape of `tgt`."""
        return self._through(  # type: ignore[no-any-return]
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=bool(tgt_is_causal),
            memory_is_causal=memory_is_causal,
        )
