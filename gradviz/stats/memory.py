"""Memory: which storages the nodes of a recording keep for backward, and which of them sweeps let go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gradviz.events import Saved, Sweep
from gradviz.graphs import Graph, Op
from gradviz.query import gradient_inputs

Storage = tuple[int, int]
"""A storage: the value that first had it and 0 or, for what only a node holds, the op's id and the place from 1 on."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What nodes keep.

    kept      the storages that each tracked op keeps, leaves' apart
    sizes     bytes of each storage
    leaves    bytes of the leaves' storages that nodes keep besides
    packed    saved tensors that cannot be told of
    freed     ops whose saved tensors a sweep let go
    released  bytes that each sweep let go: those that nothing else kept
    peak      most bytes at one time
    """

    kept: dict[int, tuple[Storage, ...]]
    sizes: dict[Storage, int]
    leaves: int
    packed: int
    freed: frozenset[int]
    released: tuple[int, ...]
    peak: int

    def held_by(self, ops: Iterable[int]) -> int:
        """Bytes that `ops` keep and no sweep let go, each storage once."""
        return self.bytes_of({storage for id in ops if id not in self.freed for storage in self.kept.get(id, ())})

    def bytes_of(self, storages: Iterable[Storage]) -> int:
        """Size of `storages`, each of which is given once."""
        sizes = self.sizes
        return sum(sizes[storage] for storage in storages)


def survey(graph: Graph) -> Memory:
    """Go through the ops and the sweeps as they ran."""
    kept: dict[int, tuple[Storage, ...]] = {}
    sizes: dict[Storage, int] = {}
    leaves: dict[int, int] = {}
    packed = 0
    for op in graph.ops.values():
        if not op.tracked or not op.saved:
            continue
        found: dict[Storage, None] = {}
        for place, saved in enumerate(op.saved):
            if saved.is_gone:
                packed += 1
                continue
            value = saved_value(op, saved)
            if value is None:
                found[op.id, place + 1] = None
                sizes[op.id, place + 1] = saved.nbytes
                continue
            storage = graph.values[value].storage
            size = graph.values[storage].nbytes
            if lives_anyway(graph, storage):
                leaves[storage] = size
            else:
                found[storage, 0] = None
                sizes[storage, 0] = size
        if found:
            kept[op.id] = tuple(found)
    freed, released, peak = _play(graph, kept, sizes)
    return Memory(kept, sizes, sum(leaves.values()), packed, freed, released, peak)


def saved_value(op: Op, saved: Saved) -> int | None:
    """The value that a saved tensor is, None for one that only the node holds."""
    if saved.source is None:
        return None
    places = op.outputs if saved.source < 0 else op.inputs
    at = -1 - saved.source if saved.source < 0 else saved.source
    value = places[at] if at < len(places) else None
    return value if isinstance(value, int) else None


def lives_anyway(graph: Graph, storage: int) -> bool:
    """The memory is that of a leaf made from nothing, such as a parameter, an input or a constant of the program."""
    return graph.ops[graph.values[storage].op].is_source


def _play(
    graph: Graph, kept: dict[int, tuple[Storage, ...]], sizes: dict[Storage, int]
) -> tuple[frozenset[int], tuple[int, ...], int]:
    """Freed ops, bytes that each sweep released, and the peak."""
    freed = {id: index for index, walked in enumerate(_freed_by(graph)) for id in walked}
    never = len(graph.sweeps)
    first: dict[Storage, int] = {}
    last: dict[Storage, int] = {}
    for id, storages in kept.items():
        for storage in storages:
            first.setdefault(storage, id)
            last[storage] = max(last.get(storage, 0), freed.get(id, never))
    released = [0] * (never + 1)
    for storage, index in last.items():
        released[index] += sizes[storage]
    current = peak = reached = 0
    coming = iter(first.items())
    following = next(coming, None)
    for index, sweep in enumerate(graph.sweeps):
        # A sweep has no place in the order of ops but this: it came after its roots, and after the sweep before it.
        reached = max(reached, *sweep.roots, 0)
        while following is not None and following[1] <= reached:
            current += sizes[following[0]]
            following = next(coming, None)
        peak = max(peak, current)
        current -= released[index]
    while following is not None:
        current += sizes[following[0]]
        following = next(coming, None)
    return frozenset(freed), tuple(released[:never]), max(peak, current)


def _freed_by(graph: Graph) -> Iterator[set[int]]:
    """For each sweep the ops whose saved tensors it was the first to let go."""
    freed: set[int] = set()
    # Behind an op that a sweep of all leaves has freed everything is free: no walk needs to go there again.
    done: set[int] = set()
    for sweep in graph.sweeps:
        walked: set[int] = set()
        if sweep.freed and not sweep.error:
            walked = _walked(graph, sweep, done)
            if sweep.inputs is None:
                done |= walked
            else:
                walked = _on_the_way(graph, walked, sweep.inputs)
        yield walked - freed
        freed |= walked


def _walked(graph: Graph, sweep: Sweep, done: set[int]) -> set[int]:
    found: set[int] = set()
    pending = list(sweep.roots)
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.id not in found and op.id not in done:
            onward = gradient_inputs(graph, op)
            if onward:
                found.add(op.id)
                pending += onward
    return found


def _on_the_way(graph: Graph, walked: set[int], inputs: Iterable[int]) -> set[int]:
    """Those of `walked` that lead on to `inputs`: the engine runs no others, where it is asked for these."""
    marked = set(inputs)
    found: set[int] = set()
    for id in sorted(walked):
        op = graph.ops[id]
        if not marked.isdisjoint(gradient_inputs(graph, op)):
            found.add(id)
            marked.update(op.outputs)
    return found
