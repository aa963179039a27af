"""Deciding cuts: of those that a parameter's gradient meets, the ones that took it from the loss of the last step.

A cut inside of a layer, such as the `detach` in a stable softmax, decides nothing where all that the layer gives is cut
again. What was cut before the step began, such as a rollout that several steps learn from, is data to that step.
"""

from __future__ import annotations

from collections.abc import Iterable

from gradviz.diagnose.facts import Facts
from gradviz.events import Cause
from gradviz.graphs import Op

_CUTTING = frozenset({Cause.DETACH.value, Cause.DATA.value, Cause.DETACH_.value})
"""Ops that cut whatever they are given, also what had no history."""


def deciding(facts: Facts, cuts: Iterable[int]) -> list[int]:
    """Of the ops `cuts`, in their order, those that decide; all of them where none is known to."""
    found = list(cuts)
    for decides in (_is_the_last, _is_of_the_step):
        found = [cut for cut in found if decides(facts, facts.graph.ops[cut])] or found
    return found


def _is_the_last(facts: Facts, cut: Op) -> bool:
    """No other cut lies between `cut` and what a sweep goes through, or its numbers went another way."""
    graph = facts.graph
    if facts.feeding.isdisjoint(cut.outputs):
        return True
    roots = {root for sweep in graph.sweeps for root in sweep.roots}
    seen: set[int] = set()
    pending = list(cut.outputs)
    while pending:
        value = pending.pop()
        if value in roots:
            return True
        for id in facts.consumers.get(value, ()):
            op = graph.ops[id]
            if id in facts.swept:
                return True
            if id not in seen and not facts.feeding.isdisjoint(op.outputs) and not _cuts_too(facts, op, cut):
                seen.add(id)
                pending += op.outputs
    return False


def _cuts_too(facts: Facts, op: Op, cut: Op) -> bool:
    if op.tracked:
        return False
    region = facts.graph.regions.get(op.region) if op.region is not None else None
    switched_off = region is not None and not region.enabled and op.region != cut.region
    return op.cause is not None or op.name in _CUTTING or switched_off


def _is_of_the_step(facts: Facts, cut: Op) -> bool:
    """It ran after the last sweep but one from the same place, or there was only one."""
    sweeps = [sweep for sweep in facts.graph.sweeps if not sweep.error and sweep.roots]
    before = [sweep for sweep in sweeps[:-1] if sweep.site == sweeps[-1].site]
    return not before or cut.id > min(before[-1].roots)
