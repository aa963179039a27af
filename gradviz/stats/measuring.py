"""Measuring: a graph, added up by module scope, by region, by sweep and by optimizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from gradviz.events import COVERAGE, Cause
from gradviz.graphs import Graph, Region
from gradviz.stats.estimating import Spared, spared_by
from gradviz.stats.memory import Memory, Storage, survey
from gradviz.stats.records import Estimate, RegionRow, ScopeRow, Stats, StepRow, SweepRow, Tally

_MEANT = frozenset({Cause.ITEM, Cause.NUMPY})
"""Causes by which data leaves for Python: nothing that autograd could have recorded."""

_Place = tuple[str, int]


def measure(graph: Graph) -> Stats:
    """Add up `graph`, the whole of a recording."""
    memory = survey(graph)
    spared, skipped = spared_by(graph)
    skipped |= {op.id for op in graph.ops.values() if op.cause is not None and op.cause not in _MEANT}
    scopes: dict[str, _Sum] = {}
    inside: dict[str, _Sum] = {}
    regions: dict[int, _Sum] = {}
    total = _Sum(memory)
    around: dict[str, tuple[str, ...]] = {}
    for op in graph.ops.values():
        if op.is_source:
            continue
        paths = around.get(op.scope)
        if paths is None:
            paths = around[op.scope] = _around(op.scope)
            for path in paths:
                scopes.setdefault(path, _Sum(memory))
                inside.setdefault(path, _Sum(memory))
        sums = [total, scopes[op.scope], *(inside[path] for path in paths)]
        if op.region is not None:
            sums.append(regions.setdefault(op.region, _Sum(memory)))
        for one in sums:
            one.add(op.id, op.tracked, op.id in skipped)
    for time in graph.times:
        if time.sweep is not None or time.optimizer is not None:
            continue
        total.nanoseconds += time.nanoseconds
        for path in around.setdefault(time.scope, _around(time.scope)):
            inside.setdefault(path, _Sum(memory)).nanoseconds += time.nanoseconds
        scopes.setdefault(time.scope, _Sum(memory)).nanoseconds += time.nanoseconds
        if time.region is not None:
            regions.setdefault(time.region, _Sum(memory)).nanoseconds += time.nanoseconds
    rows = tuple(
        ScopeRow(path, scopes[path].tally() if path in scopes else Tally(), inside[path].tally())
        for path in _in_order(inside)
    )
    return Stats(
        graph.header.target, total.tally(), memory.leaves, memory.peak, memory.packed, bool(graph.times), rows,
        tuple(_regions(graph, memory, regions, spared)), tuple(_sweeps(graph, memory)), tuple(_steps(graph)),
        next((note.text for note in graph.notes if note.kind == COVERAGE), ""),
    )  # fmt: skip


class _Sum:
    """A tally in the making."""

    __slots__ = ("_memory", "_saved", "_unfreed", "nanoseconds", "ops", "skipped", "tracked")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.ops = self.tracked = self.skipped = self.nanoseconds = 0
        self._saved: set[Storage] = set()
        self._unfreed: set[Storage] = set()

    def add(self, op: int, tracked: bool, skipped: bool) -> None:
        self.ops += 1
        self.tracked += tracked
        self.skipped += skipped
        kept = self._memory.kept.get(op)
        if kept is not None:
            self._saved.update(kept)
            if op not in self._memory.freed:
                self._unfreed.update(kept)

    def join(self, other: _Sum) -> None:
        self.ops += other.ops
        self.tracked += other.tracked
        self.skipped += other.skipped
        self.nanoseconds += other.nanoseconds
        self._saved |= other._saved
        self._unfreed |= other._unfreed

    def tally(self) -> Tally:
        size = self._memory.bytes_of
        return Tally(self.ops, self.tracked, self.skipped, size(self._saved), size(self._unfreed), self.nanoseconds)


def _around(scope: str) -> tuple[str, ...]:
    """`scope` and the scopes that it lies in, the outermost first: `a`, `a.b`, `a.b.c`."""
    parts = scope.split(".")
    return tuple(".".join(parts[: count + 1]) for count in range(len(parts)))


def _in_order(paths: Iterable[str]) -> list[str]:
    """As they were first run, each followed by those inside it; last what ran outside of all modules."""
    inner: dict[str, list[str]] = {}
    roots: list[str] = []
    for path in sorted(paths, key=lambda path: not path):
        outer, dot, _ = path.rpartition(".")
        (inner.setdefault(outer, []) if dot else roots).append(path)
    ordered: list[str] = []
    pending = roots[::-1]
    while pending:
        path = pending.pop()
        ordered.append(path)
        pending += inner.get(path, [])[::-1]
    return ordered


def _regions(graph: Graph, memory: Memory, sums: dict[int, _Sum], spared: Mapping[int, Spared]) -> Iterable[RegionRow]:
    places: dict[tuple[str, bool, str, int], list[Region]] = {}
    for region in graph.regions.values():
        places.setdefault((region.kind, region.enabled, *_place(graph, region.site)), []).append(region)
    for (kind, enabled, path, line), entered in places.items():
        sum_ = _Sum(memory)
        for region in entered:
            if region.id in sums:
                sum_.join(sums[region.id])
        yield RegionRow(
            kind, enabled, path, line, len(entered), sum_.tally(),
            None if enabled else _estimate([spared[region.id] for region in entered if region.id in spared]),
        )  # fmt: skip


def _estimate(spared: list[Spared]) -> Estimate:
    """One estimate for all times that a region was entered."""
    storages: dict[Storage, int] = {}
    for one in spared:
        storages.update(one.storages)
    return Estimate(
        sum(storages.values()),
        max((one.nbytes for one in spared), default=0),
        sum(one.known for one in spared),
        sum(one.unknown for one in spared),
    )


def _sweeps(graph: Graph, memory: Memory) -> Iterable[SweepRow]:
    times = Counter({time.sweep: time.nanoseconds for time in graph.times if time.sweep is not None})
    places: dict[tuple[str, str, int], list[int]] = {}
    for index, sweep in enumerate(graph.sweeps):
        places.setdefault((sweep.kind, *_place(graph, sweep.site)), []).append(index)
    for (kind, path, line), runs in places.items():
        sweeps = [graph.sweeps[index] for index in runs]
        yield SweepRow(
            kind, path, line, len(runs), sum(bool(sweep.error) for sweep in sweeps),
            sum(memory.released[index] for index in runs), sum(times[sweep.id] for sweep in sweeps),
        )  # fmt: skip


def _steps(graph: Graph) -> Iterable[StepRow]:
    taken = Counter(act.optimizer for act in graph.acts if act.kind == "step")
    times: Counter[int | None] = Counter()
    for time in graph.times:
        times[time.optimizer] += time.nanoseconds
    for optimizer in graph.optimizers:
        if taken[optimizer.id]:
            path, line = _place(graph, optimizer.site)
            yield StepRow(optimizer.kind, path, line, taken[optimizer.id], times[optimizer.id])


def _place(graph: Graph, site: int | None) -> _Place:
    found = None if site is None else graph.sites.get(site)
    return ("", 0) if found is None else (found.file, found.line)
