"""What gradviz says on standard error: one line each, whatever is in the names that it repeats."""

from __future__ import annotations

from contextlib import suppress

import click

from gradviz.errors import GradvizError


def say_error(error: GradvizError) -> None:
    """`error: ...` and, where there is one, `help: ...`."""
    say(f"error: {error.message}")
    if error.help:
        say(f"help: {error.help}")


def say(text: str) -> None:
    """One line on standard error; a line break in a file's name does not make two of it."""
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    with suppress(OSError, ValueError):  # standard error may be closed
        click.echo(line, err=True)
