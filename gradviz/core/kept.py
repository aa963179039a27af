"""What a custom function saved for its backward: tensors, each with the version at which it must still be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradviz.core.apply import wrap
from gradviz.core.complaints import SECOND_TIME, noted, written
from gradviz.core.tensor import Tensor
from gradviz.core.trace import FREED, Node, Storage


@dataclass(frozen=True, slots=True)
class Kept:
    """One saved tensor.

    tensor  the tensor itself; None for an output of the function, which would hold the node that holds it
    number  as which output of the function it is made again from `array`
    """

    tensor: Tensor | None
    number: int
    array: Any
    storage: Storage
    version: int | None


def keep(node: Node, tensors: Sequence[Tensor | None], outputs: Sequence[Tensor]) -> tuple[Kept | None, ...]:
    """Save tensors for a node with these outputs."""
    kept: list[Kept | None] = []
    for tensor in tensors:
        if tensor is None:
            kept.append(None)
            continue
        number = next((place for place, output in enumerate(outputs) if output is tensor), -1)
        storage = tensor._storage
        kept.append(Kept(tensor if number < 0 else None, number, tensor._data, storage, storage.version))
    return tuple(kept)


def unpacked(node: Node, kept: Any) -> tuple[Tensor | None, ...]:
    """The saved tensors. Raises RuntimeError where they were freed, or one was written in place since."""
    if kept is FREED:
        raise noted(RuntimeError(SECOND_TIME), node)
    return tuple(None if one is None else _checked(node, one) for one in kept)


def _checked(node: Node, kept: Kept) -> Tensor:
    tensor = kept.tensor
    if tensor is None:
        tensor = wrap(kept.array, node, kept.number, kept.number not in node.row.nondifferentiable_outputs)
        tensor._storage = kept.storage
    if kept.version is not None and kept.storage.version != kept.version:
        error = noted(RuntimeError(written(tensor, kept.storage, kept.version)), node)
        vars(error)["concerned"] = (node.id, *getattr(kept.storage, "written", ()))
        raise error
    return tensor
