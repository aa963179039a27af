"""Leaves: those that one op takes by the dozen, such as the weights of an LSTM, drawn as one box beside it.

The weights of a loop are all drawn in front of its frame, so there those that one op takes are put together sooner.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from shlex import quote, split

from gradviz.events import Role
from gradviz.fold.choice import is_meant
from gradviz.fold.joining import join_folds, stand_for
from gradviz.graphs import LOOPS, Fold, Graph, Value

KIND = "leaves"
"""The kind of such a fold."""

MANY = 8
"""So many leaves of one kind, and not fewer, are one box: a row of them is wider than a screen."""

BEFORE_LOOP = 3
"""The same where the leaves go into a loop that takes MANY of them."""

FEW = 8
"""So many leaves that are to be looked at have a box each. More of them have one cause, and their box tells it."""

ADDRESS = "leaves:"
"""How the address of leaves begins that have no name in common; the line of what uses them follows."""

_BOUNDARY = re.compile(r"[.\[]")


def shelve_leaves(graph: Graph, marked: Collection[int] = (), opened: tuple[str, ...] = ()) -> Graph:
    """`graph` with a fold for each group of many leaves that the same boxes use, and nothing else.

    Leaves of a group have in common whether they are parameters, and whether they require grad. The ops `marked` make
    leaves that their reader is looking for: a few of those stay as they are. So does a group whose address one of the
    patterns `opened` means: what its leaves' names begin with (`lstm`), or `leaves:12` by the line of what uses them.
    """
    found = [fold for fold in find_leaves(graph, marked) if not is_meant(address(fold), opened)]
    return join_folds(graph, found) if found else graph


def address(fold: Fold) -> str:
    """What `--expand` opens a group of leaves by."""
    return split(fold.option)[-1]


def find_leaves(graph: Graph, marked: Collection[int] = ()) -> Iterator[Fold]:
    """The folds of leaves in a graph, by the first op that uses them."""
    loops = [op for turn in _wide_loops(graph) for op in turn]
    users = _users(graph, [*(op.id for op in graph.ops.values() if len(op.inputs) >= MANY), *loops])
    in_loops = frozenset(loops)
    groups: dict[tuple[object, ...], list[int]] = {}
    for source, using in users.items():
        value = graph.values[graph.ops[source].outputs[0]]
        key = (frozenset(using), value.role is Role.PARAMETER, value.requires_grad, source in marked)
        groups.setdefault(key, []).append(source)
    for group in groups.values():
        using = users[group[0]]
        least = BEFORE_LOOP if in_loops.issuperset(using) else MANY
        if len(group) >= (FEW + 1 if group[0] in marked else least):
            yield _fold(graph, group, min(using))


def _wide_loops(graph: Graph) -> Iterator[tuple[int, ...]]:
    """The turns that are drawn of loops that take MANY leaves."""
    for fold in graph.folds:
        if fold.open and fold.times > 1 and fold.kind in LOOPS:
            own = frozenset(fold.ops)
            taken = {graph.values[item].op for op in fold.turns[0] for item in graph.ops[op].value_inputs}
            if sum(graph.ops[source].is_source for source in taken - own) >= MANY:
                yield fold.turns[0]


def _users(graph: Graph, ops: Iterable[int]) -> dict[int, set[int]]:
    """What uses each leaf that one of `ops` takes: the boxes, by the op that each one stands for.

    Leaves that have no box of their own are left out, and those that a box uses unseen.
    """
    taken = dict.fromkeys(graph.values[item].op for op in ops for item in graph.ops[op].value_inputs)
    if not taken:
        return {}
    standing = stand_for(graph.folds)
    shared = {source for fold in graph.folds for source in fold.shared}
    alone = [source for source in taken if source not in shared and standing.shown(source) == source]
    found: dict[int, set[int]] = {source: set() for source in alone if _is_plain(graph, source)}
    for op in graph.ops.values():
        for item, needs in zip(op.inputs, op.needs, strict=True):
            if type(item) is not int or graph.values[item].op not in found:
                continue
            made = graph.values[item]
            found[made.op].add(standing.shown(op.id))
            if needs and not made.requires_grad:  # frozen later, and to be seen
                del found[made.op]
    ends = {root for sweep in graph.sweeps for root in sweep.roots}
    return {source: using for source, using in found.items() if ends.isdisjoint(graph.ops[source].outputs)}


def _is_plain(graph: Graph, source: int) -> bool:
    """It makes one leaf from nothing."""
    op = graph.ops[source]
    return op.is_source and not op.tracked and not op.forgotten and len(op.outputs) == 1


def _fold(graph: Graph, group: list[int], user: int) -> Fold:
    values = [graph.values[graph.ops[source].outputs[0]] for source in group]
    name = _shared_name(values)
    at = graph.ops[user].site
    opens = name or f"{ADDRESS}{graph.sites[at].line if at is not None else 0}"
    return Fold(KIND, name or f"{len(group)} leaves", (tuple(group),), name, option=f"--expand {quote(opens)}")


def _shared_name(values: list[Value]) -> str:
    """What all names begin with, up to a dot or a bracket: `lstm` of `lstm.weight_ih_l0` and `lstm.bias_ih_l0`."""
    first, last = min(value.name for value in values), max(value.name for value in values)
    same = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    ends = [match.start() for match in _BOUNDARY.finditer(first[: same + 1])]
    return first[: ends[-1]] if ends else ""
