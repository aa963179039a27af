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
        from rich.text import Text

        from gradviz.stats.report import fit, lines_of

        page = StringIO()
        console = Console(
            file=page, width=self.width, force_terminal=self.color, color_system="standard" if self.color else None,
            no_color=not self.color,
        )  # fmt: skip
        for line in lines:
            console.print(Text(line))
        for table in tables:
            console.print()
            for number, line in enumerate(lines_of(fit(table, self.width))):
                text = Text(line, style="" if number else "bold")
                text.highlight_regex(r"(?<= )-(?= |$)", "dim")
                console.print(text, no_wrap=True, overflow="ignore", crop=False)
        return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def page_of_stdout() -> Page | None:
    """The terminal that standard output is, or one as wide as `COLUMNS` says; None for a pipe or a file."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return Page(*terminal_of_stdout()) if terminal or os.environ.get("COLUMNS", "").isdigit() else None
