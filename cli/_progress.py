"""A progress bar for work that takes longer than one likes to wait for, on a terminal and nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from gradviz.progress import Step, current

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 0.5
"""Seconds that a step takes before it is shown."""

_PERIOD = 0.1


@contextmanager
def shown() -> Iterator[None]:
    """While it lasts, a step that takes long is shown on standard error, if that is a terminal; in the end, nothing is.

    It is a thread that looks and draws, since the work does not come by at regular times; it sleeps nearly always, and
    loads what draws only when there is something to show.
    """
    terminal = sys.stderr
    if not is_terminal(terminal) or os.environ.get("TERM") in ("dumb", "unknown"):
        yield
        return
    over = Event()
    watcher = Thread(target=_watch, args=(terminal, over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        while watcher.is_alive():  # else the bar would stay, also after one more Ctrl-C
            with suppress(KeyboardInterrupt):
                watcher.join()


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; one that is closed is none."""
    with suppress(OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def _watch(terminal: TextIO, over: Event) -> None:
    seen: Step | None = None
    since = monotonic()
    bar: Progress | None = None
    # A bar that cannot be drawn must not end the work that it is about.
    with suppress(Exception):
        try:
            while not over.wait(_PERIOD):
                step = current()
                if step is not seen:
                    seen, since = step, monotonic()
                if step is None or (bar is None and monotonic() - since < PATIENCE):
                    continue
                if bar is None:
                    bar = _bar(terminal)
                    bar.start()
                _show(bar, step)
        finally:
            if bar is not None:
                bar.stop()


def _bar(terminal: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    class Plain(Console):
        """A console that leaves the cursor alone: nobody could bring it back if the process were killed."""

        def show_cursor(self, show: bool = True) -> bool:
            return False

    console = Plain(file=terminal, force_terminal=True, highlight=False)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    return Progress(
        *columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    )


def _show(bar: Progress, step: Step) -> None:
    name = "".join(char if char.isprintable() else "?" for char in step.name)
    tasks = bar.tasks
    if not tasks or tasks[0].description != name:
        for task in tasks:
            bar.remove_task(task.id)
        bar.add_task(name, total=None)
    bar.update(bar.tasks[0].id, total=step.total or None, completed=step.done, refresh=True)
