"""`grad_fn._saved_self`: what a node saved, by PyTorch's names, for those who look at it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.complaints import SECOND_TIME
from gradviz.core.packing import tensor_of, unpack
from gradviz.core.trace import FREED, Node

_OURS = {"self": "x", "other": "y", "result": "out", "indices": "out1", "exponent": "y", "mat2": "y"}
"""By PyTorch's name that of the op table, where the table has no such name itself."""


def saved_as(node: Node, name: str) -> Any:
    """What the node has under `_saved_<name>`: a tensor, or a static argument of the op.

    Raises RuntimeError where it was freed, AttributeError where the node has nothing of that name.
    """
    row, asked = node.row, name.removeprefix("_saved_")
    own = asked if asked in row.saved_names or asked in row.static else _OURS.get(asked, "")
    if name.startswith("_saved_") and own in row.static:
        return node.static[row.static.index(own)]
    if not name.startswith("_saved_") or own not in row.saved_names or row.key.startswith("custom."):
        raise AttributeError(f"'{type(node).__name__}' object has no attribute '{name}'", name=name, obj=node)
    if node.saved is FREED:
        raise RuntimeError(SECOND_TIME)
    kept = unpack(node)[row.saved_names.index(own)]
    return tensor_of(node, own, kept) if isinstance(kept, (np.ndarray, np.generic)) else kept
