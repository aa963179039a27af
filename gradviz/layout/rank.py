"""Ranks: which row each box goes to, so that data flows one way and wires are short.

Exact (network simplex) while the picture is small; beyond that longest paths, with every box that nothing holds back
pulled down to its first use. Either way frames keep apart from what leads into them and out of them, where that closes
no cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from gradviz.layout import pieces
from gradviz.layout.simplex import longest_path
from gradviz.layout.strands import Strands
from gradviz.layout.tree import Edge

SMALL = 600
"""Up to so many boxes the exact way is taken."""

_FRAME = 4        # weight of the wish that a frame spans few rows
_WIRE = 16        # times a wire's own weight
_SHARED = 4       # from so many heads on, a box's wires are one that many share, as long as its longest
_OUTPUT_SLACK = 4
_GROUPS_WITH_DOORS = 60
_NEVER = -1       # no level: what nothing holds has none


@dataclass(frozen=True, slots=True)
class Group:
    """A frame as ranks see it: its boxes, and whether it is a module, which everything enters from above."""

    boxes: Sequence[int]
    is_module: bool


def ranks(count: int, strands: Strands, groups: Sequence[Group], sinks: Sequence[int]) -> list[int]:
    """Rank of each box, from 0. `groups` are the frames; `sinks` want the last rank."""
    if not count:
        return []
    found = _exact(count, strands, groups) if count <= SMALL else _quick(count, strands, groups)
    last = max(found)
    for box in sinks:
        if last - found[box] <= _OUTPUT_SLACK:
            found[box] = last
    return found


def _exact(count: int, strands: Strands, groups: Sequence[Group]) -> list[int]:
    """Ranks by network simplex. Beside the boxes the problem has each frame's first and last row."""
    shared = _shared(strands)
    edges: list[Edge] = [
        (tail, head, 1, 1 if tail in shared else _WIRE * weight)
        for (tail, head), weight in zip(strands.ends(), strands.weights, strict=True)
    ]
    nodes = count
    doors = _doors(strands, groups, nodes) if len(groups) <= _GROUPS_WITH_DOORS else [[] for _ in groups]
    spans = [_span(group, nodes + 2 * number) for number, group in enumerate(groups)]
    # A wire that many share ends on the row of the last of them, so the others stand where it costs them nothing.
    last = nodes + 2 * len(groups)
    for number, (tail, weights) in enumerate(shared.items()):
        edges.append((tail, last + number, 1, _WIRE * max(weights.values())))
        edges += [(head, last + number, 0, 0) for head in weights]
    every = last + len(shared)
    fit = not groups or _is_acyclic(every, [*edges, *chain(*spans, *doors)])
    for span, own in zip(spans, doors, strict=True):
        edges += span
        # Where doors close a cycle, they are tried one frame after the other.
        if fit or (own and _is_acyclic(every, edges + own)):
            edges += own
    levels = _solve(every, edges, _pendants(strands, groups))
    _even_out(levels, count, edges)
    lowest = min(levels[:count])
    return [level - lowest for level in levels[:count]]


def _pendants(strands: Strands, groups: Sequence[Group]) -> dict[int, int]:
    """The leaves with one use beside them in all frames, each with its user: it stands right above that one."""
    uses, fed = Counter(strands.tails), set(strands.heads)
    found = {tail: head for tail, head in strands.ends() if uses[tail] == 1 and tail not in fed}
    if groups and found:
        around: dict[int, list[int]] = {}
        for number, group in enumerate(groups):
            for box in group.boxes:
                around.setdefault(box, []).append(number)
        found = {tail: head for tail, head in found.items() if around.get(tail) == around.get(head)}
    return found


def _solve(count: int, edges: Sequence[Edge], pendants: dict[int, int]) -> list[int]:
    """Levels of all nodes. Half of a model's boxes are pendants, which need no say of their own."""
    at = [0] * count
    lift = [0] * count
    kept = [node for node in range(count) if node not in pendants]
    for number, node in enumerate(kept):
        at[node] = number
    for leaf, user in pendants.items():
        at[leaf], lift[leaf] = at[user], 1
    joined = [
        (at[tail], at[head], length - lift[tail] + lift[head], weight)
        for tail, head, length, weight in edges
        if at[tail] != at[head]
    ]
    levels = pieces.solve(len(kept), joined)
    return [levels[number] - above for number, above in zip(at, lift, strict=True)]


def _shared(strands: Strands) -> dict[int, dict[int, int]]:
    """The boxes with at least `_SHARED` heads, and for each of these the weight of a wire to it."""
    heads: dict[int, dict[int, int]] = {}
    for (tail, head), weight in zip(strands.ends(), strands.weights, strict=True):
        heads.setdefault(tail, {})[head] = weight
    return {tail: weights for tail, weights in heads.items() if len(weights) >= _SHARED}


def _span(group: Group, first: int) -> list[Edge]:
    """Edges that hold a frame's boxes between the nodes of its first row, `first`, and of its last, the next one."""
    last = first + 1
    edges = [(first, box, 0, 0) for box in group.boxes]
    edges += [(box, last, 0, 0) for box in group.boxes]
    edges.append((first, last, 0, _FRAME))
    return edges


