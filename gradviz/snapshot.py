"""`make_dot` and `graph`: from a tensor at hand to its graph, with or without a recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradviz.errors import UsageError
from gradviz.graphs import Graph

if TYPE_CHECKING:
    from graphviz import Digraph


def graph(var: Any) -> Graph:
    """The graph behind a tensor, or behind every tensor of a tuple, list or dict, from what the core remembers.

    Tracked ops are all there. Of skipped ones a bounded history is kept; `Op.forgotten` says how much was let go.
    Raises UsageError where `var` holds no tensor.
    """
    from gradviz.core.emit import snapshot

    return Graph.build(snapshot(_tensors(var)))


def make_dot(
    var: Any,
    params: Mapping[str, Any] | None = None,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
) -> Digraph:
    """Draw the graph behind `var` as a `graphviz.Digraph`, in torchviz's conventions; what it cannot show, in ours.

    var: a tensor, or a tuple, list or dict of tensors.
    params: names for tensors, by identity; they go before the names of variables.
    show_attrs: list the static arguments that a node keeps.
    show_saved: draw the tensors that a node keeps for its backward.
    max_attr_chars: longest text of one attribute; the rest becomes `...`.

    Shows in a notebook, and renders to SVG, with no `dot` executable. Raises UsageError where `var` holds no tensor.
    """
    from gradviz.core.emit import snapshot, value_id
    from gradviz.views.torchviz import digraph

    tensors = _tensors(var)
    named = dict(params or {})
    known = Graph.build(snapshot(tensors, named))
    return digraph(
        known,
        [value_id(tensor) for tensor in tensors],
        {value_id(tensor): name for name, tensor in named.items() if value_id(tensor) in known.values},
        show_attrs=show_attrs,
        show_saved=show_saved,
        max_attr_chars=max_attr_chars,
    )


def _tensors(var: Any) -> list[Any]:
    """The tensors in `var`, in order: itself, or those in its containers, however deep."""
    from gradviz.core.tensor import Tensor

    found: list[Any] = []
    pending = [var]
    while pending:
        item = pending.pop()
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, Mapping):
            pending.extend(reversed(list(item.values())))
        elif isinstance(item, (list, tuple)):
            pending.extend(reversed(item))
    if not found:
        raise UsageError(
            f"there is no tensor in the `{type(var).__name__}` to draw",
            help="pass a tensor, or a tuple, list or dict of tensors",
        )
    return found
