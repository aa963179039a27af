"""How the engine runs a node by the general definition: hooks before it and after it, and anomalies looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gradviz.core import anomaly
from gradviz.core.node_hooks import run_hooks, run_prehooks
from gradviz.core.packing import unpack
from gradviz.core.pullback import Arrivals, check, deliver, pull_arrays
from gradviz.core.trace import HOOKED, PACKED, Node

Pull: TypeAlias = Callable[[Node, Sequence[Any]], list[Any]]
"""From the cotangents of a node's outputs that of each input; None where there is none."""


def run_node(
    node: Node,
    slots: list[Any],
    pending: dict[Node, Any],
    arrivals: Arrivals,
    keep: bool,
    pull: Pull = pull_arrays,
) -> None:
    """`pullback.run_node`, with all that may watch a node. `pull` says on what its VJPs run."""
    if node.flags & HOOKED:
        run_prehooks(node, slots)
    try:
        check(node)
        found = _unpacked(node, slots, pull) if node.flags & PACKED else pull(node, slots)
        if anomaly.state.enabled and anomaly.state.check_nan:
            anomaly.refuse_nan(node, found)
    except Exception as error:
        if anomaly.state.enabled:
            anomaly.explain(node, error)
        raise
    if node.flags & HOOKED:
        run_hooks(node, slots, found)
    deliver(node, found, pending, arrivals, keep)


def _unpacked(node: Node, slots: Sequence[Any], pull: Pull) -> list[Any]:
    """Pull with what the user's functions give back in place of what they were given."""
    packed = node.saved
    node.saved = unpack(node)
    try:
        return pull(node, slots)
    finally:
        node.saved = packed
