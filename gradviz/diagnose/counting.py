"""Counting: by how many roads tensors come to a loss, and how a sentence says that none of these is left.

`gradviz check` and `gradviz explain` both ask here, so that they say the same of one program.
"""

from __future__ import annotations

from collections.abc import Iterable

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.tracks import Tracks
from gradviz.events import Sweep

FEW = 20
"""Above this a number of roads says nothing to a reader; in a residual network it doubles with each block."""


def lost_count(facts: Facts, values: Iterable[int], op: int, sweep: Sweep | None = None) -> int | None:
    """How many roads each of the leaves `values` has to the last loss that `op` led to, or to that of `sweep`.

    0 where they differ; None where it is not known, because the data left the program's tensors on the way.
    """
    values = list(values)
    for tracks in facts.once(_tracks_to_losses) if sweep is None else [Tracks(facts, sweep.roots)]:
        if op in tracks.leads:
            counts = {tracks.count(_versions(facts, value))[1] for value in values}
            return counts.pop() if len(counts) == 1 else 0
    return None


def _versions(facts: Facts, value: int) -> tuple[int, ...]:
    parameter = facts.parameters.get(value)
    return parameter.versions if parameter is not None else (value,)


def _tracks_to_losses(facts: Facts) -> list[Tracks]:
    """The roads to what was swept last from each line, the latest first; a `backward` goes before a `grad`."""
    last = {(sweep.kind, sweep.site): sweep for sweep in facts.graph.sweeps}
    latest = sorted(last.values(), key=lambda sweep: (sweep.kind != "grad", facts.graph.sweeps.index(sweep)))
    return [Tracks(facts, sweep.roots) for sweep in reversed(latest)]


def roads_are_cut(count: int, goal: str, it: str = "it") -> str:
    """ "both roads from it to `loss` are cut", "its only road to `loss` is cut"; the sentence goes on with "by"."""
    if count == 1:
        return f"{'its' if it == 'it' else 'their'} only road to {goal} is cut"
    if 2 <= count <= FEW:
        return f"{'both roads' if count == 2 else f'all {count} roads'} from {it} to {goal} are cut"
    return f"every road from {it} to {goal} is cut"
