"""Retracing: the wires by which a tensor's data went to a cut and from there to what gradient was to start from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from gradviz.picture.records import Wire, WireKind

_ROADS = frozenset({WireKind.GRADIENT, WireKind.TRACKED, WireKind.SHADOW, WireKind.CUT})
"""Wires along which data flowed from one box to the next."""


class Retracer:
    """Finds lost roads among `wires`; they end at the boxes `goals`, or at an exit that leads to none."""

    def __init__(self, wires: Sequence[Wire], goals: Iterable[str], exits: Iterable[str] = ()) -> None:
        self._wires = wires
        self._coming: dict[str, list[int]] = {}
        self._going: dict[str, list[int]] = {}
        for number, wire in enumerate(wires):
            if wire.kind in _ROADS:
                self._coming.setdefault(wire.head, []).append(number)
                self._going.setdefault(wire.tail, []).append(number)
        self._to_goal = self._leading_to(goals)
        self._to_exit = self._leading_to(exits)

    def retrace(self, starts: Iterable[str], cuts: Sequence[str]) -> tuple[frozenset[int], list[str]]:
        """All roads from `starts` to `cuts`, and on from these to the goals, or to exits where they lead to no goal.

        Returns the wires by position, and those of `cuts` that were come to, in their order. A start from which no cut
        can be come to adds nothing.
        """
        found, met = self._between(starts, self._leading_to(cuts))
        entered = [cut for cut in cuts if cut in met]
        onward = [cut for cut in entered if cut in self._to_goal]
        found |= self._between(onward, self._to_goal)[0]
        found |= self._between([cut for cut in entered if cut not in self._to_goal], self._to_exit)[0]
        return frozenset(found), entered

    def _leading_to(self, targets: Iterable[str]) -> set[str]:
        """The boxes from which a target can be come to, targets among them."""
        known = set(targets)
        pending = list(known)
        while pending:
            for number in self._coming.get(pending.pop(), ()):
                tail = self._wires[number].tail
                if tail not in known:
                    known.add(tail)
                    pending.append(tail)
        return known

    def _between(self, starts: Iterable[str], leading: Set[str]) -> tuple[set[int], set[str]]:
        """The wires that go on from `starts` among the boxes of `leading`, and the boxes that they join."""
        met = {start for start in starts if start in leading}
        pending = list(met)
        found: set[int] = set()
        while pending:
            for number in self._going.get(pending.pop(), ()):
                head = self._wires[number].head
                if head not in leading:
                    continue
                found.add(number)
                if head not in met:
                    met.add(head)
                    pending.append(head)
        return found, met
