"""Steps: a loop that ran time after time, such as a recurrent cell over a sequence, drawn as one turn of it.

The turn that is drawn is the first one; what it hands on to the next is told with it. What one turn alone uses, such as
the input of its step, goes with it. What all of them use, such as the weights of the cell, stays what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from shlex import quote
from typing import TypeVar

from gradviz.collecting import uncollected
from gradviz.fold.choice import is_meant
from gradviz.fold.iterations import Sweeps
from gradviz.fold.joining import join_folds
from gradviz.fold.turns import LEAST, Turns, find_turns, outer
from gradviz.fold.updates import KIND as UPDATES
from gradviz.fold.updates import find_updates
from gradviz.graphs import Carried, Fold, Graph, Op, Value
from gradviz.picture.wording import Wording, dots
from gradviz.targets import single_target, unpacked_target

LOOP = "loop:"
"""How the address of a loop begins."""

T = TypeVar("T")


@uncollected
def roll_steps(graph: Graph, apart: Collection[int] = (), opened: tuple[str, ...] = ()) -> Graph:
    """`graph` with a fold for each loop whose turns did the same; loops inside the turn that is drawn are rolled too.

    A turn in which something is that is in no other, a cut, a number that is no number, a backward pass that failed or
    gave a leaf another kind of gradient, is drawn by itself, and so is one that has one of the ops `apart` in it. Loops
    whose addresses (`loop:10-14`) one of the patterns `opened` means stay as they are.
    """
    loops = tuple(pattern for pattern in opened if pattern.startswith(LOOP))
    return join_folds(graph, [fold for fold in find_steps(graph, apart) if not is_meant(address(fold), loops)])


def address(fold: Fold) -> str:
    """What `--expand` opens a loop by: `loop:10-14` or, where several files take part, `loop:train.py:10-14`."""
    lines = fold.title.partition(" · ")[2]
    return LOOP + lines.removeprefix("lines ").removeprefix("line ") if lines and fold.kind != UPDATES else ""


def find_steps(graph: Graph, apart: Collection[int] = ()) -> Iterator[Fold]:
    """The folds of loops, those inside the turns of others among them, and of the updates in an iteration."""
    sweeps = Sweeps(graph)
    alone = {*apart, *sweeps.failed, *(graph.values[value].op for error in graph.errors for value in error.values)}
    names = _Names(graph)
    for found in find_turns(graph, alone):
        for turns in sweeps.split(found):
            if turns.times >= LEAST:
                sources = _own_sources(graph, turns)
                iterations = sweeps.are_in(turns)
                yield _fold(graph, turns, names, sources, iterations=iterations)
                if iterations:
                    yield from find_updates(graph, turns.turn(0), {row[0] for row in sources})


def _fold(graph: Graph, turns: Turns, names: _Names, sources: list[list[int]], *, iterations: bool) -> Fold:
    ids = [op.id for op in turns.ops]
    members = tuple(zip(*(ids[place :: turns.length] for place in range(turns.length)), *sources, strict=True))
    kind = "iterations" if iterations else "steps"
    ops = turns.turn(0)
    scopes = [tuple(scope.split(".")) for scope in dict.fromkeys(op.scope for op in ops)]
    scope = ".".join(shared_start(scopes))
    title = names.title("iteration" if iterations else "step", ops)
    fold = Fold(kind, title, members, scope, carried=tuple(_carried(graph, turns)), open=True)
    return replace(fold, option=f"--expand {quote(address(fold))}") if address(fold) else fold


# what goes with each turn


def _own_sources(graph: Graph, turns: Turns) -> list[list[int]]:
    """The leaves that come new with each turn: for each place where one goes in first, the ops that make it."""
    found: list[list[int]] = []
    taken: set[int] = set()
    for place in range(turns.start, turns.start + turns.length):
        for position, fed in enumerate(turns.track.feeds[place]):
            row = _row(graph, turns, place, position) if fed is not None and fed < 0 else []
            if row and taken.isdisjoint(row):
                taken.update(row)
                found.append(row)
    return found


def _row(graph: Graph, turns: Turns, place: int, position: int) -> list[int]:
    """The sources of the values at one place of each turn; empty if one of them is not new there, or not alike."""
    track = turns.track
    row: list[int] = []
    for at in range(place, place + turns.length * turns.times, turns.length):
        fed = track.feeds[at][position]
        item = None if fed is None or fed >= 0 else outer(fed)
        if item is None or track.users[item] != track.ops[at].id or not graph.ops[graph.values[item].op].is_source:
            return []
        row.append(item)
    kinds = {_kind(graph, item) for item in row}
    return row if len(kinds) == 1 and len(set(row)) == len(row) else []


def _kind(graph: Graph, item: int) -> tuple[object, ...]:
    """What leaves at one place of each turn have in common; those of an op with several results never do."""
    value = graph.values[item]
    alone = len(graph.ops[value.op].outputs) == 1
    return (value.shape, value.dtype, value.requires_grad, value.role) if alone else (item,)


def _carried(graph: Graph, turns: Turns) -> Iterator[Carried]:
    """What one turn hands on to a later one, in the order in which it is made."""
    values = graph.values
    places = {op.id: place for place, op in enumerate(turns.turn(0))}
    entering: dict[tuple[int, int], int | None] = {}
    first, second = turns.turn(0), turns.turn(1)
    for op, model in zip(second, first, strict=True):
        for item, before in zip(op.inputs, model.inputs, strict=True):
            if isinstance(item, int) and values[item].op in places:
                value = values[item]
                key = (places[value.op], value.index)
                enters = before if isinstance(before, int) and values[before].op not in places else None
                entering.setdefault(key, enters)
    last = turns.turn(turns.times - 1)
    shared, used = Counter(entering.values()), set[str]()
    for (place, index), enters in sorted(entering.items(), key=lambda pair: pair[0]):
        made = values[first[place].outputs[index]]
        leaves = last[place].outputs[index]
        came = "" if enters is None else values[enters].name
        own = ""
        if shared[enters] > 1:  # after `h = c = zeros(3)` what comes in has one name for two
            own = made.name if "[" not in made.name else ""  # an entry of a list is one turn's
            came = came if came not in used else ""
        told = (_assigned(graph, made), own, came, made.name, first[place].name)
        name = next(name for name in told if name)
        used.add(name)
        yield Carried(name, enters, leaves)


def _assigned(graph: Graph, value: Value) -> str:
    """The variable that the program put the value into, whatever it is called at the end."""
    op = graph.ops[value.op]
    target = graph.sites[op.site].target if op.site is not None else ""
    count = len(op.outputs)
    return single_target(target) if count == 1 else unpacked_target(target, value.index, count)


# what it is called


class _Names:
    """What loops are called."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.words = Wording(graph)

    def title(self, what: str, ops: Collection[Op]) -> str:
        """`step · lines 10-14`: where the calls that led to the ops part ways."""
        chains = list(dict.fromkeys(self._chain(op.site) for op in ops))
        shared = len(shared_start(chains))
        if not chains or any(len(chain) <= shared for chain in chains):
            shared = max(0, min(len(chain) for chain in chains) - 1) if chains else 0
        steps = [self.graph.sites[chain[shared]] for chain in chains if len(chain) > shared]
        if not steps:
            return what
        lines = sorted(step.line for step in steps if step.line and step.file == steps[0].file)
        if not lines:
            return what
        first = self.words.line(min(steps, key=lambda step: step.line or lines[0]).id)
        if lines[0] == lines[-1]:
            return dots(what, first)
        return dots(what, f"{first.replace('line ', 'lines ')}-{lines[-1]}")

    def _chain(self, site: int | None) -> tuple[int, ...]:
        """The calls that led to the site, outermost first, and itself."""
        steps: list[int] = []
        while site is not None:
            steps.append(site)
            site = self.graph.sites[site].caller
        return tuple(reversed(steps))


def shared_start(rows: Sequence[tuple[T, ...]]) -> tuple[T, ...]:
    """What all of `rows` begin with."""
    found: list[T] = []
    for items in zip(*rows, strict=False):
        if any(item != items[0] for item in items):
            break
        found.append(items[0])
    return tuple(found)