def _doors(strands: Strands, groups: Sequence[Group], nodes: int) -> list[list[Edge]]:
    """For each frame edges that make wires enter through its first row and leave through its last, not at its sides.

    `nodes` is the node of the first frame's first row; two nodes a frame. A leaf may stand beside a region: an update
    under `no_grad` would else drag all parameters to the top.
    """
    around: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        for box in group.boxes:
            around.setdefault(box, []).append(number)
    fed = set(strands.heads)
    enter: list[set[int]] = [set() for _ in groups]
    leave: list[set[int]] = [set() for _ in groups]
    for tail, head in strands.ends():
        tail_in, head_in = around.get(tail, []), around.get(head, [])
        if tail_in == head_in:
            continue
        for number in head_in:
            if number not in tail_in and (groups[number].is_module or tail in fed):
                enter[number].add(tail)
        for number in tail_in:
            if number not in head_in:
                leave[number].add(head)
    return [
        [(box, nodes + 2 * number, 1, 0) for box in sorted(enter[number])]
        + [(nodes + 2 * number + 1, box, 1, 0) for box in sorted(leave[number])]
        for number in range(len(groups))
    ]


def _is_acyclic(count: int, edges: Sequence[Edge]) -> bool:
    try:
        longest_path(count, edges)
    except ValueError:
        return False
    return True


def _even_out(levels: list[int], count: int, edges: Sequence[Edge]) -> None:
    """Boxes that are as well off on several levels move to the emptiest of them, or to the middle one."""
    size = len(levels)
    pull, low, high = [0] * size, [_NEVER] * size, [_NEVER] * size
    for tail, head, length, weight in edges:
        pull[tail] += weight
        pull[head] -= weight
        above, below = levels[tail] + length, levels[head] - length
        if low[head] < above:
            low[head] = above
        if high[tail] > below or high[tail] == _NEVER:
            high[tail] = below
    loose = [box for box in range(count) if not pull[box] and _NEVER < low[box] < high[box]]
    if not loose:
        return
    incoming: dict[int, list[tuple[int, int]]] = {box: [] for box in loose}
    outgoing: dict[int, list[tuple[int, int]]] = {box: [] for box in loose}
    for tail, head, length, _ in edges:
        if head in incoming:
            incoming[head].append((tail, length))
        if tail in outgoing:
            outgoing[tail].append((head, length))
    crowd = Counter(levels[:count])
    for box in loose:
        # One that moved before it may have left more room or less.
        least = max([levels[tail] + length for tail, length in incoming[box]])
        most = min([levels[head] - length for head, length in outgoing[box]])
        crowd[levels[box]] -= 1
        middle = (least + most) / 2
        levels[box] = min(range(least, most + 1), key=lambda level: (crowd[level], abs(level - middle), level))
        crowd[levels[box]] += 1


def _quick(count: int, strands: Strands, groups: Sequence[Group]) -> list[int]:
    """Ranks by longest paths. Frames have doors all or none."""
    found, bounds = _framed(count, strands, groups) if groups else (_lowest(count, strands), [])
    tails, heads = strands.tails, strands.heads
    pull = [0] * count
    fan = [0] * count
    for tail in tails:
        fan[tail] += 1
    for tail, head, weight in zip(tails, heads, strands.weights, strict=True):
        pull[tail] += weight
        if fan[tail] < _SHARED:
            pull[head] -= weight
    # How far down each box may go, by those below it, which have gone down before.
    free = [number for number, tail in enumerate(tails) if pull[tail] > 0]
    free.sort(key=[tail - found[tail] * count for tail in tails].__getitem__)
    kept: dict[int, list[tuple[int, int]]] = {}
    for tail, head, length, _ in bounds:
        if tail < count and pull[tail] > 0:
            kept.setdefault(tail, []).append((head, length))
    for box, numbers in groupby(free, key=tails.__getitem__):
        lowest = min([found[heads[number]] for number in numbers]) - 1
        for head, length in kept.get(box, ()):
            lowest = min(lowest, found[head] - length)
        found[box] = lowest
    # Rows that boxes have left are taken out.
    used = {level: rank for rank, level in enumerate(sorted(set(found[:count])))}
    return [used[level] for level in found[:count]]


def _lowest(count: int, strands: Strands) -> list[int]:
    """The longest path to each box, where no frame has a say."""
    tails, heads = strands.tails, strands.heads
    found = [0] * count
    for number in strands.by_head:
        least = found[tails[number]] + 1
        if least > found[heads[number]]:
            found[heads[number]] = least
    return found


def _framed(count: int, strands: Strands, groups: Sequence[Group]) -> tuple[list[int], list[Edge]]:
    """The longest path to each box and to each frame's first and last row, and the frames' edges that were kept."""
    edges: list[Edge] = [(tail, head, 1, 0) for tail, head in strands.ends()]
    bounds = [edge for number, group in enumerate(groups) for edge in _span(group, count + 2 * number)]
    doors = [edge for own in _doors(strands, groups, count) for edge in own]
    nodes = count + 2 * len(groups)
    try:
        return longest_path(nodes, edges + bounds + doors), bounds + doors
    except ValueError:
        return longest_path(nodes, edges + bounds), bounds
