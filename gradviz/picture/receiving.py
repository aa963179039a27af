"""Receiving: what the drawn backward passes gave a leaf, where that is not what one expects of it."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from gradviz.columns import storage_of
from gradviz.events import Role
from gradviz.graphs import Graph, Value
from gradviz.roads import Roads, is_view_with_grad_off

UNUSED = "not used in this pass"
"""What is said of a parameter that stands apart, such as that of an expert that was sent nothing."""


class Receipts:
    """What came to the leaves of `graph`. `cut_off` are leaves whose data left the graph on its way to a root."""

    def __init__(self, graph: Graph, roads: Roads) -> None:
        self.cut_off: Collection[int] = frozenset()
        self._graph = graph
        self._roads = roads
        self._gradients = {gradient.value: gradient for sweep in graph.sweeps for gradient in sweep.gradients}
        self._asked = any(not sweep.error and sweep.inputs is None for sweep in graph.sweeps)

    def state(self, value: Value, *, used: bool) -> str:
        """`gradient is zero`, or empty; `used` where an op takes the leaf."""
        given = self._gradients.get(value.id)
        if given is not None:
            return "gradient is NaN" if given.nan else "gradient is zero" if given.zero else ""
        if not self._asked or not value.requires_grad:
            return ""
        on_road = value.id in self._roads.data
        if value.role is Role.PARAMETER and not used and not on_road:
            return UNUSED
        missed = (on_road or value.storage in self.cut_off) and not self._is_reached(value)
        return "gets no gradient" if missed else ""

    def _is_reached(self, value: Value) -> bool:
        """Gradient comes to the leaf, or to another version of it."""
        if value.id in self._roads.gradient and not is_view_with_grad_off(self._graph.ops[value.op]):
            return True
        return value.storage in self._reached

    @cached_property
    def _reached(self) -> set[int]:
        """The storages that gradient comes to."""
        ops = self._graph.ops.values()
        views = {output for op in ops if is_view_with_grad_off(op) for output in op.outputs}
        return set(map(storage_of(self._graph.values), self._roads.gradient.keys() - views))
