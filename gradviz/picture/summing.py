"""Summing up: the title, the line of counts, the sentences and the notes that go around a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath

from gradviz.columns import trained
from gradviz.events import COVERAGE, Status
from gradviz.graphs import Graph, Op
from gradviz.picture.wording import TOOLTIP_LIMIT, Wording, clean, clip, dots, join, plural
from gradviz.roads import MANY, Roads, is_view_with_grad_off
from gradviz.views import Options

NOTE_LIMIT = 300
_ALL = re.compile(r"([\d,]+) of \1 ")
"""How the note on coverage begins where nothing is missing, which a reader need not be told."""

CUTS_TOLD = 3
"""How many cuts the description tells one by one."""


@dataclass(slots=True)
class Tally:
    """What was drawn, counted while it was drawn.

    leaves   storages of the leaves that require grad: one tensor at two versions is one leaf
    cuts     badges: the op, and the values whose gradient stops there
    lost     skipped ops on a road to a goal, each with one value whose gradient was lost on entering
    regions  kinds of the regions that skipped ops ran in, with the number of those ops
    """

    tracked: int = 0
    skipped: int = 0
    untracked: int = 0
    exits: int = 0
    forgotten: int = 0
    leaves: set[int] = field(default_factory=set)
    cuts: list[tuple[Op, tuple[int, ...]]] = field(default_factory=list)
    lost: list[tuple[Op, int]] = field(default_factory=list)
    regions: dict[str, int] = field(default_factory=dict)

    def count(self, op: Op, *, skipped: bool, region: str = "") -> None:
        """Count one op that is not a source."""
        if op.tracked:
            self.tracked += 1
        elif skipped:
            self.skipped += 1
            self.regions[region] = self.regions.get(region, 0) + 1
        else:
            self.untracked += 1

    @property
    def ops(self) -> int:
        return self.tracked + self.skipped + self.untracked + self.exits


def heading(graph: Graph, options: Options) -> str:
    """The title that was asked for, else what was recorded, without its folders."""
    target = graph.header.target
    return clean(options.title or (PurePath(target).name if target.endswith(".py") else target) or "graph", 80)


def summarize(graph: Graph, words: Wording, roads: Roads, tally: Tally) -> str:
    """One line of counts: `6 ops · 1 leaf that requires grad · 1 cut · gradient reaches x by 1 of 2 roads`."""
    if not tally.ops and not graph.values:
        return "nothing was recorded"
    cuts = len(tally.cuts) + len({(op.id, value) for op, value in tally.lost})  # scissors and crosses
    return dots(
        plural(tally.ops, "op"),
        _shares(tally),
        plural(len(tally.leaves), "leaf that requires grad", "leaves that require grad"),
        plural(cuts, "cut") if cuts else "",
        f"{plural(tally.exits, 'value')} left for Python" if tally.exits else "",
        _failure(graph) or _reach(graph, words, roads, len(tally.leaves)),
        *(clean(note.text, NOTE_LIMIT) for note in graph.notes if note.kind == COVERAGE and not _ALL.match(note.text)),
    )


def _shares(tally: Tally) -> str:
    """`2 tracked, 2 skipped under no_grad`, said only where something was skipped."""
    if not tally.skipped:
        return ""
    kinds = join([clean(kind) for kind in tally.regions if kind])
    parts = [f"{tally.tracked:,} tracked", f"{tally.skipped:,} skipped" + (f" under {kinds}" if kinds else "")]
    if tally.untracked:
        parts.append(f"{tally.untracked:,} not tracked")
    return ", ".join(parts)


def _failure(graph: Graph) -> str:
    failed = [sweep for sweep in graph.sweeps if sweep.error]
    if failed:
        return f"{failed[-1].kind}() raised"
    if graph.errors:
        return f"the script raised {clean(graph.errors[-1].type)}"
    return "the script was interrupted" if graph.end is not None and graph.end.status is Status.INTERRUPTED else ""


def _reach(graph: Graph, words: Wording, roads: Roads, drawn: int) -> str:
    """Which leaves have roads that gradient does not take; empty where all is as it should be.

    drawn: how many leaves are counted beside it. Where some of them lead to no goal, it is said which ones are meant.
    """
    data: dict[int, int] = {}
    gradient: dict[int, int] = {}
    names: dict[int, int] = {}
    for value in trained(graph.values):  # a leaf that was updated in place is one leaf, whatever version is used
        if value.id in roads.data and not is_view_with_grad_off(graph.ops[value.op]):
            data[value.storage] = data.get(value.storage, 0) + roads.data[value.id]
            gradient[value.storage] = gradient.get(value.storage, 0) + roads.gradient.get(value.id, 0)
            names[value.storage] = value.id
    partial = [leaf for leaf in data if gradient[leaf] < data[leaf]]
    if not partial:
        return ""
    if len(partial) == 1:
        (leaf,) = partial
        name, walked, every = words.value(names[leaf]), gradient[leaf], data[leaf]
        if not walked:
            return f"no gradient reaches {name}"
        return f"gradient reaches {name} by {walked:,} of {every:,} roads" if every < MANY else ""
    reached = sum(bool(gradient[leaf]) for leaf in data)
    if reached < len(data):
        if not reached:
            return "gradient reaches no leaf"
        those = "leaves" if len(data) == drawn else f"leaves that led to {words.values(roads.goals)}"
        return f"gradient reaches {reached:,} of {len(data):,} {those}"
    return f"gradient reaches {plural(len(partial), 'leaf', 'leaves')} by some of the roads only"


def describe(graph: Graph, words: Wording, roads: Roads, tally: Tally) -> str:
    """One or two sentences for a reader who cannot see the drawing: what comes from what, and where gradient stops."""
    sentences = []
    if roads.goals:
        leaves = [leaf for leaf in trained(graph.values) if leaf.id in roads.data]
        sources = [leaf.id for leaf in leaves if not is_view_with_grad_off(graph.ops[leaf.op])]
        origin = f" from {words.values(sources)}" if sources else ""
        verb = "is" if len({words.value(goal) for goal in roads.goals}) == 1 else "are"
        by = plural(tally.ops - tally.exits, "op")
        sentences.append(f"{words.values(roads.goals)} {verb} computed{origin} by {by}.")
    sentences += _tell_cuts(words, tally)
    sentences += _tell_lost(graph, words, tally)
    if not tally.cuts and not tally.lost and tally.skipped:
        used = {op.region for op in graph.ops.values()}
        regions = [region for region in graph.regions.values() if region.id in used]
        openers = [dots(clean(region.kind), words.line(region.site)) for region in regions if not region.enabled]
        under = f" under {join(list(dict.fromkeys(openers)))}" if openers else ""
        verb = "is" if tally.skipped == 1 else "are"
        sentences.append(f"{plural(tally.skipped, 'op')} ran{under} and {verb} not tracked.")
    for sweep in graph.sweeps:
        if sweep.error:
            sentences.append(f"{sweep.kind}(){_at(words.line(sweep.site))} raised: {clip(sweep.error, TOOLTIP_LIMIT)}.")
    return " ".join(sentences)


def _tell_cuts(words: Wording, tally: Tally) -> list[str]:
    turns: dict[str, int] = {}
    for op, values in tally.cuts:
        cut = f"{clean(op.cause or op.name)}{_at(words.line(op.site))}"
        told = f"The gradient to {words.values(values)} is cut by {cut}"
        turns[told] = turns.get(told, 0) + 1
    sentences = [f"{told}, {count:,} times." if count > 1 else f"{told}." for told, count in turns.items()]
    more = len(sentences) - CUTS_TOLD
    if more > 0:
        sentences[CUTS_TOLD:] = [f"There {'is' if more == 1 else 'are'} {plural(more, 'more cut')}."]
    return sentences


def _tell_lost(graph: Graph, words: Wording, tally: Tally) -> list[str]:
    """One sentence for each opener under which gradient was lost."""
    by_opener: dict[str, list[int]] = {}
    for op, value in tally.lost:
        region = graph.regions.get(op.region) if op.region is not None else None
        kind = clean(region.kind if region is not None else str(op.cause))
        opened = words.line(region.site) if region is not None else ""
        under = f"{kind}, opened{_at(opened)}" if opened else kind
        by_opener.setdefault(under, []).append(value)
    told = [f"The gradient to {words.values(values)} is lost under {under}." for under, values in by_opener.items()]
    return told[:CUTS_TOLD]


def _at(place: str) -> str:
    return f" at {place}" if place else ""


def list_notes(graph: Graph, words: Wording, tally: Tally) -> tuple[str, ...]:
    """What must be said under the picture: how the run ended, what raised, what was let go, what was not recorded."""
    notes = []
    ended_by = {error.message for error in graph.errors}
    for sweep in graph.sweeps:
        if sweep.error and sweep.error not in ended_by:
            notes.append(f"{sweep.kind}(){_at(words.line(sweep.site))} raised: {clean(sweep.error, NOTE_LIMIT)}")
    for error in graph.errors:
        text = f": {clean(error.message, NOTE_LIMIT)}" if error.message else ""
        notes.append(f"the script raised {clean(error.type)}{_at(words.file_line(error.site))}{text}")
    notes += _tell_end(graph)
    if tally.forgotten:
        notes.append(f"{plural(tally.forgotten, 'earlier op')} let go to bound the memory of an untracked history")
    for note in graph.notes:
        if note.kind == COVERAGE:
            continue
        times = f" ({note.count:,} times)" if note.count > 1 else ""
        notes.append(f"{clean(note.text, NOTE_LIMIT)}{times}")
    return tuple(dict.fromkeys(notes))


def _tell_end(graph: Graph) -> list[str]:
    end = graph.end
    if end is None or end.status is Status.FINISHED or (end.status is Status.RAISED and graph.errors):
        return []
    if end.status is Status.RAISED:
        return ["the script raised an exception; what ran before it is drawn"]
    if end.status is Status.INTERRUPTED:
        return ["the script was interrupted; what ran until then is drawn"]
    return [f"the script called sys.exit with status {end.exit_code}; what ran until then is drawn"]
