"""Keeping: what the node of an op keeps for backward, as far as that can be said of an op that has no node.

Best is another op of the same recording that has one: of the same name, arguments and shapes, or of the same name at
least. Where the program never tracks such an op, the table below says it, for ops that nearly every program uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from types import MappingProxyType

from gradviz.events import Saved
from gradviz.graphs import Graph, Op
from gradviz.stats.memory import Storage, lives_anyway, saved_value

_NOTHING = """
    add sub neg mean sum add_ sub_ cumsum rsub flip roll repeat tril triu diagonal trace
    view view_as reshape reshape_as flatten unflatten squeeze unsqueeze transpose t mT T permute movedim swapaxes select
    slice narrow chunk split tensor_split unbind expand expand_as broadcast_to broadcast_tensors contiguous clone to
    float double half bfloat16 type type_as cpu cuda cat concat stack hstack vstack pad unfold fold getitem
    adaptive_avg_pool1d adaptive_avg_pool2d interpolate upsample pixel_shuffle alias real imag identity
"""
_RESULT = """
    exp expm1 exp2 sqrt rsqrt reciprocal sigmoid tanh tan relu relu_ sigmoid_ tanh_ softmax log_softmax dropout_
"""
_FIRST = """
    log log2 log10 log1p sin cos asin acos atan sinh cosh asinh acosh atanh erf erfc abs square clamp clip clamp_min
    clamp_max gelu silu mish leaky_relu elu selu softplus softsign hardtanh hardswish hardsigmoid relu6 logsigmoid glu
    avg_pool1d avg_pool2d max_pool1d max_pool2d layer_norm group_norm batch_norm instance_norm rms_norm var l1_loss
"""
_CROSSED = "mul matmul mm bmm linear conv1d conv2d conv3d conv_transpose2d outer dot mv einsum addmm baddbmm bilinear"

KEPT: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        **dict.fromkeys(_NOTHING.split(), ()),
        **dict.fromkeys(_RESULT.split(), (-1,)),
        **dict.fromkeys(_FIRST.split(), (0,)),
        **dict.fromkeys(["pow", "minimum", "maximum", "mse_loss", "smooth_l1_loss", "huber_loss"], (0, 1)),
        **dict.fromkeys(["norm", "std", "logsumexp", "prod", "max", "min", "amax", "amin"], (0, -1)),
        "embedding": (0,),
        "dropout": (),
        "cross_entropy": (1,),
        "where": (0,),
        "masked_fill": (1,),
        "index_select": (1,),
        "gather": (0, 1),
        "scaled_dot_product_attention": (0, 1, 2, -1),
    }
)
"""What ops keep, as `Saved.source` says it: the positions of inputs, or -1 - k for the k-th output."""

OWN: Mapping[str, int] = MappingProxyType({"max_pool1d": 8, "max_pool2d": 8, "max_pool3d": 8, "dropout": 4})
"""Bytes for each number of the result that nodes make for themselves and keep: indices, a mask."""

CROSSED = frozenset(_CROSSED.split())
"""Products: each input is kept for the gradient of the others, so only where one of them needs a gradient."""


class Keeper:
    """Says of ops of one graph what their nodes would keep."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._alike: dict[tuple[object, ...], Op] = {}
        self._of_needs: dict[tuple[str, tuple[bool, ...]], Op] = {}
        self._of_name: dict[str, Op] = {}
        for op in graph.ops.values():
            if op.tracked and not any(saved.is_gone for saved in op.saved):
                self._alike.setdefault(self._key(op, op.needs), op)
                self._of_needs.setdefault((op.name, op.needs), op)
                self._of_name.setdefault(op.name, op)

    def kept_by(self, op: Op, needs: tuple[bool, ...]) -> dict[Storage, int] | None:
        """Bytes of each storage, leaves' apart, that `op` would keep if `needs` said which inputs need a gradient.

        None where that is not known.
        """
        if op.name.startswith("dropout") and ("training", "False") in op.attrs:
            return {}
        like = self._alike.get(self._key(op, needs)) or self._of_needs.get((op.name, needs))
        if like is not None:
            return self._as(op, like.saved, self._scale(op, like))
        sources = self._sources(op, needs)
        if sources is not None:
            saved = [Saved("", (), "", 0, source) for source in sources]
            return self._as(op, (*saved, *self._own(op)), 1.0)
        like = self._of_name.get(op.name)
        return None if like is None else self._as(op, like.saved, self._scale(op, like))

    def _sources(self, op: Op, needs: tuple[bool, ...]) -> tuple[int, ...] | None:
        """What the table says."""
        values = [at for at, item in enumerate(op.inputs) if isinstance(item, int)]
        if op.name in CROSSED:
            return tuple(at for at in values if any(need for other, need in enumerate(needs) if other != at))
        if op.name == "div":
            return tuple(at for at in values if needs[-1] or at) if len(values) > 1 else ()
        return KEPT.get(op.name.removesuffix("_") if op.name not in KEPT else op.name)

    def _own(self, op: Op) -> list[Saved]:
        """What the table says of tensors that only the node holds."""
        values = self._graph.values
        if op.name == "cross_entropy":  # the logarithm of the softmax of all that it is given
            return [Saved("", (), "", values[item].nbytes) for item in op.inputs[:1] if isinstance(item, int)]
        each = OWN.get(op.name, 0)
        return [Saved("", (), "", each * prod(values[output].shape)) for output in op.outputs[:1] if each]

    def _as(self, op: Op, saved: tuple[Saved, ...], scale: float) -> dict[Storage, int]:
        """`saved` as `op` would have it; what only a node holds grows with the results, by `scale`."""
        values = self._graph.values
        found: dict[Storage, int] = {}
        for place, one in enumerate(saved):
            value = saved_value(op, one)
            if value is None:
                found[op.id, place + 1] = ceil(one.nbytes * scale)
            elif not lives_anyway(self._graph, storage := values[value].storage):
                found[storage, 0] = values[storage].nbytes
        return found

    def _scale(self, op: Op, like: Op) -> float:
        """How much larger the results of `op` are than those of `like`."""
        there = sum(self._graph.values[output].nbytes for output in like.outputs)
        return sum(self._graph.values[output].nbytes for output in op.outputs) / there if there else 1.0

    def _key(self, op: Op, needs: tuple[bool, ...]) -> tuple[object, ...]:
        values = self._graph.values
        return (op.name, op.attrs, needs, *((values[id].shape, values[id].dtype) for id in op.outputs))
