"""Returning: what findings know of data that left for Python or numpy and came back, in the picture.

No op joins the two ends, so the wire between them is called probable: a rule has matched them by a name or by a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gradviz.graphs import Graph
from gradviz.picture.coming_in import PROBABLE
from gradviz.picture.places import SHOWN
from gradviz.picture.records import Box, BoxKind, Picture, Wire, WireKind

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

_LEAVING = frozenset({"item", "numpy", "retensor"})
"""Kinds of findings on data that left the graph, or a part of it that was begun anew."""


def cut_off(graph: Graph, findings: Iterable[Finding]) -> frozenset[int]:
    """The leaves, by storage, of which a finding says that their data left the graph on its way to a root."""
    told = [finding for finding in findings if finding.kind in _LEAVING and finding.severity in SHOWN]
    owners = {value for finding in told for value in finding.values}
    # A finding speaks of the first version, whose id is what later ones are stored as.
    stored = {value.storage for value in graph.values.values() if value.id in owners} if owners else set()
    return frozenset(owners | stored)


def join_returns(picture: Picture, of_op: Mapping[int, Sequence[Box]], findings: Iterable[Finding]) -> Picture:
    """`picture` with a wire from each box that data left by to the one that it probably came back to."""
    pairs = dict.fromkeys(pair for finding in findings for pair in finding.returns)
    places = {box.id: place for place, box in enumerate(picture.boxes)} if pairs else {}
    wires: dict[tuple[str, str], Wire] = {}
    onward = _onward(picture) if pairs else set()
    for left, back in pairs:
        if left in of_op and back in of_op:
            tail, head = of_op[left][-1].id, of_op[back][-1].id
            if places[tail] < places[head] and (tail, head) not in onward:
                wires[tail, head] = Wire(tail, head, WireKind.SHADOW, PROBABLE)
    return replace(picture, wires=(*picture.wires, *wires.values())) if wires else picture


def _onward(picture: Picture) -> set[tuple[str, str]]:
    """The boxes that data left by, each with those that a wire says it came to, past the number that it was."""
    exits = {box.id for box in picture.boxes if box.kind is BoxKind.EXIT}
    first = {(wire.tail, wire.head) for wire in picture.wires if wire.tail in exits}
    numbers = {head: tail for tail, head in first}
    return first | {(numbers[wire.tail], wire.head) for wire in picture.wires if wire.tail in numbers}
