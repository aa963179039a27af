"""Telling: the ops of a graph that its reader is looking for, which a fold is not to hide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradviz.collecting import uncollected
from gradviz.columns import storage_of, trained
from gradviz.events import Cause
from gradviz.graphs import Cut, Graph
from gradviz.picture.places import SHOWN, Places
from gradviz.roads import count_roads

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

FEW = 8
"""Where more ops ran at the place of a finding, the place alone tells none of them apart."""


@uncollected
def telling_ops(graph: Graph, findings: Iterable[Finding] = ()) -> frozenset[int]:
    """The ops that cut, those that a finding or an error is about, and the leaves whose gradient is not as expected."""
    found = {cut.op for cut in graph.cuts if _tells(graph, cut)} | {op for op, _ in count_roads(graph).withheld}
    values = [value for error in graph.errors for value in error.values]
    values += [value for sweep in graph.sweeps for value in sweep.concerned]
    values += _starved(graph)
    shown = [finding for finding in findings if finding.severity in SHOWN]
    places = Places(graph)
    sites = [places.sites(finding) for finding in shown]
    wanted = set().union(*sites)
    at_site: dict[int, list[int]] = {}
    for op in graph.ops.values() if wanted else ():
        if op.site in wanted and op.site is not None:
            at_site.setdefault(op.site, []).append(op.id)
    for finding, own in zip(shown, sites, strict=True):
        ops = [op for site in sorted(own) for op in at_site.get(site, ())]
        if len(ops) <= FEW:
            found.update(ops)
        values += finding.values if len(finding.values) <= FEW else ()
    found.update(graph.values[value].op for value in values if value in graph.values)
    return frozenset(found)


def _tells(graph: Graph, cut: Cut) -> bool:
    """What ran with grad off cuts each weight it used, and its frame tells that. A computed value is another matter."""
    if not graph.ops[cut.op].outputs or cut.cause is Cause.NONDIFFERENTIABLE:
        return False
    return cut.cause not in _GRAD_OFF or not graph.values[cut.value].leaf


_GRAD_OFF = frozenset({Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED})


def _starved(graph: Graph) -> list[int]:
    """The leaves that got a gradient of zeros or NaN, or none although their data went to the root."""
    gradients = [gradient for sweep in graph.sweeps for gradient in sweep.gradients]
    found = [gradient.value for gradient in gradients if gradient.zero or gradient.nan]
    if not any(not sweep.error and sweep.inputs is None for sweep in graph.sweeps):
        return found
    storage = storage_of(graph.values)
    fed = {storage(gradient.value) for gradient in gradients if gradient.value in graph.values}
    unfed = [value for value in trained(graph.values) if value.storage not in fed]
    if unfed:
        roads = count_roads(graph)
        reached = set(map(storage, roads.gradient))
        found += [value.id for value in unfed if value.id in roads.data and value.storage not in reached]
    return found
