"""From a Source to its graph: read the log, or run the script and record it in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradviz.errors import GradvizError, GraphError, LogError, UsageError

from ._progress import shown
from ._session import Session
from ._target import Source

if TYPE_CHECKING:
    from gradviz.failures import Failure
    from gradviz.graphs import Graph


_LACKS = ("failure", "truncated", "unfinished", "newer")
"""Kinds of notes in a log that say so."""

_TORN = ("truncated", "unfinished")
"""The same of a log that has no end."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A graph, and what is to be known of the script that it came from.

    exit_code   the script's, 0 for a log
    file        what was run or read
    failures    of the recording itself, one line each
    remains     what the script left behind: while it is held, no finalizer of the user's runs into the drawing
    """

    graph: Graph
    exit_code: int
    file: str
    failures: tuple[Failure, ...] = ()
    remains: object = None

    @property
    def lacks(self) -> list[str]:
        """Why it is not complete, a line each; of a log, what its writer or its reader left out."""
        told = [note.text for note in self.graph.notes if note.kind in _LACKS] if not self.failures else []
        return [*map(str, self.failures), *told]

    def nothing_ran(self, source: Source) -> GradvizError:
        """The error for a graph without ops."""
        if source.kind == "log" and any(note.kind in _TORN for note in self.graph.notes):
            help = "record the script again, and let it run longer"
            return UsageError(f"`{source.name}` ends early, before its first operation", help=help)
        return nothing_ran(source, self.exit_code, self.failures)


def obtain(source: Source, session: Session, *, times: bool = False, values: bool = False) -> Recording:
    """Read or run `source`, where it is run with `times` and with `values` if asked for.

    Raises `UsageError` where it cannot be run, `LogError` where it cannot be read.
    """
    from gradviz.graphs import Graph

    if source.kind == "log":
        from gradviz.gvlog import read_log
        from gradviz.progress import step

        try:
            size = os.path.getsize(source.name) if os.path.isfile(source.name) else 0
            with shown(), step(f"reading {os.path.basename(source.name)}", size) as reading:
                return Recording(Graph.build(read_log(source.name, reading)), 0, source.name)
        except GraphError as error:
            raise LogError(f"`{source.name}` is damaged: {error.message}", help="record the script again") from None
    from gradviz.recorder import Recorder
    from gradviz.run import load, run

    program = load(source.target())
    recorder = Recorder(target=str(program.target), times=times, values=values)
    outcome = run(program, recorder, last=session.own_process)
    return Recording(recorder.graph(), outcome.exit_code, program.file, tuple(recorder.failures), outcome)


def nothing_ran(source: Source, exit_code: int, failures: Sequence[Failure] = ()) -> GradvizError:
    """The error for a script that used no tensor, or none that was seen because the recording failed."""
    if failures and failures[0].help:
        return UsageError(f"`{source.name}` was not recorded: {failures[0]}", help=failures[0].help)
    if failures:
        help = "report it, with the versions of gradviz and PyTorch"
        return GradvizError(f"`{source.name}` was not recorded: {failures[0]}", help=help)
    if source.kind == "log":
        return UsageError(f"`{source.name}` holds no tensor operation", help="record a script that runs some")
    when = " before it ended" if exit_code else ""
    help = "" if exit_code else "compute in it with the tensors of gradviz or of PyTorch"
    return UsageError(f"`{source.name}` ran no tensor operation{when}, so there is nothing to show", help=help)
