"""Estimating: what tracking would have kept in regions where grad mode was off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradviz.events import Cause
from gradviz.graphs import Graph, Op
from gradviz.stats.keeping import Keeper
from gradviz.stats.memory import Storage

_STOPS = frozenset(
    {
        Cause.DETACH, Cause.DETACH_, Cause.DATA, Cause.ITEM, Cause.NUMPY, Cause.RETENSOR, Cause.INTEGER,
        Cause.NONDIFFERENTIABLE, Cause.FROZEN,
    }
)  # fmt: skip
_STOPPING = frozenset({"detach", "detach_", "data", "item", "numpy", "tolist", "tensor"})
_WITHOUT_DATA = ("_like",)
"""Ops that take a tensor's shape and nothing of its data: `zeros_like`."""


@dataclass(slots=True)
class Spared:
    """What one region, over one time that it was entered, did not keep."""

    storages: dict[Storage, int]
    known: int = 0
    unknown: int = 0

    @property
    def nbytes(self) -> int:
        """Memory of all storages."""
        return sum(self.storages.values())


def spared_by(graph: Graph) -> tuple[dict[int, Spared], frozenset[int]]:
    """For each region by its id what it spared, and the ops that would have been tracked with grad mode on."""
    keeper = Keeper(graph)
    found: dict[int, Spared] = {}
    skipped: set[int] = set()
    for op, needs in _would_be_tracked(graph):
        assert op.region is not None
        spared = found.setdefault(op.region, Spared({}))
        skipped.add(op.id)
        kept = keeper.kept_by(op, needs)
        if kept is None:
            spared.unknown += 1
        else:
            spared.known += 1
            spared.storages.update(kept)
    return found, frozenset(skipped)


def _would_be_tracked(graph: Graph) -> Iterator[tuple[Op, tuple[bool, ...]]]:
    """Ops that autograd passed over, each with the inputs that would have needed a gradient."""
    needing: set[int] = set()
    for op in graph.ops.values():
        if op.tracked or op.region is None or graph.regions[op.region].enabled:
            continue
        needs = tuple(
            need or (isinstance(item, int) and item in needing) for item, need in zip(op.inputs, op.needs, strict=False)
        )
        if any(needs) and _passes_gradient(graph, op, needs):
            needing.update(output for output in op.outputs if _is_continuous(graph.values[output].dtype))
            yield op, needs


def _passes_gradient(graph: Graph, op: Op, needs: tuple[bool, ...]) -> bool:
    if op.cause in _STOPS or op.name in _STOPPING or op.name.endswith(_WITHOUT_DATA):
        return False
    if op.inplace:
        target = op.inputs[op.alias or 0]
        if isinstance(target, int) and needs[op.alias or 0] and graph.values[target].leaf and op.needs[op.alias or 0]:
            return False  # the update of a parameter: with grad mode on it is an error, not a node
    return any(_is_continuous(graph.values[output].dtype) for output in op.outputs)


def _is_continuous(dtype: str) -> bool:
    return "float" in dtype or dtype.startswith("complex")
