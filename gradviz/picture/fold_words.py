"""What the boxes and frames of folds say: what is in them, how often, and which option opens them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from gradviz.events import Role
from gradviz.fold.leaves import KIND as LEAVES
from gradviz.graphs import Fold, Graph, Op, Value
from gradviz.picture.wording import TITLE_LIMIT, WIDE, Pairs, Wording, clean, clip, dots, join, plural, shape_dtype
from gradviz.stats.tables import bytes_text

NAMES_TOLD = 6
LEAVES_TOLD = 24
"""So many leaves of a box are told one by one in its tooltip."""

CARRIED_LIMIT = 16
"""Longest list of what turns hand on; a longer one is counted."""


ROOM = 32
"""Where a module's kind and what it says of lost gradients take more characters, the kind is left out."""

SHORTEST = 8
"""Of a module's kind no fewer characters are told."""

FEW = 5
"""Of a module with so few ops, what it is says more than how many they are."""


@dataclass(slots=True)
class Content:
    """What lies in a closed fold, counted while it is drawn; `box` is the id of its box.

    state        what the drawn backward passes gave a leaf, where that is not what one expects of it
    parameters   its leaves that require grad, by storage
    starved      the states of those, by storage
    saved        bytes that its nodes keep, by storage; leaves are kept alive by the program itself
    """

    fold: Fold
    box: str
    state: Callable[[Value], str]
    names: Counter[str] = field(default_factory=Counter)
    tracked: int = 0
    skipped: int = 0
    others: int = 0
    exits: int = 0
    cuts: int = 0
    parameters: dict[int, str] = field(default_factory=dict)
    starved: dict[int, str] = field(default_factory=dict)
    saved: dict[int, int] = field(default_factory=dict)
    loose: int = 0

    def add(self, graph: Graph, op: Op, cuts: int, *, skipped: bool) -> None:
        """Count `op`, which is so many cuts; `skipped` because grad was off."""
        self.cuts += cuts
        if op.is_source and not op.tracked:
            self.share(graph, op)
            return
        self.names[op.name] += 1
        if not op.outputs:
            self.exits += 1
        elif op.tracked:
            self.tracked += 1
        elif skipped:
            self.skipped += 1
        else:
            self.others += 1
        for saved in op.saved:
            source = saved.source
            kept = None if source is None else op.outputs[-1 - source] if source < 0 else op.inputs[source]
            if not isinstance(kept, int):
                self.loose += saved.nbytes
            elif not graph.values[kept].leaf:
                storage = graph.values[kept].storage
                self.saved[storage] = max(self.saved.get(storage, 0), saved.nbytes)

    def share(self, graph: Graph, source: Op) -> None:
        """Count the leaves that `source` makes among the parameters."""
        for output in source.outputs:
            value = graph.values[output]
            if value.requires_grad or value.role is Role.PARAMETER:
                self.parameters[value.storage] = value.name
                state = self.state(value)
                if state:
                    self.starved[value.storage] = state

    @property
    def ops(self) -> int:
        """How many ops lie in it, leaves left out."""
        return self.tracked + self.skipped + self.others + self.exits


def fold_title(fold: Fold) -> str:
    """`h.0-h.11 ×12`"""
    times = f" ×{fold.times:,}" if fold.times > 1 else ""
    return clip(fold.title, TITLE_LIMIT - len(times)) + times


def closed_words(graph: Graph, content: Content, words: Wording) -> tuple[str, Pairs]:
    """The second line and the tooltip of a closed fold's box."""
    fold = content.fold
    if fold.kind == LEAVES:
        return _leaves_words(graph, content, words)
    kept = sum(content.saved.values()) + content.loose
    module = clean(fold.module) if fold.kind != "views" else ""
    parameters = _parameters(content)
    if content.starved and len(module) + len(parameters) > ROOM:
        module = ""
    told = [
        module,
        plural(content.ops, "op") if fold.kind != "views" and not (fold.module and content.ops <= FEW) else "",
        parameters,
        "" if content.tracked else "not tracked" if not content.skipped else "skipped",
        f"{content.skipped:,} skipped" if content.tracked and content.skipped else "",
        f"{content.exits:,} left for Python" if content.exits else "",
        _carried(fold),
        plural(content.cuts, "cut") if content.cuts else "",
    ]
    saved = f"{bytes_text(kept)} saved" if kept and not content.starved else ""
    with_saved = dots(*told[:3], saved, *told[3:])
    detail = with_saved if len(with_saved) <= WIDE else _with_short_kind(told)
    if fold.kind == "updates":
        detail = dots(words.line(graph.ops[fold.id].site), parameters)
    listed = content.names.most_common(NAMES_TOLD)
    names = ", ".join(f"{count:,} {clean(name)}" if count > 1 else clean(name) for name, count in listed)
    more = len(content.names) - len(listed)
    pairs = [("ops", f"{names} and {more:,} more" if more > 0 else names)]
    if content.parameters:
        held = [clean(name) or "a leaf" for name in content.parameters.values()]
        more = len(held) - NAMES_TOLD
        named = ", ".join(held[:NAMES_TOLD]) + (f" and {more:,} more" if more > 0 else "")
        pairs.append(("parameters", named))
    if kept:
        pairs.append(("saved", bytes_text(kept)))
    return detail, (*_where(graph, fold, words), *pairs, *_opens(fold))


