"""The tree: the picture as lines of text, walking upstream from each result; for terminals, pipes and logs.

    ◆ r  () float32
    │ ■ r = sum  line 7
    │ ■ add  line 7
    ├┈ □ z = add  line 6 · not tracked
    │  ├┈ ○ 3
    │  ┊ □ x.detach()  same storage as x
    │  ┊ ✂ detach · line 6
    │  └─ ● x  () float32 · line 4  #1
    │ ■ y = mul  line 5
    ├─ ↑1 x
    └┈ ○ 2

A line is fed by the lines that hang on it. The longest road upstream runs straight down in one column, so a chain of
100,000 ops is 100,000 lines and no deeper; what joins it from the side is indented. A box that feeds several others is
written once, with a number, and `↑1` or `↓1` elsewhere says that it stands further up or down.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind, Frame, Picture, Remark, Wire, WireKind
from gradviz.picture.signs import FRAMES
from gradviz.views import Options
from gradviz.views.tree_signs import DOWN, HEAVY, LOST, SEVERITIES, SIDE, WIRES, legend, road, symbol

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

LEAST_ROOM = 24
"""Columns that the text of a line keeps; a branch that would leave it fewer is written below, as a tree of its own."""

WIDEST_INDENT = 90


Spans = tuple[tuple[str, str], ...]
"""Pieces of text, each with its style; cheaper to put together than `Text`."""


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> str:
    """The tree, at most `options.width` columns wide, with terminal colours where `options.color`."""
    picture = compose(graph, options, findings)
    tree = _Tree(picture, options.width)
    lines = [*_head(picture), *tree.lines(), *_foot(picture, options.width, tree.arrows)]
    rows = [row for line in lines for row in _wrap(line, options.width)]
    text = _color(rows) if options.color else "\n".join(row.plain.rstrip() for row in rows)
    return text.rstrip("\n") + "\n"


@dataclass(frozen=True, slots=True)
class _Feed:
    """The wires from one box into another: their kind, how many, and whether gradient was lost on the way.

    `road` is the severity of the finding whose lost road they are on, or empty.
    """

    tail: str
    kind: WireKind
    count: int = 1
    lost: bool = False
    road: str = ""

    def glyphs(self) -> tuple[str, str, str]:
        side, down, style = (SIDE, DOWN, LOST) if self.lost else WIRES[self.kind]
        if not self.road:
            return side, down, style
        return side.translate(HEAVY), down.translate(HEAVY), SEVERITIES[self.road]

    def fork(self, more: bool) -> str:
        """The piece of the column that it joins; `more` follows below."""
        fork = "├" if more else "└"
        return fork.translate(HEAVY) if self.road else fork


@dataclass(slots=True)
class _Branch:
    """A column in the making: the boxes that run straight down, which of them is written, and what still joins it."""

    spine: list[str]
    prefix: Spans
    position: int = 0
    waiting: deque[_Feed] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: the text, and what goes before its first row and before the rows that it is wrapped into."""

    text: Spans
    first: Spans = ()
    other: Spans = ()


