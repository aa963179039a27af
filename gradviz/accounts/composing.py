"""Composing: the account of one value of a graph, from the sweeps that ran, the roads to them and what rules found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradviz.accounts import telling
from gradviz.accounts.records import Account, Held, Mark, Passage, Road, State
from gradviz.accounts.steps import describe, flat_road, road, title
from gradviz.diagnose import diagnose
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Finding
from gradviz.diagnose.tracks import Track, Tracks, dead_end
from gradviz.events import Gradient, Sweep
from gradviz.graphs import Graph, Value
from gradviz.picture.wording import clip, join, numbers
from gradviz.roads import count_roads

_GIVEN = (State.VALUE, State.ZERO, State.NAN)

MISSED_LIMIT = 50
"""Of so many leaves that a root does not reach it is told what cuts them: each takes a walk over the graph."""

_LACKS = ("unrecorded", "failure", "truncated", "unfinished", "newer")
"""Kinds of notes that a reader of an account must know of."""

LOST_LIMIT = 5
"""Most lost roads of one passage that are drawn; the nearest cuts come first."""


def account_of(graph: Graph, value: int, *, remarks: Sequence[str] = (), held: Held | None = None) -> Account:
    """What is to be said of the gradient of value `value`; all versions of a leaf that is written in place are one.

    remarks: what else is to be told, such as how the value was chosen. held: what the tensor itself holds, if at hand.
    """
    return _Composer(Facts(graph), value, held).account(tuple(remarks))


@dataclass(frozen=True, slots=True)
class _Line:
    """A place that calls backward: its sweeps' indices, and those that gave the tensor a gradient, with what."""

    indices: tuple[int, ...]
    got: tuple[tuple[int, Gradient], ...]


@dataclass(frozen=True, slots=True)
class _Met:
    """What one such place has to do with the tensor: the sweep to tell of, and the tracks to its roots."""

    line: _Line
    sweep: Sweep
    tracks: Tracks
    alive: Track | None
    lost: tuple[Track, ...]
    alive_roads: int
    all_roads: int


