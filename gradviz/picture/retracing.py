"""Retracing: the wires by which a tensor's data went to a cut and from there to what gradient was to start from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gradviz.picture.records import Wire, WireKind

_ROADS = frozenset({WireKind.GRADIENT, WireKind.TRACKED, WireKind.SHADOW, WireKind.CUT})
"""Wires along which data flowed from one box to the next."""


class _Step(NamedTuple):
    """The wire to take next, or None at the target itself, and the target that it leads to."""

    wire: int | None
    target: str


class Retracer:
    """Finds lost roads among `wires`; they end at one of the boxes `goals`, or at an exit that leads to none."""

    def __init__(self, wires: Sequence[Wire], goals: Iterable[str], exits: Iterable[str] = ()) -> None:
        self._wires = wires
        self._coming: dict[str, list[int]] = {}
        self._twins: dict[tuple[str, str], list[int]] = {}
        for number, wire in enumerate(wires):
            if wire.kind in _ROADS:
                self._coming.setdefault(wire.head, []).append(number)
                self._twins.setdefault((wire.tail, wire.head), []).append(number)
        self._onward = self._steps(exits) | self._steps(goals)

    def retrace(self, starts: Iterable[str], cuts: Sequence[str]) -> tuple[frozenset[int], list[str]]:
        """The shortest road from each of `starts` to the nearest of `cuts`, and on to the nearest goal,
        or else to the nearest exit.

        Where several wires join two boxes on it, all of them are on it.
        Returns the wires by position, and those of `cuts` that were come to, in their order. A start from which no cut
        can be come to adds nothing.
        """
        steps = self._steps(cuts)
        found: set[int] = set()
        entered: set[str] = set()
        for start in starts:
            if start in steps:
                entered.add(steps[start].target)
                self._follow(start, steps, found)
        for cut in entered:
            self._follow(cut, self._onward, found)
        taken = [self._wires[number] for number in found]
        twins = frozenset(twin for wire in taken for twin in self._twins[wire.tail, wire.head])
        return twins, [cut for cut in cuts if cut in entered]

    def _steps(self, targets: Iterable[str]) -> dict[str, _Step]:
        """For each box from which a target can be come to, the first step towards the nearest one."""
        steps = {target: _Step(None, target) for target in targets}
        pending = deque(steps)
        while pending:
            head = pending.popleft()
            for number in self._coming.get(head, ()):
                tail = self._wires[number].tail
                if tail not in steps:
                    steps[tail] = _Step(number, steps[head].target)
                    pending.append(tail)
        return steps

    def _follow(self, box: str, steps: dict[str, _Step], found: set[int]) -> None:
        """Add the wires from `box` on, up to one that is there already: from there on the road is known."""
        step = steps.get(box)
        while step is not None and step.wire is not None and step.wire not in found:
            found.add(step.wire)
            step = steps[self._wires[step.wire].head]