def _with_short_kind(told: list[str]) -> str:
    """The parts of a second line; of a long kind of module the end goes, not the middle of how many ops it has."""
    kind, *counts = told
    room = WIDE - len(dots(*counts)) - len(" · ")
    return dots(kind if len(kind) <= room or not any(counts) else clip(kind, room) if room >= SHORTEST else "", *counts)


def _leaves_words(graph: Graph, content: Content, words: Wording) -> tuple[str, Pairs]:
    """The same of a box of leaves: `16 parameters · 9.0 KiB · line 4`, and in the tooltip the shape of each."""
    fold = content.fold
    values = [graph.values[graph.ops[source].outputs[0]] for source in fold.ops]
    named = all(value.role is Role.PARAMETER for value in values)
    told = plural(len(values), "parameter") if named else plural(len(values), "leaf", "leaves")
    told = "" if told == fold.title else told + _states(content)
    born = list(dict.fromkeys(map(words.born, values)))
    size = bytes_text(sum(value.nbytes for value in values))
    pairs = [(clean(value.name) or "a leaf", shape_dtype(value)) for value in values[:LEAVES_TOLD]]
    more = len(values) - len(pairs)
    if more:
        pairs.append(("and", f"{more:,} more"))
    return dots(told, size, born[0] if len(born) == 1 else ""), (*pairs, *_opens(fold))


def _parameters(content: Content) -> str:
    """`12 parameters, no gradient`, `2 parameters, 1 zero gradient`"""
    return plural(len(content.parameters), "parameter") + _states(content) if content.parameters else ""


def _states(content: Content) -> str:
    """`, no gradient` where all say so, `, 1 zero gradient` where one does."""
    states = Counter(content.starved.values())
    if len(states) == 1 and len(content.starved) == len(content.parameters):
        return f", {_STATES[next(iter(states))]}"
    return "".join(f", {count:,} {_STATES[state]}" for state, count in sorted(states.items()))


_STATES = {
    "gets no gradient": "no gradient",
    "gradient is zero": "zero gradient",
    "gradient is NaN": "NaN gradient",
    "not used in this pass": "not used",
}


def frame_words(graph: Graph, fold: Fold, words: Wording) -> tuple[str, Pairs]:
    """The title and the tooltip of an open fold's frame."""
    # A tab has little room: how often comes first, then what is carried.
    title = dots(fold_title(fold), _carried(fold) or clean(fold.module))
    ops = sum(1 for op in fold.turns[0] if graph.ops[op].inputs)
    pairs = [("ops", f"{ops:,}" if fold.times == 1 else f"{ops:,} each time, drawn once for {fold.times:,} times")]
    if fold.carried:
        pairs.append(("carried from turn to turn", clean(join([c.name for c in fold.carried], NAMES_TOLD), 200)))
    return title, (*_where(graph, fold, words), *pairs, *(_opens(fold) if fold.times > 1 else ()))


def tell_folds(graph: Graph) -> tuple[str, ...]:
    """The note that says what is folded, and which options undo it; empty where nothing is."""
    repeated = [fold for fold in graph.folds if fold.times > 1]
    texts = [f"{f.times:,} {_UNITS.get(f.kind, 'equal parts')} are drawn as one ({clean(f.title)})" for f in repeated]
    told = list(dict.fromkeys(texts))[:3]  # a model that runs twice has each of its folds twice
    more = sum(fold.times for fold, text in zip(repeated, texts, strict=True) if text not in told)
    if more:
        told.append(f"and so are {more:,} more")
    for kind, (one, many) in _KINDS.items():
        count = sum(fold.kind == kind and not fold.open and fold.times == 1 for fold in graph.folds)
        if count:
            told.append(plural(count, one, many))
    if not told:
        return ()
    shut = [fold for fold in repeated or graph.folds if fold.option != "--all" and (not fold.open or fold.times > 1)]
    largest = max(shut, key=lambda fold: len(fold.ops), default=None)
    one = "it" if sum(fold.times for fold in shut) == 1 else "one of them"
    opens = f"`{clean(largest.option)}` unfolds {one}, " if largest is not None else ""
    return (f"folded: {'; '.join(told)}; {opens}`--all` draws everything",)


_UNITS = {"siblings": "equal blocks", "parallel": "equal branches", "steps": "steps", "iterations": "iterations"}
_KINDS = {
    "scope": ("module is one box", "modules are one box each"),
    "function": ("function is one box", "functions are one box each"),
    "updates": ("step of an optimizer is one box", "steps of optimizers are one box each"),
    "views": ("chain of views is one box", "chains of views are one box each"),
    LEAVES: ("group of leaves is one box", "groups of leaves are one box each"),
}


def _carried(fold: Fold) -> str:
    told = join([clean(carried.name) for carried in fold.carried])
    if len(told) > CARRIED_LIMIT:
        told = plural(len(fold.carried), "value")
    return f"carries {told}" if told else ""


def _where(graph: Graph, fold: Fold, words: Wording) -> Pairs:
    scope = (("scope", clean(fold.scope)),) if fold.scope else ()
    sites = dict.fromkeys(graph.ops[op].site for op in fold.turns[0] if graph.ops[op].inputs)
    return (*scope, *(words.place_pairs(next(iter(sites))) if len(sites) == 1 else ()))


def _opens(fold: Fold) -> Pairs:
    return (("opened by", clean(fold.option)),)

