"""Repeating: stretches of a sequence that are one block over and over, blocks of such stretches among them.

Nothing here knows what the items of the sequence stand for; they are numbers, equal where the items are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

PATIENCE = 32
"""Comparisons for each item, after which no further block is looked for: what a program does is found in a few."""


class Run(NamedTuple):
    """Items `start` to `start + length * times` of the sequence: a block of `length`, `times` over."""

    start: int
    length: int
    times: int


Head = Callable[[Sequence[int], int], int]
"""Which of the places in a block it is best begun at, by its place among them, given the places and its length."""


def find_runs(items: Sequence[int], least: int, head: Head) -> list[Run]:
    """The runs of blocks that come `least` times or more, the inner ones first.

    What was found is looked at as one item then, so that a run of runs is found as well. A stretch such as `abcabcab`
    can be cut into blocks in several ways, between which `head` chooses.
    """
    found: list[Run] = []
    level = _Level(list(items), list(range(len(items) + 1)))
    numbers: dict[tuple[int, ...], int] = {}
    fresh = max(items, default=0) + 1
    while True:
        runs = level.runs(least, head)
        if not runs:
            return found
        found += [level.placed(run) for run in runs]
        tokens: list[int] = []
        starts: list[int] = []
        done = 0
        for run in runs:
            end = run.start + run.length * run.times
            tokens += level.tokens[done : run.start]
            starts += level.starts[done : run.start]
            block = (run.times, *level.tokens[run.start : run.start + run.length])
            tokens.append(numbers.setdefault(block, fresh + len(numbers)))
            starts.append(level.starts[run.start])
            done = end
        level = _Level(tokens + level.tokens[done:], starts + level.starts[done:])


class _Level:
    """A sequence in which what was found before is one item: what each item is, and where it begins in the original."""

    def __init__(self, tokens: list[int], starts: list[int]) -> None:
        self.tokens = tokens
        self.starts = starts

    def placed(self, run: Run) -> Run:
        """`run` in terms of the original sequence."""
        start, following = self.starts[run.start], self.starts[run.start + run.length]
        return Run(start, following - start, run.times)

    def runs(self, least: int, head: Head) -> list[Run]:
        """Runs that have nothing in common, in order; each with the shortest block that it can have."""
        tokens = self.tokens
        found: list[Run] = []
        last: dict[int, int] = {}
        differs: dict[int, int] = {}  # block length -> where the last stretch of that length ended
        patience = PATIENCE * len(tokens)
        place = floor = 0
        while place < len(tokens):
            token = tokens[place]
            before = last.get(token)
            last[token] = place
            place += 1
            if before is None or before < floor or patience < 0:
                continue
            length = place - 1 - before
            if differs.get(length, 0) >= place:
                continue
            end = place
            while end < len(tokens) and tokens[end] == tokens[end - length]:
                end += 1
            patience -= end - place
            differs[length] = end
            start = before
            while start > floor and tokens[start - 1] == tokens[start - 1 + length]:
                start -= 1
            if end - start < least * length:
                continue
            run = self._best(start, end, length, head)
            if run.times < least:
                run = Run(start, length, (end - start) // length)
            found.append(run)
            place = floor = run.start + run.length * run.times
        return found

    def _best(self, start: int, end: int, length: int, head: Head) -> Run:
        """The stretch cut into blocks where it is best."""
        # The second block: what is special in the first one is not the rule.
        places = self.starts[start + length : start + 2 * length]
        offset = head(places, self.starts[start + 2 * length] - places[0])
        return Run(start + offset, length, (end - start - offset) // length)