class _Composer:
    """Puts together the account of one tensor."""

    def __init__(self, facts: Facts, value: int, held: Held | None) -> None:
        self.facts = facts
        self.held = held
        self.recorded = held is None or held.recorded
        self.graph = facts.graph
        self.tensor = facts.tensor(value)
        self.value: Value = self.graph.values[value]
        parameter = facts.parameters.get(self.tensor)
        known = parameter.versions if parameter is not None else ()
        self.values = tuple(sorted({*known, value, *(v for v, f in facts.first_version.items() if f == self.tensor)}))
        self.needs = any(self.graph.values[version].requires_grad for version in self.values)
        self.name = title(facts, value)

    def account(self, remarks: tuple[str, ...]) -> Account:
        passages = tuple(self._passage(line) for line in self._lines()) or self._without_sweep()
        main = _main(passages)
        if main is not None and main.runs and self.needs and main.state is State.NONE and not main.roads:
            ended = self._ended()
            passages = tuple(replace(passage, roads=ended) if passage is main else passage for passage in passages)
            main = _main(passages)
        passages = (*([main] if main is not None else []), *(passage for passage in passages if passage is not main))
        owned = telling.ownership(self.facts, self.tensor) if self.needs else ""
        return Account(
            self.name,
            self.value.id,
            describe(self.facts, self.tensor),
            self.facts.wording.line(self.facts.maker_site(self.tensor)),
            self._outcome(main),
            self._verdict(main) if self.recorded else self._verdict_of_held(main),
            (*((owned,) if owned else ()), *remarks, *self._remarks(main), *self._unseen()),
            passages,
            self._findings(),
        )

    # what each line that calls backward did

    def _lines(self) -> list[_Line]:
        got: dict[int, Gradient] = {}
        places: dict[tuple[str, int | None], list[int]] = {}
        for index, sweep in enumerate(self.graph.sweeps):
            if max(sweep.roots, default=self.tensor) < self.tensor:
                continue  # it ran before the tensor was there
            places.setdefault((sweep.kind, sweep.site), []).append(index)
            for gradient in sweep.gradients:
                if self.facts.tensor(gradient.value) == self.tensor:
                    got[index] = gradient
        lines = [_Line(tuple(at), tuple((i, got[i]) for i in at if i in got)) for at in places.values()]
        return sorted(lines, key=lambda line: line.indices[-1])

    def _tracks(self, line: _Line) -> tuple[Sweep, Tracks]:
        """The sweep to tell of, and the roads to its roots: the last that met the tensor, or else the last."""
        last = line.got[-1][0] if line.got else line.indices[-1]
        born = next((i for i in line.indices if max(self.graph.sweeps[i].roots, default=0) >= self.value.id), last)
        for index in dict.fromkeys((last, born)):
            sweep = self.graph.sweeps[index]
            tracks = Tracks(self.facts, sweep.roots)
            if tracks.has(self.values):
                break
        return sweep, tracks

    def _passage(self, line: _Line) -> Passage:
        sweep, tracks = self._tracks(line)
        alive, lost = tracks.alive(self.values), tracks.lost(self.values)
        chosen = [track for track in lost if not tracks.is_by_nature(track)]
        lost = chosen if alive is not None or chosen else lost
        count = tracks.count(self.values)
        drawn = [track for track in (alive, *lost[:LOST_LIMIT]) if track is not None]
        if not drawn and (data := tracks.by_data(self.values)) is not None:
            drawn = [data]
        met = _Met(line, sweep, tracks, alive, tuple(lost), *count)
        state, norm = self._state(met)
        return Passage(
            sweep.kind,
            telling.call(self.facts, sweep),
            self.facts.wording.line(sweep.site),
            len(line.indices),
            len(line.got),
            state,
            self._told(met, state),
            telling.share(self.facts, *count, lost) if state in (*_GIVEN, State.PASSED) else "",
            _first_line(sweep.error),
            norm,
            tuple(self._road(tracks, track, sweep, state) for track in drawn if track.ops),
            *count,
            len(tracks.uses(self.values)),
        )

    def _road(self, tracks: Tracks, track: Track, sweep: Sweep, state: State) -> Road:
        found = road(self.facts, tracks, track, self.name, sweep.site)
        return flat_road(found, self.facts, track) if state is State.ZERO else found

    def _state(self, met: _Met) -> tuple[State, float | None]:
        if met.line.got:
            return telling.amount(met.line.got[-1][1])
        if met.sweep.error:
            return State.NONE, None
        if self.value.id in met.sweep.roots:
            return State.STARTS, None
        passed = met.alive is not None and not self.value.leaf and self._is_asked_behind(met.sweep)
        return (State.PASSED if passed else State.NONE), None

    def _is_asked_behind(self, sweep: Sweep) -> bool:
        """Gradient that comes to the tensor goes on to something that the sweep was asked for."""
        if sweep.inputs is None:
            return True
        behind = {item for op in self.facts.behind(self.values) for item in self.graph.ops[op].value_inputs}
        return not behind.isdisjoint(sweep.inputs)

    def _told(self, met: _Met, state: State) -> str:
        """What the sweeps of one line did: "a gradient of norm 2", "no gradient: the road to `r` is cut by ..."."""
        if state is State.STARTS:
            return "it starts here"
        if met.line.got:
            gradient = met.line.got[-1][1]
            gave = telling.in_words(state, gradient.norm, estimated=gradient.estimated)
            return gave + telling.counted(len(met.line.got), len(met.line.indices))
        if state is State.PASSED:
            return "a gradient, which passed through it"
        return f"no gradient: {self._reason(met)}"

    def _reason(self, met: _Met) -> str:
        """Why a sweep gave the tensor nothing."""
        roots = met.sweep.roots
        if met.sweep.error and (met.alive is not None or not met.lost):
            return f"it raised `{_first_line(met.sweep.error)}`"
        if not met.tracks.has(self.values):
            return f"nothing that was made from it went into {telling.goal(self.facts, roots)}"
        if met.sweep.inputs is not None and not set(self.values) & set(met.sweep.inputs):
            asked = join([f"`{title(self.facts, item)}`" for item in met.sweep.inputs])
            return f"it was asked for {asked} only"
        if not self.needs:
            return "it requires no grad"
        if met.alive is not None:
            return telling.nothing_came(self.facts, met.alive)
        return telling.roads_cut(self.facts, roots, met.lost, met.all_roads) if met.lost else "no road is known"

    def _without_sweep(self) -> tuple[Passage, ...]:
        """Where no sweep ran: the roads to what a backward could start from."""
        goals = [goal for goal in count_roads(self.graph).goals if goal not in self.values]
        tracks = Tracks(self.facts, goals)
        if not goals or not self.needs or not tracks.has(self.values):
            return ()
        alive, lost, count = tracks.alive(self.values), tracks.lost(self.values), tracks.count(self.values)
        drawn = [track for track in (alive, *lost[:LOST_LIMIT]) if track is not None]
        roads = tuple(road(self.facts, tracks, track, self.name) for track in drawn if track.ops)
        if not roads:
            return ()
        told = f"a backward from `{roads[0].steps[-1].title}` would bring it "
        told += "one" if alive is not None else f"none: {telling.roads_cut(self.facts, goals, lost, count[1])}"
        share = telling.share(self.facts, *count, lost) if alive is not None else ""
        uses = len(tracks.uses(self.values))
        return (Passage("", "", "", 0, 0, State.NONE, told, share, "", None, roads, *count, uses),)

    # the answer

    def _outcome(self, main: Passage | None) -> State:
        if self.held is not None and not self.held.recorded:
            return telling.amount(self.held.gradient)[0]
        return main.state if main is not None else State.NONE

    def _verdict_of_held(self, main: Passage | None) -> str:
        """The answer where nothing was recorded: what the tensor holds, and what a backward would do."""
        name, gradient = f"`{self.name}`", self.held.gradient if self.held is not None else None
        if not self.needs:
            return f"{name} {telling.unneeded(self.facts, self.value)}"
        state, norm = telling.amount(gradient)
        told = f"{name} holds {telling.in_words(state, norm)}"
        if main is None:
            return told
        return f"{told}; {main.told}{f', {main.share}' if main.share else ''}"

    def _verdict(self, main: Passage | None) -> str:
        name = f"`{self.name}`"
        if not self.needs and (main is None or main.state is State.NONE):
            return f"{name} {telling.unneeded(self.facts, self.value)}{self._raised()}"
        if main is None:
            return f"{name} has no gradient: no backward started from it, or from what was made of it"
        share = f", {main.share}" if main.share else ""
        if not main.runs:
            before = " after it was made" if self.graph.sweeps else ""
            return f"{name} has no gradient: no backward ran{before}; {main.told}{share}"
        by = _by(main.call, main.place)
        if main.state is State.STARTS:
            one = "1" if all(extent == 1 for extent in self.value.shape) else "what was passed to it"
            return f"{by} starts at {name}: its gradient there is {one}"
        if main.error:
            reason = main.told.removeprefix("no gradient: ")
            raised = reason.removeprefix("it ") if reason.startswith("it raised") else f"raised: {reason}"
            return f"{name} got no gradient, because {by} {raised}"
        if main.state is State.PASSED:
            kept = "" if self._kept() else " and was not kept"
            return f"a gradient passed through {name}{kept}{share}"
        if main.state is State.NONE:
            return f"{name} got {main.told}{_tail(main.roads)}"
        return f"{name} got {main.told} from {by}{share}"

    def _raised(self) -> str:
        """What came of it where backward was called on a tensor that requires no grad."""
        failed = [sweep for sweep in self.graph.sweeps if sweep.error and self.value.id in sweep.roots]
        if not failed:
            return ""
        return f", so {_by(telling.call(self.facts, failed[-1]), self.facts.wording.line(failed[-1].site))} raised"

    def _unseen(self) -> list[str]:
        """What the recording itself lacks."""
        notes = [note for note in self.graph.notes if note.kind in _LACKS]
        return [f"not all was seen: {clip(note.text, 200)}" for note in notes]

    def _kept(self) -> str:
        acts = [act for act in self.facts.acts("retain_grad") if set(act.values) & set(self.values)]
        return f"`retain_grad()` at {self.facts.line(acts[-1].site)} keeps its gradient" if acts else ""

    def _remarks(self, main: Passage | None) -> tuple[str, ...]:
        told: list[str] = []
        if self.held is not None and self.recorded:
            told += self._since(main, self.held.gradient)
        if main is not None and main.state in _GIVEN and main.brought < main.runs:
            told += self._runs_that_raised(main)
        measure = self.graph.measures.get(self.value.id)
        if measure is not None:
            told.append(f"what it held when it was made: {numbers(measure, math.prod(self.value.shape))}")
        hooks = [act for act in self.facts.acts("hook") if set(act.values) & set(self.values)]
        if hooks:
            where = join(list(dict.fromkeys(self.facts.line(act.site) for act in hooks)))
            told.append(f"a hook on it ({where}) may change its gradient")
        starts = main is not None and main.state is State.STARTS
        if self._kept():
            told.append(self._kept())
        elif self.needs and not self.value.leaf and not starts and main is not None:
            who = "it is the result of an operation, not a leaf"
            told.append(f"{who}: `.grad` stays None unless `{self.name}.retain_grad()` is called before backward")
        if starts or (not self.recorded and not self.value.leaf and main is None):
            told += self._reached()
        if not self.recorded:
            unknown = "which backward ran and what else used it is not known"
            return (*told, f"nothing was recorded, so {unknown}: put `with gradviz.record():` around the code")
        if main is not None and main.kind == "grad" and main.state in _GIVEN and self.value.leaf:
            told.append("`autograd.grad` returns gradients and leaves `.grad` as it is")
        if self.needs and self.value.leaf and not starts and (main is None or not main.roads):
            uses = {op for value in self.values for op in self.facts.consumers.get(value, ())}
            used = [op for op in uses if not self.facts.renews(self.graph.ops[op])]
            told.append("nothing that used it passes a gradient on" if used else "no recorded operation used it")
        return tuple(told)

    def _runs_that_raised(self, main: Passage) -> list[str]:
        """That the line which brought a gradient in one run raised in another: the gradient is of before that."""
        errors = [sweep for sweep in self.graph.sweeps if sweep.error and sweep.kind == main.kind]
        for sweep in reversed(errors):
            if (telling.call(self.facts, sweep), self.facts.wording.line(sweep.site)) == (main.call, main.place):
                return [f"another run of it raised `{_first_line(sweep.error)}`"]
        return []

    def _since(self, main: Passage | None, gradient: Gradient | None) -> list[str]:
        """What `.grad` holds, where that is not what the last backward left there."""
        came = main is not None and main.state in _GIVEN and main.kind == "backward"
        if came and gradient is None:
            return ["its `.grad` is None at this moment: it was cleared since"]
        if gradient is not None and not came and self.value.leaf:
            held = telling.in_words(*telling.amount(gradient))
            return [f"its `.grad` holds {held} all the same, which the recording did not see come"]
        return []

    def _reached(self) -> list[str]:
        """Of a root: which leaves its gradient goes to, and which went into it and get none."""
        sweeps = [sweep for sweep in self.graph.sweeps if self.value.id in sweep.roots and not sweep.error]
        if self.recorded and not sweeps:
            return []
        tracks = Tracks(self.facts, sweeps[-1].roots if sweeps else [self.value.id])
        behind = sorted({*tracks.hops, *tracks.reached})
        leaves = [v for v in behind if self.graph.values[v].leaf and self.graph.values[v].requires_grad]
        asked = sweeps[-1].inputs if sweeps else None
        leaves = leaves if asked is None else [v for v in leaves if v in asked]
        reached = dict.fromkeys(self.facts.tensor(v) for v in leaves if v in tracks.reached)
        unreached = [v for v in leaves if self.facts.tensor(v) not in reached]
        missed: dict[str, list[int]] = {}
        for value in unreached[:MISSED_LIMIT]:
            if lost := tracks.lost([value]):
                missed.setdefault(telling.stops(self.facts, lost), []).append(self.facts.tensor(value))
        told = [f"gradient goes on from it to {telling.tensors(self.facts, list(reached)) if reached else 'no leaf'}"]
        for stops, values in missed.items():
            gets = "gets" if len(set(values)) == 1 else "get"
            told.append(f"{telling.tensors(self.facts, values)} went into it and {gets} none: cut by {stops}")
        if len(unreached) > MISSED_LIMIT:
            told.append(f"so may {len(unreached) - MISSED_LIMIT:,} more tensors, which were not looked into")
        return told

    def _ended(self) -> tuple[Road, ...]:
        """The road of a tensor whose data comes to no root."""
        track = dead_end(self.facts, self.values)
        return () if track is None else (road(self.facts, Tracks(self.facts, ()), track, self.name),)

    def _findings(self) -> tuple[Finding, ...]:
        """What `gradviz check` says of the tensor."""
        names = set(self.facts.names([self.value.id]))
        mine = set(self.values)
        return tuple(
            finding
            for finding in diagnose(self.graph)
            if mine & {*finding.values, *(self.facts.tensor(value) for value in finding.values)}
            or (not finding.values and names & set(finding.names))
        )


