"""Later turns: the ops of a rolled loop that need not be gone through, as the second turn tells how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter

from gradviz.graphs import LOOPS, Graph, Op


def later_equals(graph: Graph) -> dict[int, Sequence[int]]:
    """For ops of the second turn of a loop, their equals in the turns after it, where those add no wire.

    All that goes into such an op is a literal, the same value each time, or made in its turn or the one before: by an
    equal of what makes it in the second turn, since turns are equal in that. And it is tracked: no cut is passed over.
    """
    found: dict[int, Sequence[int]] = {}
    for fold in graph.folds:
        if not fold.open or fold.times < 3 or fold.kind not in LOOPS:
            continue
        made = {*fold.turns[0], *fold.turns[1]}
        ops, length = fold.ops, len(fold.turns[0])
        for place, id in enumerate(fold.turns[1]):
            op = graph.ops[id]
            if not op.inputs or not op.outputs or not op.tracked or op.forgotten or op.inplace:
                continue
            equals = ops[2 * length + place :: length]
            if _are_fed_alike(graph, op, equals, made):
                found[id] = equals
    return found


def _are_fed_alike(graph: Graph, op: Op, equals: Sequence[int], made: set[int]) -> bool:
    """Whether what `equals` get from elsewhere than the turns, which `made` what `op` gets, is the same for all."""
    ops = list(map(graph.ops.__getitem__, equals))
    if set(map(attrgetter("needs"), ops)) != {op.needs}:
        return False
    inputs = list(map(attrgetter("inputs"), ops))
    for position, item in enumerate(op.inputs):
        outer = item.__class__ is int and graph.values[item].op not in made
        if outer and set(map(itemgetter(position), inputs)) != {item}:
            return False
    return True


def passed_over(equals: Mapping[int, Sequence[int]]) -> frozenset[int]:
    """The ops that are not gone through."""
    return frozenset().union(*equals.values())
