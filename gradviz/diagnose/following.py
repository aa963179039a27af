"""Following: parameters that the program itself moves after others, as a target network is moved after the online one.

No gradient is meant for them: their numbers come from the parameters that they follow, by an average or a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradviz.diagnose.facts import Facts
from gradviz.graphs import Op


@dataclass(frozen=True, slots=True)
class Following:
    """`leader` is the parameter that another one is moved after, by the op at `site`; both by first version."""

    leader: int
    site: int | None


def followers(facts: Facts) -> dict[int, Following]:
    """The parameters without a gradient that are moved after others of their shape once a backward has run."""
    return facts.once(_find_followers)


def _find_followers(facts: Facts) -> dict[int, Following]:
    graph = facts.graph
    first = min((max(sweep.roots) for sweep in graph.sweeps if sweep.roots and not sweep.error), default=None)
    homes = _homes(facts)
    found: dict[int, Following] = {}
    if first is None:
        return found
    for op in graph.ops.values():
        if op.tracked or not op.outputs or op.outputs[0] < first or not (op.inplace or op.name == "set_data"):
            continue
        written = _parameter(facts, op.outputs[0], homes)
        if written is None or written in found or facts.parameters[written].gradients:
            continue
        leader = _leader(facts, op, written, homes)
        # What is copied back, such as an average to evaluate with, does not make a follower of the leader.
        if leader is not None and (leader not in found or found[leader].leader != written):
            found[written] = Following(leader, op.site)
    return found


def _homes(facts: Facts) -> dict[int, int]:
    """For each storage the parameter that its numbers are of."""
    values = facts.graph.values
    return {values[version].storage: item.id for item in facts.parameters.values() for version in item.versions}


def _parameter(facts: Facts, value: int, homes: dict[int, int]) -> int | None:
    """The parameter that `value` is a version or a view of; None for none, also for what was not yet put into one."""
    if facts.tensor(value) in facts.parameters:
        return facts.tensor(value)
    storage = facts.graph.values[value].storage
    return homes.get(storage) if storage != value else None


def _leader(facts: Facts, op: Op, written: int, homes: dict[int, int]) -> int | None:
    """The parameter that untracked `op` made the new numbers of `written` from; None for no other of its shape."""
    graph = facts.graph
    seen: set[int] = set()
    pending = list(op.value_inputs)
    while pending:
        item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        value = graph.values[item]
        home = _parameter(facts, item, homes)
        if home is None:
            if not graph.ops[value.op].tracked:
                pending += graph.ops[value.op].value_inputs
        elif home != written and value.shape == graph.values[written].shape:
            return home
    return None