class _Tree:
    """Writes each box once; `planned` are those that stand further down in a column already begun.

    `arrows` are the ways in which lines refer to others.
    """

    def __init__(self, picture: Picture, width: int | None) -> None:
        self.boxes = {box.id: box for box in picture.boxes}
        self.frames = {frame.id: frame.title for frame in picture.frames}
        self.brief = _brief(picture.frames)
        self.remarks = picture.remarks
        self.blamed = {frame.id: frame.findings for frame in picture.frames if frame.findings}
        self.feeds, uses = _gather(picture)
        self.shared = {id for id, count in uses.items() if count > 1}
        self.roots = deque(_roots(picture, uses))
        self.heights: dict[str, int] = {}
        for box in picture.boxes:
            # What a node saved comes after it among the boxes, and has nothing behind it.
            tails = [self.heights.get(feed.tail, 0) for feed in self.feeds.get(box.id, ())]
            self.heights[box.id] = max(tails, default=-1) + 1
        self.deepest = WIDEST_INDENT if width is None else max(6, width - LEAST_ROOM)
        self.numbers: dict[str, int] = {}
        self.written: set[str] = set()
        self.planned: set[str] = set()
        self.arrows: set[str] = set()

    def lines(self) -> Iterator[_Line]:
        while self.roots:
            root = self.roots.popleft()
            if root in self.written:
                continue
            branch = self._begin(root, ())
            yield self._full(_Feed(root, WireKind.GRADIENT), (), self._rest(branch))
            yield from self._grow(branch)
            yield _Line(())

    def _grow(self, root: _Branch) -> Iterator[_Line]:
        stack = [root]
        while stack:
            branch = stack[-1]
            if branch.waiting:
                feed = branch.waiting.popleft()
                rest = self._rest(branch)
                side, _, style = feed.glyphs()
                fork = feed.fork(bool(branch.waiting) or branch.position + 1 < len(branch.spine))
                first = (*branch.prefix, (f"{fork}{side} ", style))
                indent = (*branch.prefix, *rest, ("  ", ""))
                if feed.tail in self.written or feed.tail in self.planned:
                    yield self._reference(feed, first, indent)
                elif feed.tail in self.feeds and len(_plain(indent)) > self.deepest:
                    self.planned.add(feed.tail)
                    self.roots.appendleft(feed.tail)
                    yield self._reference(feed, first, indent)
                else:
                    child = self._begin(feed.tail, indent)
                    yield self._full(feed, first, (*indent, *self._rest(child)))
                    stack.append(child)
            elif branch.position + 1 < len(branch.spine):
                feed = self._next(branch)
                _, down, style = feed.glyphs()
                branch.position += 1
                self._load(branch)
                first = (*branch.prefix, (f"{down} ", style))
                yield self._full(feed, first, (*branch.prefix, *self._rest(branch)))
            else:
                stack.pop()

    def _begin(self, root: str, prefix: Spans) -> _Branch:
        """A branch whose column follows gradient where it can, else the longest road."""
        spine = [root]
        while True:
            open = [
                (feed.kind is WireKind.GRADIENT, self.heights[feed.tail], feed.tail)
                for feed in self.feeds.get(spine[-1], ())
                if feed.tail in self.feeds and feed.tail not in self.written and feed.tail not in self.planned
            ]
            if not open:
                break
            spine.append(max(open, key=lambda item: item[:2])[2])
            self.planned.add(spine[-1])
        branch = _Branch(spine, prefix)
        self._load(branch)
        return branch

    def _load(self, branch: _Branch) -> None:
        onward = branch.spine[branch.position + 1] if branch.position + 1 < len(branch.spine) else None
        feeds = self.feeds.get(branch.spine[branch.position], ())
        branch.waiting = deque(feed for feed in feeds if feed.tail != onward)

    def _next(self, branch: _Branch) -> _Feed:
        onward = branch.spine[branch.position + 1]
        return next(feed for feed in self.feeds[branch.spine[branch.position]] if feed.tail == onward)

    def _rest(self, branch: _Branch) -> Spans:
        """The piece of the column that shows beside what is written next: how it goes on, if it does."""
        if branch.position + 1 < len(branch.spine):
            _, down, style = self._next(branch).glyphs()
            return ((down, style),)
        return (("│" if branch.waiting else " ", ""),)

    def _full(self, feed: _Feed, first: Spans, other: Spans) -> _Line:
        self.written.add(feed.tail)
        self.planned.discard(feed.tail)
        box = self.boxes[feed.tail]
        sign, style, _ = symbol(box)
        text = [(f"{sign} {box.title}", style)]
        if feed.count > 1:
            text.append((f" ×{feed.count:,}", ""))
        if box.detail:
            text.append((f"  {box.detail}", "red" if box.kind is BoxKind.ERROR else "dim"))
        if box.frame is not None:
            text.append((f"  in {self.frames[box.frame]}", "italic"))
            self.frames.update({box.frame: self.brief[box.frame]} if box.frame in self.brief else {})
            text += self._tags(self.blamed.pop(box.frame, ()))
        text += self._tags(box.findings)
        if feed.tail in self.shared or feed.tail in self.numbers:
            text.append((f"  #{self._number(feed.tail)}", "cyan"))
        return _Line(tuple(text), first, (*other, ("    ", "")))

    def _tags(self, numbers: Sequence[int]) -> Spans:
        """`◀1 error` for each; a frame's stand on the first line that lies in it."""
        told = [(number, self.remarks[number - 1].severity) for number in numbers]
        return tuple((f"  ◀{number} {severity}", SEVERITIES[severity]) for number, severity in told)

    def _reference(self, feed: _Feed, first: Spans, other: Spans) -> _Line:
        arrow = "↑" if feed.tail in self.written else "↓"
        self.arrows.add(arrow)
        times = f" ×{feed.count:,}" if feed.count > 1 else ""
        number = f"{arrow}{self._number(feed.tail)}"
        return _Line(((number, "cyan"), (f" {self.boxes[feed.tail].title}{times}", "")), first, other)

    def _number(self, id: str) -> int:
        return self.numbers.setdefault(id, len(self.numbers) + 1)


