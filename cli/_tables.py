"""Tables on a terminal: as wide as it is, with the columns that it has room for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._output import terminal_of_stdout

if TYPE_CHECKING:
    from gradviz.stats.tables import Table


@dataclass(frozen=True, slots=True)
class Page:
    """A terminal of `width` columns, with colours or without."""

    width: int
    color: bool

    def draw(self, lines: Sequence[str], tables: Sequence[Table]) -> str:
        """The lines, folded where they are too long, and the tables below."""
        from io import StringIO

        from rich.console import Console
        from rich.table import Table as Grid
        from rich.text import Text

        from gradviz.stats.report import GAP, fit

        page = StringIO()
        console = Console(
            file=page, width=self.width, force_terminal=self.color, color_system="standard" if self.color else None,
            no_color=not self.color,
        )  # fmt: skip
        for line in lines:
            console.print(Text(line), soft_wrap=False)
        for whole in tables:
            table = fit(whole, self.width)
            grid = Grid(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
            for at, column in enumerate(table.columns):
                grid.add_column(
                    Text(column.head), justify="right" if at else "left", no_wrap=True, overflow="ellipsis",
                    ratio=None if at else 1, min_width=len(column.head) if at else None,
                )  # fmt: skip
            for row in table.rows:
                grid.add_row(*(Text(cell, style="dim" if cell == "-" else "") for cell in row))
            console.print()
            console.print(grid)
        return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def page_of_stdout() -> Page | None:
    """The terminal that standard output is, or one as wide as `COLUMNS` says; None for a pipe or a file."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return Page(*terminal_of_stdout()) if terminal or os.environ.get("COLUMNS", "").isdigit() else None
