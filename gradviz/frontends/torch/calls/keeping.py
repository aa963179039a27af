"""Keeping: which tensors the nodes of one op keep for backward, and which of its inputs and outputs these are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from gradviz.events import Saved
from gradviz.frontends.torch.autograd.nodes import describe_saved, node_name, saved_tensors


def kept_by(
    node: Any, inputs: Sequence[torch.Tensor | None], outputs: Sequence[torch.Tensor], nodes: tuple[int, int]
) -> Iterator[Saved]:
    """What the nodes of one op keep, from `node`, the last one, back to the first.

    inputs: the tensor at each position, None for a number. nodes: the sequence numbers before the op and after it.
    """
    if node is None:
        return
    places: dict[int, list[int]] = {}
    for position, tensor in enumerate(inputs):
        if tensor is not None:
            places.setdefault(memory_of(tensor), []).append(position)
    for index, output in enumerate(outputs):
        places.setdefault(memory_of(output), []).append(-1 - index)
    pending, seen = [node], {node}
    while pending:
        current = pending.pop()
        for name, held in saved_tensors(current, fresh=True):
            at = places.get(memory_of(held)) if isinstance(held, torch.Tensor) else None
            # The same tensor may be given twice: `x * x` keeps it as `self` and as `other`.
            source = None if at is None else at[min(name == "other", len(at) - 1)]
            if source is None and None in inputs and isinstance(held, torch.Tensor) and not held.dim():
                continue  # the number among the operands, as autograd keeps it
            yield describe_saved(name if current is node else f"{node_name(current)}.{name}", held, source)
        for following, _ in current.next_functions:
            if following is not None and following not in seen and nodes[0] <= following._sequence_nr() < nodes[1]:
                seen.add(following)
                pending.append(following)


def memory_of(tensor: torch.Tensor) -> int:
    """What two tensors that share memory have in common, for as long as they live."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):  # a wrapper without memory of its own
        return id(tensor)