def _main(passages: Sequence[Passage]) -> Passage | None:
    """The passage that answers: one that brought something, else one that the tensor's data came to, else any.

    Of several a `backward()` goes before a `grad()`, which writes no `.grad`; then the last one goes first.
    """
    rank = (State.NONE, State.STARTS)
    order = sorted(
        enumerate(passages),
        key=lambda item: (item[1].state not in rank, item[1].state is State.STARTS, *_standing(*item)),
    )
    return order[-1][1] if order else None


def _standing(position: int, passage: Passage) -> tuple[bool, bool, int]:
    return bool(passage.roads), passage.kind != "grad", position


def _tail(roads: Sequence[Road]) -> str:
    """Where the data of a tensor ended that came to no root; empty for one that did."""
    if len(roads) != 1 or roads[0].steps[-1].mark is Mark.ROOT:
        return ""
    if roads[0].by:
        return f"; its road ends by {roads[0].by}"
    return f"; its road ends in `{roads[0].steps[-1].title}`, which no backward started from"


def _by(call: str, place: str) -> str:
    """ "`loss.backward()` (line 9)"."""
    return f"`{call}` ({place})" if place else f"`{call}`"


def _first_line(text: str) -> str:
    return clip(text.splitlines()[0], 90) if text.strip() else ""
