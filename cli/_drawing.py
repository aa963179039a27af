"""From a request to a drawing in its place: what `render` and `tree` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradviz.errors import GradvizError, UsageError
from gradviz.fold.choice import Choice

from ._engine import Engine
from ._focusing import Focus, focus_options
from ._folding import fold, fold_options
from ._messages import say, say_error
from ._output import Destination, File, reserved_stdout, shared_stdout, terminal_of_stdout
from ._progress import is_terminal, shown
from ._recording import Recording, obtain
from ._session import Session
from ._settings import Settings, read_settings
from ._target import Source

if TYPE_CHECKING:
    from gradviz.diagnose import Finding, Findings
    from gradviz.graphs import Graph
    from gradviz.views import Options

STDOUT = "-"

TOLD = 3
"""So many findings are told behind the summary; the drawing and `gradviz check` have them all."""

LARGE = 5_000
"""More boxes than so many take a layout several seconds."""

_WHOLE = ("json", "tree")
"""Views without a layout."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Request:
    """What to draw, which part of it, as which view, and to which file.

    of         a name, to draw what leads to it; where neither that nor `everything` nor `focus` chooses, one step
    findings   also what the rules find, as the project's settings have it
    values     run the script with values
    engine     who draws
    folding    what is drawn as one
    """

    source: Source
    of: str | None
    everything: bool
    view: str
    options: Options
    output: str = STDOUT
    findings: bool = True
    values: bool = False
    engine: Engine = field(default_factory=Engine)
    focus: Focus = field(default_factory=Focus)
    folding: Choice = field(default_factory=Choice)

    def __post_init__(self) -> None:
        given = ["--of"] * (self.of is not None) + ["--all"] * self.everything + self.focus.options
        if len(given) > 1:
            raise UsageError(f"`{given[0]}` and `{given[1]}` were both given", help="leave out one of them")


def choice_options(function: _Function) -> _Function:
    """Decorator: the options that say what is shown.

    As `of`, `everything`, `focus`, `folding`, `show_saved`, `show_attrs`, `no_findings` and `values`.
    """
    for option in (
        click.option("--values", is_flag=True, help="Look at the numbers that operations give, too; slow."),
        click.option("--no-findings", is_flag=True, help="Leave out what `gradviz check` finds."),
        click.option("--show-attrs", is_flag=True, help="Show the static arguments of each operation."),
        click.option("--show-saved", is_flag=True, help="Show the tensors that are kept for backward."),
        fold_options,
        focus_options,
        click.option("--all", "everything", is_flag=True, help="Show all that was recorded, and fold nothing."),
        click.option("--of", metavar="NAME", help="Show what leads to this value."),
    ):
        function = option(function)
    return function


def fulfil(request: Request, session: Session) -> int:
    """Run or read, draw, write. Returns the exit status: the script's own.

    Where the script failed, what else goes wrong afterwards is told but does not hide that status; where it did not,
    it is raised.
    """
    request.engine.check(request.view, terminal=request.output == STDOUT and is_terminal(sys.stdout))
    settings = _read_settings(request.source) if request.findings else None
    place: AbstractContextManager[Destination]
    # What the script may change is looked at first: standard output, the terminal, the working directory.
    if request.output == STDOUT:
        if request.view == "tree":
            width, color = terminal_of_stdout()
            request = replace(request, options=replace(request.options, width=width, color=color))
        place = shared_stdout() if request.source.kind == "log" else reserved_stdout(keep=session.own_process)
    else:
        file = File(request.output)
        file.keep_off(request.source.name)
        place = nullcontext(file)
    with place as destination:
        recording = obtain(request.source, session, values=request.values)
        try:
            _draw(request, recording, destination, settings)
        except GradvizError as error:
            if not recording.exit_code:
                raise
            say_error(error)
        for lack in recording.lacks if recording.graph.ops else ():
            say(f"warning: the recording is not complete: {lack}")
    return recording.exit_code


def _draw(request: Request, recording: Recording, destination: Destination, settings: Settings | None) -> None:
    from gradviz.picture.fold_words import tell_folds
    from gradviz.progress import step

    if not recording.graph.ops:
        raise recording.nothing_ran(request.source)
    with shown():
        with step("looking for mistakes"):
            findings = _diagnose(recording.graph, settings) if settings is not None else None
        with step("choosing what to draw"):
            part = _select(request, recording.graph, findings or ())
            graph = fold(request.folding, recording.graph, part, request.view, findings or ())
        if request.view not in _WHOLE and not is_terminal(sys.stderr):  # on a terminal there is a bar
            _warn_of_size(graph)
        with step("drawing"):
            content = request.engine.draw(graph, request.view, request.options, findings)
        if isinstance(destination, File):
            destination.keep_off(recording.file)  # a module's file is known only after the search for it
        with step("writing"):
            destination.write(content)
    if isinstance(destination, File):
        say(f"{request.output}: {_summary(graph, request.options, findings)}")
        for note in tell_folds(graph):
            say(note)
        _tell_findings(findings or (), request.source)


def _tell_findings(findings: Sequence[Finding], source: Source) -> None:
    """A line for each of the gravest findings that the drawing has marks of, and how to read the others."""
    from gradviz.diagnose.formats.text import line
    from gradviz.picture.places import SHOWN

    shown = [finding for finding in findings if finding.severity in SHOWN]
    for finding in shown[:TOLD]:
        say(line(finding))
    if len(shown) > TOLD:
        say(f"{len(shown) - TOLD} more: gradviz check {source.command_line}")


def _warn_of_size(graph: Graph) -> None:
    """Say, before the work begins, that it will be long: in a pipe there is no bar."""
    from gradviz.fold.fit import count_boxes

    boxes = count_boxes(graph)
    if boxes > LARGE:
        shorter = "`--of NAME`, `--focus SCOPE` or `--depth N` draws less"
        say(f"what is drawn is large, about {boxes:,} boxes, and takes long; {shorter}")


def _select(request: Request, graph: Graph, findings: Sequence[Finding]) -> Graph:
    """The part that was asked for; by default, one that has in it what the findings blame.

    Raises `UsageError` where nothing has the name that was asked for.
    """
    from gradviz.focusing import without_shadow
    from gradviz.fold.steps import roll_steps
    from gradviz.picture.aiming import missing_culprits
    from gradviz.selecting import default_selection, selection_of

    if request.everything:
        part = graph
    elif request.of is not None:
        part = selection_of(graph, request.of)
    else:
        part = default_selection(graph)
        culprits = missing_culprits(graph, part, findings)
        part = request.focus.choose(graph, default_selection(graph, culprits) if culprits else part)
    if request.focus.no_shadow:
        lit = without_shadow(part)
        blamed = missing_culprits(part, lit, findings)
        part = without_shadow(part, blamed) if blamed else lit
    return roll_steps(part, opened=request.folding.expand) if request.focus.iterations else part


def _read_settings(source: Source) -> Settings:
    """The settings of the script's project, else of the one that it is drawn in."""
    folders = [Path(source.name).absolute().parent] if source.kind == "script" else []
    return read_settings(*folders, Path.cwd())


def _diagnose(graph: Graph, settings: Settings) -> Findings:
    """What `gradviz check` would find in all of the graph."""
    from gradviz.diagnose import diagnose

    return diagnose(graph, select=settings.select, ignore=settings.ignore)


def _summary(graph: Graph, options: Options, findings: Findings | None) -> str:
    from gradviz.picture.composing import compose

    return compose(graph, options, findings).summary
