"""The account of one tensor's gradient as lines of text: the answer, the roads from the tensor down to each root, why.

    x  leaf (3,) float32 · line 5

    `x` got a gradient of norm 3.464 from `r.backward()` (line 9), by 1 of 2
    roads; the other is cut by `detach()` at line 7

    a road that is cut by `detach()` at line 7
    ● x
    ✂ x.detach()  line 7
    ┊ z = add     line 7
    │ add         line 8
    │ r = sum     line 8
    ◆ r           line 9

A solid rail says that gradient comes up here from the stop below, one of long dashes that it would and none comes, a
dotted one that only data went down.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gradviz.accounts.records import Account, Choice, Mark, Passage, Road, State, Step
from gradviz.diagnose.findings import Finding
from gradviz.picture.wording import clean, plural

SIGNS = {
    Mark.TENSOR: ("●", "bold blue"),
    Mark.ROOT: ("◆", "bold green"),
    Mark.END: ("◇", "dim"),
    Mark.CUT: ("✂", "bold red"),
}
FLOWS, TRACKED, DATA = ("│", ""), ("╎", ""), ("┊", "dim")

STATES = {State.VALUE: "green", State.PASSED: "green", State.STARTS: "green"}
"""The styles of an answer that is as one hopes; the others are red where a gradient was to be expected."""

KEPT_ENDS, KEPT_BESIDE_CUT, LEAST_GAP = 5, 2, 3
"""Of a long road the stops at each end, those on each side of a cut, and how many must be left out to be worth it."""

WIDE = 96
"""Columns from which on a road has room for the source beside it."""

PASSAGES = 3
"""Of so many lines that call backward the roads are drawn; the others are told in a sentence."""

SCOPE_WIDTH = 30

Spans = tuple[tuple[str, str], ...]


def draw(account: Account, *, width: int | None = 80, color: bool = False, everything: bool = False) -> str:
    """The account as text of at most `width` columns; `everything` shows every stop of every road."""
    rows = [*_rows(account, width or 10_000, everything)]
    return _text(rows, color)


def draw_choices(choices: Sequence[Choice], name: str, *, width: int | None = 80, color: bool = False) -> str:
    """The several tensors that a place stands for, and how to ask for each."""
    picks = max(cell_len(choice.pick) for choice in choices)
    titles = max(cell_len(choice.title) for choice in choices)
    room = width or 10_000
    rows = [*_wrap(Text(f"{clean(name)} makes {plural(len(choices), 'tensor')}; ask for one of them:", "bold"), room)]
    for choice in choices:
        told = f"{choice.what} · {choice.told}"
        if picks + titles + cell_len(told) + 4 <= room:
            pick, title = _padded(choice.pick, picks), _padded(choice.title, titles)
            rows.append(_plain((pick, "cyan"), (f"  {title}", ""), (f"  {told}", "dim")))
        else:
            for row in (_plain((choice.pick, "cyan")), Text(f"  {choice.title}"), Text(f"  {told}", "dim")):
                rows += _wrap(row, room, "    ")
    return _text(rows, color)


def _rows(account: Account, width: int, everything: bool) -> Iterator[Text]:
    head = " · ".join(part for part in (account.what, account.place) if part)
    yield from _wrap(_plain((account.name, "bold"), (f"  {head}", "dim")), width, "  ")
    yield Text()
    needs = account.state in STATES or any(road.flows for passage in account.passages for road in passage.roads)
    cut = any(road.cause is not None for passage in account.passages for road in passage.roads)
    style = STATES.get(account.state, "bold red" if needs or cut or account.state is not State.NONE else "")
    yield from _wrap(Text(account.verdict, style), width)
    for remark in account.remarks:
        yield from _wrap(Text(f"- {remark}"), width, "  ")
    roads = [passage for passage in account.passages if passage.roads][: None if everything else PASSAGES]
    for passage in roads:
        yield Text()
        yield from _passage(passage, width, everything, alone=len(account.passages) == 1)
    legend = _legend(roads)
    if legend:
        yield Text()
        # A sign and its words stay on one row.
        yield from (Text(row.replace("\N{NO-BREAK SPACE}", " "), "dim") for row in textwrap.wrap(legend, width))
    others = [passage for passage in account.passages if passage not in roads and len(account.passages) > 1]
    if others:
        yield Text()
    for passage in others:
        yield from _wrap(_plain((_heading(passage), "bold"), (_told(passage), "")), width, "  ")
    for index, finding in enumerate(account.findings):
        yield Text()
        if not index:
            yield Text("why", "bold")
        yield from _finding(finding, width)


def _passage(passage: Passage, width: int, everything: bool, *, alone: bool) -> Iterator[Text]:
    if passage.runs:
        yield from _wrap(_plain((_heading(passage), "bold"), ("" if alone else _told(passage), "")), width, "  ")
    for index, road in enumerate(passage.roads):
        if len(passage.roads) > 1:
            if index or passage.runs:
                yield Text()
            came = "only zeros come" if road.cuts else "gradient comes"
            label = f"a road by which {came}" if road.flows else f"a road that is cut by {road.by}"
            yield from _wrap(Text(label, "dim" if road.flows else "red"), width)
        yield from _road(road, width, everything)


def _heading(passage: Passage) -> str:
    """`loss.backward() · line 31 · 3 runs · 2 uses`"""
    runs = plural(passage.runs, "run") if passage.runs > 1 else ""
    uses = plural(passage.uses, "use") if passage.uses > 1 else ""
    return " · ".join(part for part in (passage.call, passage.place, runs, uses) if part)


def _told(passage: Passage) -> str:
    return f": {passage.told}{f', {passage.share}' if passage.share else ''}"


@dataclass(frozen=True, slots=True)
class _Gap:
    """Stops that are left out."""

    steps: tuple[Step, ...]

    @property
    def flows(self) -> bool:
        return all(step.flows for step in self.steps)

    @property
    def tracked(self) -> bool:
        return all(step.tracked for step in self.steps)

    def told(self) -> str:
        scopes = [scope for scope in dict.fromkeys(step.scope for step in self.steps) if scope]
        through = f" from {scopes[0]} to {scopes[-1]}" if len(scopes) > 1 else f" in {scopes[0]}" if scopes else ""
        return f"... {plural(len(self.steps), 'op')}{through} ..."


def _road(road: Road, width: int, everything: bool) -> Iterator[Text]:
    shown = list(road.steps) if everything else _shortened(road.steps)
    steps = [step for step in shown if isinstance(step, Step)]
    titles = min(width // 2, max(cell_len(_title(step)) for step in steps))
    places = max(cell_len(step.place) for step in steps)
    wide = width >= WIDE
    scopes = min(SCOPE_WIDTH, max(cell_len(step.scope) for step in steps)) if wide else 0
    above: Step | _Gap | None = None
    line = ""
    for step in shown:
        rail = _rail(above, step)
        if isinstance(step, _Gap):
            yield from _wrap(_plain(rail, (f" {step.told()}", "dim italic")), width, f"{rail[0]}   ")
            above, line = step, ""
            continue
        sign, style = SIGNS.get(step.mark, rail)
        text = Text.assemble((f"{sign} ", style), (_padded(_title(step), titles), _style(step, rail is FLOWS)))
        text.append(f"  {_padded(step.place, places)}", "dim" if step.mark is not Mark.CUT else "red")
        if wide and scopes:
            text.append(f"  {_padded(_tail(step.scope, SCOPE_WIDTH), scopes)}", "dim italic")
        elif step.scope and not wide:
            text.append(f"  {_tail(step.scope, max(8, width - cell_len(text.plain) - 2))}", "dim italic")
        if wide and step.source and step.place != line:
            room = width - cell_len(text.plain) - 2
            text.append(f"  {_cut(step.source, room)}" if room >= 16 else "", "dim")
        yield from _wrap(text, width, f"{rail[0]}   ")
        if step.mark is Mark.CUT:
            below = (FLOWS if step.flows else DATA)[0]
            notes = [(step.note, "red")] if wide or not step.source else [(step.source, "dim"), (step.note, "red")]
            for note, look in notes:
                yield from _wrap(_plain((f"{below}   ", "dim"), (note, look)), width, f"{below}   ")
        elif step.note:
            below = f"{FLOWS[0]}   "
            yield from _wrap(_plain((below, "dim"), (step.note, "dim")), width, below)
        above, line = step, step.place


def _shortened(steps: Sequence[Step]) -> list[Step | _Gap]:
    """The ends of a road and what is about its cuts; the rest becomes gaps."""
    cuts = [at for at, step in enumerate(steps) if step.mark is Mark.CUT]
    near = {at + away for at in cuts for away in range(-KEPT_BESIDE_CUT, KEPT_BESIDE_CUT + 1)}
    kept = near | set(range(KEPT_ENDS)) | set(range(len(steps) - KEPT_ENDS, len(steps)))
    shown: list[Step | _Gap] = []
    left_out: list[Step] = []
    for at, step in enumerate((*steps, None)):
        if step is not None and at not in kept:
            left_out.append(step)
            continue
        if len(left_out) >= LEAST_GAP:
            shown.append(_Gap(tuple(left_out)))
        else:
            shown += left_out
        left_out = []
        if step is not None:
            shown.append(step)
    return shown


def _title(step: Step) -> str:
    return f"{step.title} ×{step.count:,}" if step.count > 1 else step.title


def _rail(above: Step | _Gap | None, below: Step | _Gap) -> tuple[str, str]:
    """How the two are joined."""
    if below.flows and (above is None or above.flows):
        return FLOWS
    return TRACKED if below.tracked and (above is None or above.tracked) else DATA


def _style(step: Step, flows: bool) -> str:
    if step.mark in SIGNS:
        return SIGNS[step.mark][1]
    return "" if flows else "dim"


def _finding(finding: Finding, width: int) -> Iterator[Text]:
    where = f" {clean(finding.path, 100)}:{finding.line}" if finding.line else ""
    style = {"error": "bold red", "warning": "bold yellow"}.get(finding.severity, "bold")
    head = ((f"{finding.severity}[{finding.code}]", style), (where, "dim"))
    yield from _wrap(_plain(*head), width, "  ")
    yield from _wrap(Text(f"  {clean(finding.message, 2000)}"), width, "  ")
    if finding.help:
        yield from _wrap(_plain(("  help: ", "cyan"), (clean(finding.help, 2000), "")), width, "  ")


def _legend(passages: Iterable[Passage]) -> str:
    steps = [step for passage in passages for road in passage.roads for step in road.steps]
    pairs = [pair for passage in passages for road in passage.roads for pair in pairwise(road.steps)]
    rails = {_rail(above, below) for above, below in pairs if below.mark not in SIGNS}
    rails |= {FLOWS if step.flows else DATA for step in steps if step.mark is Mark.CUT}
    meanings = {FLOWS: "gradient", TRACKED: "tracked, no gradient comes", DATA: "data only"}
    told = [f"{rail[0]} {meaning}" for rail, meaning in meanings.items() if rail in rails]
    if any(step.mark is Mark.CUT for step in steps):
        told.append(f"{SIGNS[Mark.CUT][0]} gradient stops")
    return "  ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in told)


# text


def _plain(*spans: tuple[str, str]) -> Text:
    """Text in which nothing is taken for markup."""
    return Text.assemble(*spans)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _cut(text: str, room: int) -> str:
    return text if cell_len(text) <= room else text[: max(1, room - 1)] + "…"


def _tail(text: str, room: int) -> str:
    return text if cell_len(text) <= room else "…" + text[-(room - 1) :]


def _wrap(text: Text, width: int, indent: str = "") -> Iterator[Text]:
    """The rows of `text`, folded at `width`; from the second on they begin with `indent`."""
    if text.cell_len <= width:
        yield text
        return
    console = Console(file=StringIO(), width=width)
    first, *rest = text.wrap(console, width, overflow="fold")
    yield first
    if rest:
        remaining = text[len(first.plain) :]
        remaining = remaining[len(remaining.plain) - len(remaining.plain.lstrip()) :]
        for row in remaining.wrap(console, max(8, width - cell_len(indent)), overflow="fold"):
            yield Text.assemble((indent, "dim")) + row


def _text(rows: Iterable[Text], color: bool) -> str:
    if not color:
        return "\n".join(row.plain.rstrip() for row in rows).rstrip("\n") + "\n"
    file = StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", width=10_000, legacy_windows=False)
    for row in rows:
        row.rstrip()
        console.print(row, soft_wrap=True, highlight=False)
    return file.getvalue().rstrip("\n") + "\n"
