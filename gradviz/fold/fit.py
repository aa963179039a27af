"""Fitting: a graph folded until its picture fits a page, or as its reader chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from operator import attrgetter

from gradviz.events import Module
from gradviz.fold.calls import Call, find_calls, walk
from gradviz.fold.choice import Choice, is_meant
from gradviz.fold.joining import join_folds, stand_for
from gradviz.fold.rows import count_rows
from gradviz.fold.siblings import Run, Siblings
from gradviz.fold.views import uses, view_chains
from gradviz.graphs import Fold, Graph, Op

MOST = 120
"""A graph of so many boxes is drawn as it is."""

PAGE = 64
"""So many boxes a larger graph is folded to, if it can be."""

ROWS = 32
"""So many rows a page has at most, if it can be: a picture of one long road is tall although it has few boxes."""

LAYER = 12
"""A module of at most so many ops, none of them in a module within, is one box: what is in a `Linear` is known."""

LEAVES = 8
"""Of so many marked leaves each has its box. More of them have one cause, and the boxes of their modules count them."""

Part = Call | Run


def fit(
    graph: Graph,
    choice: Choice | None = None,
    marked: Collection[int] = (),
    modules: Iterable[Module] = (),
    most: int = MOST,
    times: Mapping[int, tuple[int, ...]] | None = None,
) -> Graph:
    """`graph` with the folds that `choice` asks for; those of ops that are `marked` are open if there is room.

    Where nothing is asked for, a graph of more than `most` boxes is folded to about `PAGE`, and to fewer where these
    would stand in more than `ROWS` rows. `modules` tell what kind of module a scope is; those of a whole recording
    serve its parts as well. `times` tell how often the loops ran that an op stands for, if it does.
    """
    choice = choice or Choice()
    chosen = choice.depth is not None or bool(choice.collapse)
    large = not choice.everything and count_boxes(graph) > most
    if not chosen and not large:
        return graph
    kinds = {module.scope: module.kind for module in modules or graph.modules}

    def folded(fitting: _Fitting) -> Graph:
        return join_folds(graph, [replace(fold, module=kinds.get(fold.scope, "")) for fold in fitting.folds()])

    fitting = _Fitting(graph, replace(choice, expand=()), frozenset(marked), large, times or {})
    made = folded(fitting)
    rows = count_rows(made) if fitting.may_close() else 0
    page = fitting.page
    while rows > ROWS and fitting.may_close():
        fitting.fill(fitting.page * 3 // 4)
        closer = folded(fitting)
        lower = count_rows(closer)
        if lower < rows:
            made, rows, page = closer, lower, fitting.page
    # Rows that were asked for close nothing else.
    return folded(_Fitting(graph, choice, frozenset(marked), large, times or {}, page)) if choice.expand else made


def count_boxes(graph: Graph) -> int:
    """About how many boxes the picture of the graph has."""
    if not graph.folds:
        items = chain.from_iterable(map(attrgetter("inputs"), graph.ops.values()))
        return len(graph.ops) + list(map(type, items)).count(str)
    standing = stand_for(graph.folds)
    return sum([_boxes(op) for op in graph.ops.values() if standing.shown(op.id) == op.id])


def _boxes(op: Op) -> int:
    return 1 + sum([type(item) is str for item in op.inputs])


class _Fitting:
    """One graph being folded; `opened` are the parts that are drawn item by item."""

    def __init__(
        self,
        graph: Graph,
        choice: Choice,
        marked: frozenset[int],
        large: bool,
        times: Mapping[int, tuple[int, ...]],
        page: int = 0,
    ) -> None:
        self.graph = graph
        self.choice = choice
        self.marked = marked
        leaves = {op for op in marked if graph.ops[op].is_source}
        self.sought = marked if len(leaves) <= LEAVES else marked - leaves
        self.large = large
        self.root, self.owners = find_calls(graph)
        self.shared = Counter([path[-1] for path in self.owners.values()])
        calls = [call for call in walk(self.root) if call.name]
        apart = {call: "collapsed" for call in calls if is_meant(call.name, choice.collapse)}
        apart |= {call: "" for call in calls if is_meant(call.name, choice.expand)}
        self.siblings = Siblings(graph, self.root, marked, apart, times)
        self.contents: dict[Part, list[int | Part]] = {}
        self.gains: dict[Part, int] = {}
        self.asked = self._calls_around(call for call in calls if is_meant(call.name, choice.expand))
        self.telling = self._calls_around(call for call in calls if self._has_sought(call))
        self.fill(page or PAGE)

    def fill(self, page: int) -> None:
        """Open what makes about `page` boxes, and nothing else."""
        self.page = page
        self.opened: set[Part] = {self.root}
        self.total = self._inside(self.root)
        self._open()

    def may_close(self) -> bool:
        """A smaller page might be a lower one."""
        return self.large and self.choice.depth is None and self.page > ROWS // 2 and len(self.opened) > 1

    def _calls_around(self, inner: Iterable[Call]) -> frozenset[Call]:
        """The calls `inner` and all calls around them."""
        found: set[Call] = set()
        for call in inner:
            around: Call | None = call
            while around is not None and around not in found:
                found.add(around)
                around = around.parent
        return frozenset(found)

    def _has_sought(self, call: Call) -> bool:
        return not self.sought.isdisjoint(call.sources) or not self.sought.isdisjoint(call.items)

    # which parts are opened

    def _open(self) -> None:
        level: list[Part] = self._parts(self.root)
        while level:
            closed = [part for part in level if not self._stays_closed(part)]
            wanted = [part for part in closed if self._is_wanted(part)]
            for part in wanted:
                self._open_part(part)
            others = [part for part in closed if part not in self.opened and not (self.large and self._is_layer(part))]
            if self.large and self.choice.depth is None:
                self._open_what_fits(others)
            elif self.choice.depth is None:
                for part in others:
                    self._open_part(part)
            level = [inner for part in level if part in self.opened for inner in self._parts(part)]

    def _stays_closed(self, part: Part) -> bool:
        return any(is_meant(call.name, self.choice.collapse) for call in _calls_of(part))

    def _is_wanted(self, part: Part) -> bool:
        """It is opened before any other: it was asked for, costs nothing, or has something in it that is to be seen."""
        calls = _calls_of(part)
        if not self.asked.isdisjoint(calls):
            return True
        if self.choice.depth is not None:
            return part_depth(part) < self.choice.depth
        gain = self._gain(part)
        if gain <= 0 and not self._is_layer(part):
            return True
        return not self.telling.isdisjoint(calls) and self.total + gain <= MOST

    def _is_layer(self, part: Part) -> bool:
        calls = _calls_of(part)
        if len(calls) != 1 or self.choice.depth is not None:
            return False
        call = calls[0]
        return call.kind == "scope" and call.size <= LAYER and not any(isinstance(item, Call) for item in call.items)

    def _open_what_fits(self, parts: list[Part]) -> None:
        """All of one level or, where that is too much, the small ones that leave room for others."""
        if self.total + sum(self._gain(part) for part in parts) <= self.page:
            for part in parts:
                self._open_part(part)
        else:
            room = self.page // 2 if self.total > self.page // 4 else self.page
            for part in sorted(parts, key=self._gain):
                if self.total + self._gain(part) <= room:
                    self._open_part(part)

    def _open_part(self, part: Part) -> None:
        if part not in self.opened:
            self.total += self._gain(part)
            self.opened.add(part)

    def _gain(self, part: Part) -> int:
        """How many boxes more there are when a part is opened."""
        if part not in self.gains:
            self.gains[part] = self._inside(part) - 1
        return self.gains[part]

    # what is in a part

    def _inside(self, part: Part) -> int:
        """How many boxes an opened part has with all parts in it closed."""
        boxes = sum(_boxes(self.graph.ops[item]) if type(item) is int else 1 for item in self._items(part))
        call = part if isinstance(part, Call) else _only_call(part)
        # A weight that several calls of one module use goes with that module, wherever it stands.
        weights = 0 if call is None else self.shared[call.kind, call.name]
        return boxes + weights + sum([source not in self.owners for source in self._sources(part)])

    def _sources(self, part: Part) -> list[int]:
        call = part if isinstance(part, Call) else _only_call(part)
        if call is not None:
            runs = [item for item in self._items(part) if isinstance(item, Run)]
            taken = {op for run in runs for turn in run.turns for op in turn}
            return [source for source in call.sources if source not in taken]
        assert isinstance(part, Run)
        calls = [call for item in part.first if isinstance(item, Call) for call in walk(item)]
        inner = {source for call in calls for source in call.sources}
        return [op for op in part.turns[0] if self.graph.ops[op].is_source and op not in inner]

    def _items(self, part: Part) -> list[int | Part]:
        """The items of a part; where they repeat, the run of them takes their place."""
        if part not in self.contents:
            call = part if isinstance(part, Call) else _only_call(part)
            self.contents[part] = list(part.first) if call is None and isinstance(part, Run) else self._merged(call)
        return self.contents[part]

    def _merged(self, call: Call | None) -> list[int | Part]:
        assert call is not None
        runs = self.siblings.runs(call) if self.large else []
        merged: list[int | Part] = []
        at = 0
        for run in runs:
            merged += [*call.items[at : run.start], run]
            at = run.start + run.length * len(run.turns)
        return [*merged, *call.items[at:]]

    def _parts(self, part: Part) -> list[Part]:
        return [item for item in self._items(part) if not isinstance(item, int)]

    # what comes of it

    def folds(self) -> Iterator[Fold]:
        """The folds of what is not opened, and of what is opened and stands for more or in a frame."""
        used = uses(self.graph) if self.large else {}
        stack: list[Part] = [self.root]
        while stack:
            part = stack.pop()
            if part not in self.opened:
                yield self._sharing(part.fold(open=False), part) if isinstance(part, Run) else self._closed(part)
                continue
            if isinstance(part, Run):
                yield self._sharing(part.fold(open=True), part)
            elif self.large and self._deserves_frame(part):
                yield replace(self._closed(part), open=True)
            items = self._items(part)
            if self.large:
                yield from view_chains(self.graph, [item for item in items if isinstance(item, int)], used, self.marked)
            stack += [item for item in items if not isinstance(item, int)]

    def _deserves_frame(self, call: Call) -> bool:
        """An opened call that is a part of the whole and has several things in it.

        Of a module that is all there is in another one, such as a list of layers in its block, the outer one has it.
        """
        if call.kind != "scope" or 2 * call.size >= self.root.size:
            return False
        around = call.parent
        if around is not None and around.kind == "scope" and around.items == [call]:
            return False
        items = self._items(call)
        while len(items) == 1 and isinstance(items[0], Call) and items[0] in self.opened:
            items = self._items(items[0])
        return len(items) > 1

    def _closed(self, call: Call) -> Fold:
        ops = [item for inner in walk(call) for item in inner.items if not isinstance(item, Call)]
        sources = [source for inner in walk(call) for source in inner.sources]
        turn = (*sorted(ops), *sorted(sources))
        fold = Fold(call.kind, call.last_name, (turn,), call.name, option=f"--expand {call.name}")
        return self._sharing(fold, call)

    def _sharing(self, fold: Fold, part: Part) -> Fold:
        """The fold with the weights that belong to it as much as to other calls of the same modules."""
        if not self.owners:
            return fold
        names = {(call.kind, call.name) for call in self._all_calls(part)}
        shared: set[int] = set()
        for op in fold.ops:
            for value in self.graph.ops[op].value_inputs:
                made = self.graph.values[value].op
                if made in self.owners and made not in shared and not names.isdisjoint(self.owners[made]):
                    shared.add(made)
        return replace(fold, shared=tuple(sorted(shared.difference(fold.ops))))

    def _all_calls(self, part: Part) -> list[Call]:
        """The calls that a part is made of, in every turn; those around its ops where it is made of ops alone."""
        if isinstance(part, Call):
            return [part]
        items = part.call.items[part.start : part.start + part.length * len(part.turns)]
        return [item for item in items if isinstance(item, Call)] or [part.call]


def _only_call(run: Run) -> Call | None:
    """The call that the first turn of a run is, if it is one."""
    first = run.first[0]
    return first if run.length == 1 and isinstance(first, Call) else None


def _calls_of(part: Part) -> list[Call]:
    return [part] if isinstance(part, Call) else [item for item in part.first if isinstance(item, Call)]


def part_depth(part: Part) -> int:
    """How deep a part lies: the script's own calls lie at depth 1."""
    return part.depth if isinstance(part, Call) else part.call.depth + 1
