"""Gradients: how large each one is, at a cost that a training step does not feel.

The norm of a gradient takes one look at each of its elements, and for GPT-2 at 32 tokens these looks take 7 % of the
whole step. So of a large gradient a part is looked at: blocks that lie evenly in it, always the same ones. That says
how large it is and whether it is all zero; a NaN that stands alone outside of the blocks goes unseen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from gradviz.frontends.torch.autograd.nodes import is_wrapped

WHOLE = 1 << 16
"""Most elements of a gradient that is looked at as a whole, and how many are looked at of a larger one."""

BLOCKS = 16


class Measure(NamedTuple):
    """The 2-norm of a gradient, `estimated` from a part of it where it is large, and what is special about it."""

    norm: float
    zero: bool
    nan: bool
    estimated: bool


def measure(gradients: list[torch.Tensor]) -> list[Measure]:
    """Measure each gradient; one that cannot be looked at, such as one of a layout without norms, is not."""
    try:
        return _measured(gradients)
    except _CANNOT:
        if len(gradients) > 1:
            return [found for gradient in gradients for found in measure([gradient])]
        return [_UNSEEN]


_CANNOT = (RuntimeError, TypeError, NotImplementedError)
"""What PyTorch raises where a dtype, a layout or a device knows no such operation."""


def _measured(gradients: list[torch.Tensor]) -> list[Measure]:
    with torch.no_grad():
        seen = [_seen(gradient) for gradient in gradients]
        parts = [part for _, part in seen if part is not None]
        found = iter([float(norm) for norm in torch._foreach_norm(parts)] if parts else [])
        return [_UNSEEN if part is None else _judge(values, values is not part, next(found)) for values, part in seen]


_UNSEEN = Measure(math.nan, zero=False, nan=False, estimated=True)
"""For a gradient without elements to look at."""


_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


def _seen(gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The values of a gradient, and what has the norm of the part of them that is looked at."""
    if is_wrapped(gradient) or gradient.device.type == "meta":
        return gradient, None
    if gradient.is_nested:
        parts = [part.reshape(-1) for part in gradient.unbind()]
        gradient = torch.cat(parts) if parts else gradient.new_empty(0)
    if gradient.layout in _COMPRESSED:
        gradient = gradient.values()
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    if not (values.numel() > WHOLE and values.device.type == "cpu" and values.is_contiguous()):
        return values, values
    rest = values.numel() % BLOCKS
    rows = (values.view(-1)[:-rest] if rest else values).view(BLOCKS, -1)
    # Row by row, which is five times as fast as all at once where the rows do not follow each other in memory.
    norms: torch.Tensor = torch.linalg.vector_norm(rows[:, : WHOLE // BLOCKS], dim=-1)
    return values, norms


def _judge(values: torch.Tensor, is_large: bool, norm: float) -> Measure:
    """What the norm of the part that was looked at says of a gradient."""
    if is_large and norm != 0.0:
        return Measure(norm * math.sqrt(values.numel() / WHOLE), False, math.isnan(norm), estimated=True)
    whole = norm if norm != 0.0 else float(torch.linalg.vector_norm(values))
    return Measure(whole, whole == 0.0 and not bool(values.any()), math.isnan(whole), estimated=False)