def _brief(frames: Sequence[Frame]) -> dict[str, str]:
    """What the frames of modules and loops are called where they were told before, by their beginnings, if unlike."""
    names = {frame.id: frame.title.partition(" · ")[0] for frame in frames}
    counts = Counter(names.values())
    return {frame.id: names[frame.id] for frame in frames if frame.kind in FRAMES and counts[names[frame.id]] == 1}


def _gather(picture: Picture) -> tuple[dict[str, list[_Feed]], dict[str, int]]:
    """What feeds each box, in order, and how many boxes each one feeds. What a node saved hangs on its op."""
    found: dict[str, dict[str, list[Wire]]] = {}
    for wire in picture.wires:
        tail, head = (wire.head, wire.tail) if wire.kind is WireKind.SAVED else (wire.tail, wire.head)
        found.setdefault(head, {}).setdefault(tail, []).append(wire)
    feeds: dict[str, list[_Feed]] = {}
    uses: dict[str, int] = {}
    for head, tails in found.items():
        feeds[head] = [
            _Feed(tail, wires[0].kind, sum(map(_count, wires)), any(wire.lost for wire in wires), road(wires, picture))
            for tail, wires in tails.items()
        ]
        for tail in tails:
            uses[tail] = uses.get(tail, 0) + 1
    return feeds, uses


def _count(wire: Wire) -> int:
    """How many a wire stands for: one that is labelled `×15` is 15."""
    return int(wire.label[1:].replace(",", "")) if wire.label.startswith("×") else 1


def _roots(picture: Picture, uses: dict[str, int]) -> list[str]:
    """The boxes that feed nothing: what gradient starts from and errors first, then other results, then the rest."""
    first = {BoxKind.OUTPUT: 0, BoxKind.ERROR: 0, BoxKind.RESULT: 1, BoxKind.OFF_OUTPUT: 1}
    ends = [box for box in picture.boxes if box.id not in uses]
    return [box.id for box in sorted(ends, key=lambda box: first.get(box.kind, 2))]


def _head(picture: Picture) -> list[_Line]:
    return [_Line(((picture.title, "bold"),)), _Line(((picture.summary, ""),)), _Line(())]


def _foot(picture: Picture, width: int | None, arrows: Collection[str]) -> list[_Line]:
    """The findings, the notes, then what the signs that occur mean; a sign and its words stay on one row."""
    lines = [line for remark in picture.remarks for line in _entry(remark)]
    lines += [_Line(((f"note: {note}", ""),), other=(("      ", ""),)) for note in picture.notes]
    row: list[tuple[str, str]] = []
    for sign, style, meaning in legend(picture, arrows):
        entry = ((sign, style), (f" {meaning}", "dim"))
        if row and width is not None and cell_len(_plain((*row, *entry))) + 2 > width:
            lines.append(_Line(tuple(row)))
            row = []
        row += [("  ", ""), *entry] if row else entry
    return [*lines, _Line(tuple(row))]


def _entry(remark: Remark) -> Iterator[_Line]:
    """A finding in the list: its number, its severity, code and place, what it says, and its help."""
    style = SEVERITIES[remark.severity]
    indent = (" " * (len(str(remark.number)) + 2), "")
    yield _Line(((f"{remark.number}  {remark.heading}", style),), other=(indent,))
    yield _Line(((remark.message, ""),), (indent,), (indent,))
    if remark.help:
        yield _Line(((f"help: {remark.help}", "dim"),), (indent,), (indent, ("      ", "")))
    yield _Line(())


def _wrap(line: _Line, width: int | None) -> Iterator[Text]:
    """The line as `Text`, so that nothing in a name is taken for markup; folded where it is too wide."""
    whole = Text.assemble(*line.first, *line.text)
    if width is None or whole.cell_len <= width:
        yield whole
        return
    room = max(8, width - max(cell_len(_plain(line.first)), cell_len(_plain(line.other))))
    rows = Text.assemble(*line.text).wrap(Console(file=StringIO(), width=room), room, overflow="fold")
    for index, row in enumerate(rows):
        yield Text.assemble(*(line.other if index else line.first)) + row


def _plain(spans: Spans) -> str:
    return "".join(text for text, _ in spans)


def _color(rows: list[Text]) -> str:
    file = StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", width=10_000, legacy_windows=False)
    for row in rows:
        console.print(row, soft_wrap=True, highlight=False)
    return file.getvalue()
