"""Hooked: a hook stays on a leaf that is written in place, so it stands on each later version of it, too."""

from __future__ import annotations

from gradviz.columns import trained
from gradviz.events import Act
from gradviz.graphs import Graph

HOOK = "hook"
"""The kind of the act by which a function was put where a gradient comes by."""


def later_versions(graph: Graph) -> dict[Act, tuple[int, ...]]:
    """The hooks on leaves, each with the version that it was put on and those after it."""
    hooks = [act for act in graph.acts if act.kind == HOOK and all(graph.values[value].leaf for value in act.values)]
    if not hooks:
        return {}
    versions: dict[tuple[int, str], list[int]] = {}
    for value in trained(graph.values):
        versions.setdefault((value.storage, value.name), []).append(value.id)
    return {
        act: tuple(
            item
            for first in act.values
            for item in versions.get((graph.values[first].storage, graph.values[first].name), [first])
            if item >= first
        )
        for act in hooks
    }
