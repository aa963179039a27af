"""What a command knows of the process that it runs in."""

from __future__ import annotations

from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Session:
    """`own_process`: gradviz was started for this one command, and the process ends with it."""

    own_process: bool = False


def session_of(context: click.Context) -> Session:
    """The session of a command; one that shares its process, as in a test, unless `main` said otherwise."""
    return context.find_object(Session) or Session()
