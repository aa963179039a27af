"""Owning: which backward passes an optimizer's steps are for, where several optimizers take turns, as in a GAN."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gradviz.diagnose.facts import Facts
from gradviz.events import Act, Sweep
from gradviz.query import ancestors


def on_own_roads(facts: Facts, ops: Collection[int], owners: Iterable[int]) -> list[int]:
    """Those of `ops` that led to a loss for which one of the `owners` steps; all where that tells none apart.

    A cut on the road to another optimizer's loss is meant to be one: a discriminator is not to train the generator.
    """
    if len(ops) < 2 or len(facts.stepped) < 2:
        return list(ops)
    stepped_for = facts.once(_stepped_for)
    own = {index for owner in owners for index in stepped_for.get(owner, ())}
    led = facts.once(_led).setdefault(frozenset(own), {*_behind(facts, own)}) if own else set()
    return [op for op in ops if op in led] or list(ops)


def _behind(facts: Facts, sweeps: Iterable[int]) -> Iterable[int]:
    graph = facts.graph
    return ancestors(graph, [root for index in sweeps for root in graph.sweeps[index].roots])


def _led(facts: Facts) -> dict[frozenset[int], set[int]]:
    """For sweeps the ops behind them, as they are asked for."""
    return {}


def _stepped_for(facts: Facts) -> dict[int, set[int]]:
    """For each optimizer the sweeps, by index, that ran between one of its steps and the steps before it."""
    at = {sweep.id: index for index, sweep in enumerate(facts.graph.sweeps)}
    found: dict[int, set[int]] = {}
    since: set[int] = set()
    over = False
    for item in facts.graph.order:
        if isinstance(item, Sweep):
            if over:
                since, over = set(), False
            since.add(at[item.id])
        elif isinstance(item, Act) and item.kind == "step" and item.optimizer is not None:
            found.setdefault(item.optimizer, set()).update(since)
            over = True
    return found
