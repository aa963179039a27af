"""Freed: which autograd nodes earlier sweeps let go the tensors of, told by numbers that keep nothing alive.

After a sweep that failed, autograd itself cannot tell: what this sweep ran until then is freed as well.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

LIMIT = 4096
"""Most ranges that are remembered; a program of a million sweeps must not grow for it."""


class Freed:
    """Ranges of sequence numbers, which in most sweeps follow each other without a gap."""

    def __init__(self) -> None:
        self._ranges: deque[tuple[int, int]] = deque(maxlen=LIMIT)

    def add(self, numbers: Iterable[int]) -> None:
        """The nodes of these numbers were freed."""
        ordered = sorted(numbers)
        if not ordered:
            return
        if ordered[-1] - ordered[0] == len(ordered) - 1:
            self._ranges.append((ordered[0], ordered[-1]))
            return
        first = last = ordered[0]
        for number in ordered:
            if number > last + 1:
                self._ranges.append((first, last))
                first = number
            last = number
        self._ranges.append((first, last))

    def among(self, numbers: Iterable[int]) -> set[int]:
        """Those of `numbers` that were freed."""
        starts: list[int] = []
        ends: list[int] = []
        for first, last in sorted(self._ranges):
            if ends and first <= ends[-1]:
                ends[-1] = max(ends[-1], last)
            else:
                starts.append(first)
                ends.append(last)
        found = set()
        for number in numbers:
            at = bisect_right(starts, number) - 1
            if at >= 0 and number <= ends[at]:
                found.add(number)
        return found
