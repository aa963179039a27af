"""How a program ended, in events: what an exception stands for, and where in the user's files it came from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType

from gradviz.events import Error, Event, Note, Site, Status
from gradviz.sites import decode, is_user_file

CALLS_LIMIT = 20
"""Most calls that are told of on the way to where an exception was raised."""


def ending(exception: BaseException | None) -> tuple[Status, int]:
    """How a program ended that let `exception` out, and the exit code that Python gives it."""
    match exception:
        case None:
            return Status.FINISHED, 0
        case SystemExit(code=None):
            return Status.EXITED, 0
        case SystemExit(code=int(code)):
            return Status.EXITED, int(code)
        case SystemExit():
            return Status.EXITED, 1
        case KeyboardInterrupt():
            return Status.INTERRUPTED, 130
    return Status.RAISED, 1


def tell_ending(exception: BaseException | None, next_site: int) -> Iterator[Event]:
    """The events that say where a program ended, if not at its end. New sites are numbered from `next_site`."""
    if exception is None:
        return
    entries = _user_entries(exception)
    if isinstance(exception, SystemExit | KeyboardInterrupt):
        if entries:
            file = os.path.basename(entries[-1].tb_frame.f_code.co_filename)
            yield Note("ended", f"it ended at line {entries[-1].tb_lineno} of `{file}`")
        return
    sites = list(_sites(entries[-CALLS_LIMIT:], next_site))
    yield from sites
    yield Error(type(exception).__qualname__, text_of(exception), sites[-1].id if sites else None)


def text_of(exception: BaseException) -> str:
    """What an exception says, or empty where its own `__str__` raises."""
    try:
        return str(exception)
    except Exception:
        return ""


def _user_entries(exception: BaseException) -> list[TracebackType]:
    """The entries of a traceback that lie in the user's own files, innermost last."""
    entries = []
    entry = exception.__traceback__
    while entry is not None:
        if is_user_file(entry.tb_frame.f_code.co_filename):
            entries.append(entry)
        entry = entry.tb_next
    return entries


def _sites(entries: list[TracebackType], first: int) -> Iterator[Site]:
    """A site for each entry, the one before it as its caller."""
    for number, entry in enumerate(entries, first):
        place = decode(entry.tb_frame.f_code, entry.tb_lasti)
        yield Site(
            number,
            place.file,
            place.line,
            place.end_line,
            place.column,
            place.end_column,
            place.function,
            text=place.text,
            caller=number - 1 if number > first else None,
        )
