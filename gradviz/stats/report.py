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

NARROWEST = 20
"""Characters that the first column keeps, where it needs them, before other columns go."""


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
    parts += [lines_of(table) for table in tables_of(stats, choice or Choice())]
    return "\n\n".join("\n".join(line for line in part if line) for part in parts) + "\n"


def fit(table: Table, width: int) -> Table:
    """`table` for lines of `width` characters: without the least telling columns, and then with shorter names of rows.

    Where `width` is very small, lines are longer than that all the same.
    """
    names = table.columns[0].head, *(row[0] for row in table.rows)
    wanted = min(max(map(len, names)), NARROWEST)
    while _room(table, width) < wanted:
        dispensable = max(range(len(table.columns)), key=lambda at: table.columns[at].rank)
        if not table.columns[dispensable].rank:
            break
        table = table.without([dispensable])
    room = max(_room(table, width), NARROWEST // 2)
    return Table(table.columns, tuple((_clipped(row[0], room), *row[1:]) for row in table.rows))


def _room(table: Table, width: int) -> int:
    """Characters that the other columns leave to the first."""
    return width - sum(_widths(table)[1:]) - GAP * (len(table.columns) - 1)


def _clipped(name: str, room: int) -> str:
    """`name` with its end cut off; a place keeps its line, and a module its depth."""
    if len(name) <= room:
        return name
    head, colon, line = name.rpartition(":")
    tail = f"…{colon}{line}" if colon and line.isdigit() and len(line) < room // 2 else "…"
    return (head if len(tail) > 1 else name)[: room - len(tail)] + tail


def lines_of(table: Table) -> list[str]:
    """The head and the rows, each column as wide as what is in it."""
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
