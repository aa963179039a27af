"""`gradviz check`: run a script, or read a log, and say which lines cost tensors their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradviz.errors import EXIT_SCRIPT, UsageError

from ._messages import say, say_error
from ._output import Destination, File, reserved_stdout, shared_stdout
from ._recording import Recording, obtain
from ._session import session_of
from ._settings import SEVERITIES, Settings, read_settings
from ._target import Source, TargetCommand, find_source, target_argument

if TYPE_CHECKING:
    from gradviz.diagnose import Findings

STDOUT = "-"


@click.command(cls=TargetCommand)
@target_argument("TARGET")
@click.option("-o", "--output", metavar="FILE", default=STDOUT, help="Where to write, instead of standard output.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="What to write: for people, for programs, for code scanning, or as annotations of GitHub Actions.",
)
@click.option("--select", metavar="CODES", multiple=True, help="Apply these rules only: `GV101,GV3`.")
@click.option("--ignore", metavar="CODES", multiple=True, help="Leave these rules out.")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="Exit with status 1 for findings of this severity or a graver one.  [default: error]",
)
@click.option(
    "--values", is_flag=True, help="Look at all that operations give, too: who made a NaN, which layer is dead."
)
@click.option("--rules", "listing", is_flag=True, help="List the rules and exit.")
@click.pass_context
def command(
    context: click.Context,
    target: str | None,
    module: str | None,
    output: str,
    form: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str | None,
    values: bool,
    listing: bool,
) -> int:
    """Find out why tensors of TARGET got no gradient, and which line did it.

    TARGET is a Python script, which is run, or a log of an earlier run. What the script itself prints goes to standard
    error. The exit status is the script's own where it failed, else 1 for findings as grave as --fail-on.

    With --values, each tensor is looked at as a whole when it is made, which may take longer than making it. A log has
    values where it was made by `gradviz record --values`.

    A comment `# gradviz: ignore[GV101]` silences a statement. The table [tool.gradviz] in pyproject.toml may set
    select, ignore and fail-on.
    """
    if listing:
        from gradviz.diagnose import rules
        from gradviz.diagnose.report import list_rules

        with shared_stdout() as stdout:
            stdout.write(list_rules(rules()))
        return 0
    source = find_source(context, target, module)
    settings = _settings(source, select, ignore, fail_on)
    session, here = session_of(context), os.getcwd()
    place: AbstractContextManager[Destination]
    if output != STDOUT:
        file = File(output)
        file.keep_off(source.name)
        place = nullcontext(file)
    else:
        place = shared_stdout() if source.kind == "log" else reserved_stdout(keep=session.own_process)
    with place as destination:
        recording = obtain(source, session, values=values)
        if not recording.graph.ops and (recording.failures or not recording.exit_code):
            error = recording.nothing_ran(source)
            if not recording.exit_code:
                raise error
            say_error(error)
            return recording.exit_code
        with _back_in(here):
            findings = _diagnose(recording, settings)
            try:
                _write(findings, form, destination, recording.file)
            except UsageError as error:
                if not recording.exit_code:
                    raise
                say_error(error)
        if values and not recording.graph.measures:
            say("note: the log has no values; `gradviz record --values` notes them")
        for lack in recording.lacks:
            say(f"warning: the recording is not complete: {lack}")
    if recording.exit_code:
        return recording.exit_code
    grave = SEVERITIES[: SEVERITIES.index(settings.fail_on) + 1] if settings.fail_on != "never" else ()
    return EXIT_SCRIPT if any(finding.severity.value in grave for finding in findings) else 0


@contextmanager
def _back_in(folder: str) -> Iterator[None]:
    """In `folder`, which places are relative to, and then where the script left the process."""
    away = None
    with suppress(OSError):  # either may be gone
        away = os.getcwd()
    with suppress(OSError):
        os.chdir(folder)
    try:
        yield
    finally:
        if away is not None:
            with suppress(OSError):
                os.chdir(away)


def _settings(source: Source, select: tuple[str, ...], ignore: tuple[str, ...], fail_on: str | None) -> Settings:
    """The project's settings, each of which an option replaces; those of the script's project go before those here."""
    from gradviz.diagnose import rules
    from gradviz.diagnose.choosing import codes_of

    folders = [Path(source.name).absolute().parent] if source.kind == "script" else []
    project = read_settings(*folders, Path.cwd())
    settings = Settings(
        codes_of(select, "`--select`") or project.select,
        codes_of(ignore, "`--ignore`") or project.ignore,
        fail_on or project.fail_on,
    )
    if all(rule.code.startswith(settings.ignore) or not _selected(rule.code, settings) for rule in rules()):
        raise UsageError("every rule that is selected is ignored, too", help="ignore fewer rules, or select more")
    return settings


def _selected(code: str, settings: Settings) -> bool:
    return not settings.select or code.startswith(settings.select)


def _diagnose(recording: Recording, settings: Settings) -> Findings:
    from gradviz.diagnose import diagnose, rules
    from gradviz.diagnose.silencing import misspelt_codes

    for file, line, code in misspelt_codes(recording.graph.sites, [rule.code for rule in rules()]):
        say(f"warning: {file}:{line}: no rule has a code that begins with `{code}`, so this comment silences nothing")
    return diagnose(recording.graph, select=settings.select, ignore=settings.ignore)


def _write(findings: Findings, form: str, destination: Destination, read: str) -> None:
    from gradviz.diagnose.formats import FORMATS
    from gradviz.diagnose.formats.text import summary_line

    if isinstance(destination, File):
        destination.keep_off(read)  # a module's file is known only after the search for it
    destination.write(FORMATS[form](findings))
    if isinstance(destination, File):
        say(f"{destination.name}: {summary_line(findings)}")
