"""Tables: the rows of `Stats` chosen, ordered and put into words, before anyone decides how wide a line may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gradviz.picture.wording import clean, plural
from gradviz.stats.records import RegionRow, ScopeRow, Stats, Tally

R = TypeVar("R")

ORDERS = ("run", "time", "bytes", "ops")
"""What rows can be sorted by; `run` is the order in which they first ran."""

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows: `sort` one of `ORDERS`; scopes no deeper than `depth`, the first level being 1; the `top` first."""

    sort: str = "run"
    depth: int | None = None
    top: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column, and its `rank`: where a line is too long, columns of the highest rank go first."""

    head: str
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, the first of which names the row, and as many cells in each row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def without(self, unneeded: Iterable[int]) -> Table:
        """The table without some of its columns."""
        gone = set(unneeded)
        kept = [at for at in range(len(self.columns)) if at not in gone]
        return Table(tuple(self.columns[at] for at in kept), tuple(tuple(row[at] for at in kept) for row in self.rows))


def tables_of(stats: Stats, choice: Choice) -> list[Table]:
    """By scope, by region, by backward pass and by optimizer, without tables and columns that would be empty."""
    made = [_scopes(stats, choice), _regions(stats, choice), _sweeps(stats, choice), _steps(stats, choice)]
    return [
        table.without(at for at in range(len(table.columns)) if all(row[at] == NOTHING for row in table.rows))
        for table in made
        if table.rows
    ]


def chosen_scopes(stats: Stats, choice: Choice) -> list[ScopeRow]:
    """The rows of the first table: a tree in order or, with `top`, the scopes with most of their own."""
    rows = [row for row in stats.scopes if choice.depth is None or row.depth < choice.depth]
    if choice.top is not None:
        deepest = choice.depth is not None
        return _sorted(rows, choice, lambda row: row.all if deepest else row.own)[: choice.top]
    if choice.sort == "run":
        return rows
    inner: dict[str, list[ScopeRow]] = {}
    for row in rows:
        inner.setdefault(row.path.rpartition(".")[0] if row.depth else "/", []).append(row)
    ordered: list[ScopeRow] = []
    pending = _sorted(inner.get("/", []), choice, lambda row: row.all)[::-1]
    while pending:
        row = pending.pop()
        ordered.append(row)
        if row.path:
            pending += _sorted(inner.get(row.path, []), choice, lambda row: row.all)[::-1]
    return ordered


def chosen_regions(stats: Stats, choice: Choice) -> list[RegionRow]:
    """The rows of the second table; by bytes, what would have been saved counts as well."""
    rows = list(stats.regions)
    if choice.sort == "bytes":
        rows.sort(key=lambda row: -max(row.tally.saved, row.estimate.saved if row.estimate else 0))
    else:
        rows = _sorted(rows, choice, lambda row: row.tally)
    return rows[: choice.top]


def bytes_text(count: int) -> str:
    """`512 B`, `1.5 kB`, `12.3 MB`: powers of a thousand.

    >>> bytes_text(999), bytes_text(1536), bytes_text(0)
    ('999 B', '1.5 kB', '0 B')
    """
    if count < 1000:
        return f"{count} B"
    size = float(count)
    units = iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while size >= 999.95 and unit != "TB":
        size, unit = size / 1000, next(units)
    return f"{size:.1f} {unit}"


def time_text(nanoseconds: int) -> str:
    """`0.85 ms`, `12.3 ms`, `4.56 s`.

    >>> time_text(850_000), time_text(12_345_678), time_text(4_560_000_000)
    ('0.85 ms', '12.3 ms', '4.56 s')
    """
    if nanoseconds >= 1_000_000_000:
        return f"{nanoseconds / 1e9:,.2f} s"
    return f"{nanoseconds / 1e6:.{2 if nanoseconds < 10_000_000 else 1}f} ms"


def place_text(kind: str, path: str, line: int) -> str:
    """`no_grad train.py:27`."""
    return f"{clean(kind)} {clean(path)}:{line}" if path else clean(kind)


def _scopes(stats: Stats, choice: Choice) -> Table:
    columns = (
        Column("scope"), Column("ops"), Column("tracked", 5), Column("skipped", 4), Column("saved"),
        Column("unfreed", 3), Column("time", 1), Column("own ops", 8), Column("own saved", 7), Column("own time", 6),
    )  # fmt: skip
    flat = choice.top is not None
    rows = []
    for row in chosen_scopes(stats, choice):
        name = clean(row.path if flat else row.name)
        label = ("  " * (0 if flat else row.depth) + name) if row.path else "(outside of modules)"
        rows.append(
            (
                label, *_counts(row.all), _bytes(row.all.saved), _bytes(row.all.unfreed), _time(row.all.nanoseconds),
                _count(row.own.ops), _bytes(row.own.saved), _time(row.own.nanoseconds),
            )
        )  # fmt: skip
    table = Table(columns, tuple(rows))
    nested = any(row.depth for row in stats.scopes)
    return table if nested else table.without(at for at, column in enumerate(columns) if column.head.startswith("own"))


def _regions(stats: Stats, choice: Choice) -> Table:
    columns = (
        Column("region"), Column("entered", 1), Column("ops"), Column("tracked", 6), Column("skipped", 3),
        Column("saved", 7), Column("estimated"), Column("one entry", 5), Column("unknown ops", 4), Column("time", 2),
    )  # fmt: skip
    rows = []
    for row in chosen_regions(stats, choice):
        estimate = row.estimate
        spared = [NOTHING] * 3
        if estimate is not None:
            spared = [bytes_text(estimate.saved), bytes_text(estimate.at_once), _count(estimate.unknown)]
        rows.append(
            (
                place_text(row.kind, row.path, row.line), _count(row.entered), *_counts(row.tally),
                _bytes(row.tally.saved), *spared, _time(row.tally.nanoseconds),
            )
        )  # fmt: skip
    return Table(columns, tuple(rows))


def _sweeps(stats: Stats, choice: Choice) -> Table:
    columns = (Column("backward pass"), Column("runs"), Column("failed", 3), Column("freed"), Column("time", 1))
    ordered = list(stats.sweeps)
    if choice.sort in ("time", "bytes"):
        ordered.sort(key=lambda row: -(row.nanoseconds if choice.sort == "time" else row.freed))
    rows = [
        (
            place_text(row.kind, row.path, row.line), _count(row.runs), _count(row.failed), _bytes(row.freed),
            _time(row.nanoseconds),
        )
        for row in ordered[: choice.top]
    ]  # fmt: skip
    return Table(columns, tuple(rows))


def _steps(stats: Stats, choice: Choice) -> Table:
    ordered = list(stats.steps)
    if choice.sort == "time":
        ordered.sort(key=lambda row: -row.nanoseconds)
    rows = [
        (place_text(row.kind, row.path, row.line), _count(row.steps), _time(row.nanoseconds))
        for row in ordered[: choice.top]
    ]
    return Table((Column("optimizer"), Column("steps"), Column("time", 1)), tuple(rows))


def summary_lines(stats: Stats) -> list[str]:
    """What is true of the whole recording, one sentence a line."""
    total = stats.total
    told = [f"{total.ops:,} {'op' if total.ops == 1 else 'ops'}: {total.tracked:,} tracked"]
    if total.skipped:
        told.append(f"{total.skipped:,} skipped, to which a gradient could have come")
    lines = [", ".join(told)]
    if total.saved:
        freed = total.saved - total.unfreed
        held = f"{bytes_text(total.saved)} saved for backward, {bytes_text(stats.peak)} of it at once at most"
        if freed:
            held += f"; backward passes freed {bytes_text(freed)}"
        if total.unfreed:
            held += f"; {bytes_text(total.unfreed)} no backward pass freed"
        lines.append(held)
    if stats.leaves:
        lines.append(f"not counted: {bytes_text(stats.leaves)} of parameters, inputs and constants, which live anyway")
    if stats.packed:
        lines.append(f"not counted: {plural(stats.packed, 'saved tensor')} that hooks packed or that were gone")
    if stats.coverage:
        lines.append(stats.coverage)
    if stats.timed:
        spent = [f"{time_text(total.nanoseconds)} in ops"]
        if stats.sweeps:
            spent.append(f"{time_text(sum(row.nanoseconds for row in stats.sweeps))} in backward passes")
        if stats.steps:
            spent.append(f"{time_text(sum(row.nanoseconds for row in stats.steps))} in optimizer steps")
        lines.append(", ".join(spent))
    if any(row.estimate is not None and row.estimate.known for row in stats.regions):
        lines.append("estimated: what tracking would have kept where grad mode was off")
    return lines


def _sorted(rows: Sequence[R], choice: Choice, tally: Callable[[R], Tally]) -> list[R]:
    """The most first; rows with as much stay in the order in which they ran."""
    keys: dict[str, Callable[[Tally], int]] = {
        "time": lambda found: found.nanoseconds, "bytes": lambda found: found.saved, "ops": lambda found: found.ops,
    }  # fmt: skip
    key = keys.get(choice.sort)
    return list(rows) if key is None else sorted(rows, key=lambda row: -key(tally(row)))


def _counts(tally: Tally) -> tuple[str, str, str]:
    return _count(tally.ops), _count(tally.tracked), _count(tally.skipped)


def _count(number: int) -> str:
    return f"{number:,}" if number else NOTHING


def _bytes(count: int) -> str:
    return bytes_text(count) if count else NOTHING


def _time(nanoseconds: int) -> str:
    return time_text(nanoseconds) if nanoseconds else NOTHING
