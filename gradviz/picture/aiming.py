"""Aiming: which ops a part of a graph lacks, so that its picture shows what the findings blame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gradviz.graphs import Graph
from gradviz.picture.places import SHOWN, Places, is_skipped

if TYPE_CHECKING:
    from gradviz.diagnose import Finding


def missing_culprits(graph: Graph, part: Graph, findings: Iterable[Finding]) -> tuple[int, ...]:
    """Ids of ops of `graph` that are to be drawn for the errors and warnings whose culprit `part` lacks.

    A culprit that ran many times is shown as it ran on a value of `part`, else as it ran last. Where nothing ran at the
    culprit's place, or only tensors were made, those that suffer stand for it.
    """
    places = Places(graph)
    drawn = {value.storage for value in part.values.values()}
    found: set[int] = set()
    for finding in findings:
        if finding.severity not in SHOWN:
            continue
        sites = places.sites(finding)
        if any(sweep.site in sites for sweep in part.sweeps):
            continue
        regions = {region.id for region in graph.regions.values() if region.site in sites}
        ops = [op.id for op in graph.ops.values() if op.site in sites or op.region in regions]
        if not regions:
            ops = [op for op in ops if not is_skipped(graph, op)] or ops
        if not part.ops.keys().isdisjoint(ops):
            continue
        if all(graph.ops[op].is_source for op in ops):
            values = [graph.values[value] for value in finding.values if value in graph.values]
            found.update(value.op for value in values if value.storage not in drawn)
        else:
            found.add(_best(graph, part, ops))
    return tuple(sorted(found))


def _best(graph: Graph, part: Graph, ops: Sequence[int]) -> int:
    """The last of `ops` that a value of `part` went into, or the last."""
    joined = (id for id in reversed(ops) if not part.values.keys().isdisjoint(graph.ops[id].value_inputs))
    return next(joined, ops[-1])
