"""Memory that graphs hold, as the rules on memory and lifetime tell it."""

from __future__ import annotations

from collections.abc import Iterable

from gradviz.diagnose.facts import Facts
from gradviz.stats.memory import Memory, survey


def held_bytes(facts: Facts, ops: Iterable[int]) -> int:
    """Bytes saved for backward by `ops` that no sweep let go, each storage once; parameters and inputs not counted."""
    return facts.once(_memory).held_by(ops)


def _memory(facts: Facts) -> Memory:
    return survey(facts.graph)
