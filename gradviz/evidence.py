"""Evidence: what there is to know of a loss and of parameters at hand, from autograd itself and from a recording.

Autograd has the last word on whether a gradient comes to a parameter: a recording does not see compiled code. But it is
the recording that knows lines and what was skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gradviz.diagnose.facts import Facts
from gradviz.graphs import Graph
from gradviz.recorder import Recorder, recordings
from gradviz.snapshot import is_own


@dataclass(frozen=True)
class Evidence:
    """A graph in which a loss is `root`, and the parameters that are there, by name, are `values`."""

    graph: Graph
    root: int
    values: Mapping[str, int]

    @cached_property
    def facts(self) -> Facts:
        """The answers to the rules' questions."""
        return Facts(self.graph)

    @property
    def starts(self) -> bool:
        """Backward can start at the loss."""
        return self.graph.values[self.root].requires_grad

    @cached_property
    def _reached(self) -> frozenset[int]:
        return frozenset(self.facts.leaves_behind([self.root]) if self.starts else ())

    def reaches(self, name: str) -> bool:
        """A gradient of the loss comes to the parameter `name`."""
        return name in self.values and self.facts.tensor(self.values[name]) in self._reached

    def title(self, name: str) -> str:
        """What the program calls the parameter `name`; empty where that is not known."""
        return self.facts.name(self.values[name]) if name in self.values else ""

    def values_of(self, names: list[str]) -> dict[int, str]:
        """The first versions of those parameters that are there, and their names."""
        return {self.facts.tensor(self.values[name]): name for name in names if name in self.values}


def walk(loss: Any, parameters: Mapping[str, Any], unnamed: frozenset[str]) -> Evidence:
    """What the tensors themselves remember. PyTorch's remember no lines, gradviz's remember some.

    The parameters are called in the graph as they are here; those of `unnamed` only where it has no name for them.
    """
    if is_own(loss):
        from gradviz.core.snapshot import snapshot
        from gradviz.core.values import value_id

        own = {name: tensor for name, tensor in parameters.items() if is_own(tensor)}
        graph = Graph.build(snapshot([loss, *own.values()]))
        return _evidence(graph, value_id(loss), {name: value_id(tensor) for name, tensor in own.items()}, unnamed)
    from gradviz.frontends.torch.snapshot import Snapshot

    walked = Snapshot([loss])
    root = walked.value_of(loss)
    assert root is not None, "a snapshot knows what it was made of"
    found = {name: walked.value_of(tensor) for name, tensor in parameters.items()}
    return _evidence(Graph.build(walked.events), root, found, unnamed)


def recall(loss: Any, parameters: Mapping[str, Any], unnamed: frozenset[str]) -> Evidence | None:
    """What the innermost or latest recording that knows the loss tells, as `walk` does; None where there is none."""
    for recording in recordings():
        root = _value_of(recording, loss)
        if root is None:
            continue
        graph = recording.graph()
        # A recording that ended does not see what is written in place afterwards.
        if root in graph.values and graph.values[root].leaf == loss.is_leaf:
            found = {name: _value_of(recording, tensor) for name, tensor in parameters.items()}
            return _evidence(graph, root, found, unnamed)
    return None


def _evidence(graph: Graph, root: int, found: Mapping[str, int | None], unnamed: frozenset[str]) -> Evidence:
    values = {name: value for name, value in found.items() if value is not None and value in graph.values}
    called = {
        value: replace(graph.values[value], name=name)
        for name, value in values.items()
        if name not in unnamed or not graph.values[value].name
    }
    return Evidence(replace(graph, values={**graph.values, **called}), root, values)


def _value_of(recording: Recorder, tensor: Any) -> int | None:
    if is_own(tensor):
        from gradviz.core.values import value_id

        return value_id(tensor)
    return recording.value_of(tensor)
