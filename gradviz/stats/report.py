"""How stats are told: as aligned text that fits a width, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from gradviz.picture.wording import clean
from gradviz.stats.records import Stats
from gradviz.stats.tables import Choice, Table, chosen_regions, chosen_scopes, summary_lines, tables_of

GAP = 2
"""Columns of white between two cells."""

NARROWEST = 16
"""Characters that the first column keeps before other columns go."""


def as_json(stats: Stats, choice: Choice | None = None) -> str:
    """All numbers, in bytes and nanoseconds; times are null where the recording has none."""
    choice = choice or Choice()
    told = asdict(stats)
    told["scopes"] = [asdict(row) for row in chosen_scopes(stats, choice)]
    told["regions"] = [asdict(row) for row in chosen_regions(stats, choice)]
    pending: list[object] = [] if stats.timed else [told]
    while pending:
        held = pending.pop()
        if isinstance(held, dict):
            held.update(dict.fromkeys(held.keys() & {"nanoseconds"}))
            pending += held.values()
        elif isinstance(held, (list, tuple)):
            pending += held
    return json.dumps(told, indent=2, ensure_ascii=True) + "\n"


def as_text(stats: Stats, choice: Choice | None = None) -> str:
    """The tables as plain text, however wide, with spaces for lines."""
    parts = [[clean(stats.target), *summary_lines(stats)]]
    parts += [_lines(table) for table in tables_of(stats, choice or Choice())]
    return "\n\n".join("\n".join(line for line in part if line) for part in parts) + "\n"


def fit(table: Table, width: int) -> Table:
    """`table` without the columns that a line of `width` characters has no room for, the least telling ones first."""
    while sum(_widths(table)) + GAP * (len(table.columns) - 1) > width:
        room = width - sum(_widths(table)[1:]) - GAP * (len(table.columns) - 1)
        dispensable = max(range(len(table.columns)), key=lambda at: table.columns[at].rank)
        if room >= NARROWEST or not table.columns[dispensable].rank:
            break
        table = table.without([dispensable])
    return table


def _lines(table: Table) -> list[str]:
    widths = _widths(table)
    rows: list[Sequence[str]] = [[column.head for column in table.columns], *table.rows]
    return [
        (" " * GAP)
        .join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in rows
    ]


def _widths(table: Table) -> list[int]:
    return [max(len(column.head), *(len(row[at]) for row in table.rows), 0) for at, column in enumerate(table.columns)]
