"""`gradviz check`: run a script, or read a log, and say which lines cost tensors their gradients."""

from __future__ import annotations

from pathlib import Path

import click

from gradviz.errors import EXIT_SCRIPT, UsageError

from ._messages import say
from ._output import reserved_stdout, shared_stdout
from ._recording import nothing_ran, obtain
from ._session import session_of
from ._settings import SEVERITIES, read_settings
from ._target import TargetCommand, find_source, target_argument


@click.command(cls=TargetCommand)
@target_argument("TARGET")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.option("--select", metavar="CODES", multiple=True, help="Apply these rules only: `GV101,GV3`.")
@click.option("--ignore", metavar="CODES", multiple=True, help="Leave these rules out.")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="Exit with status 1 for findings of this severity or a graver one.  [default: error]",
)
@click.option("--rules", "listing", is_flag=True, help="List the rules and exit.")
@click.pass_context
def command(
    context: click.Context,
    target: str | None,
    module: str | None,
    form: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str | None,
    listing: bool,
) -> int:
    """Find out why tensors of TARGET got no gradient, and which line did it.

    TARGET is a Python script, which is run, or a log of an earlier run. What the script itself prints goes to standard
    error. The exit status is the script's own where it failed, else 1 for findings as grave as --fail-on.

    A comment `# gradviz: ignore[GV101]` silences a line. The table [tool.gradviz] in pyproject.toml may set select,
    ignore and fail-on.
    """
    from gradviz.diagnose import diagnose, rules
    from gradviz.diagnose.report import as_github, as_json, as_text, list_rules

    if listing:
        with shared_stdout() as stdout:
            stdout.write(list_rules(rules()))
        return 0
    settings = read_settings(Path.cwd())
    selected, ignored = _codes(select or settings.select), _codes(ignore or settings.ignore)
    fail_on = fail_on or settings.fail_on
    source = find_source(context, target, module)
    session = session_of(context)
    with shared_stdout() if source.kind == "log" else reserved_stdout(keep=session.own_process) as stdout:
        recording = obtain(source, session)
        if not recording.graph.ops and not recording.exit_code:
            raise nothing_ran(source, recording.exit_code)
        findings = diagnose(recording.graph, select=selected, ignore=ignored)
        stdout.write({"text": as_text, "json": as_json, "github": as_github}[form](findings))
        for failure in recording.failures:
            say(f"warning: the recording is not complete: {failure}")
    if recording.exit_code:
        return recording.exit_code
    grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1] if fail_on != "never" else ()
    return EXIT_SCRIPT if any(finding.severity.value in grave for finding in findings) else 0


def _codes(given: tuple[str, ...]) -> tuple[str, ...]:
    """The codes or beginnings of codes in options that may be repeated and may hold several, parted by commas."""
    from gradviz.diagnose import rules

    codes = tuple(code.strip().upper() for text in given for code in text.split(",") if code.strip())
    for code in codes:
        if not any(rule.code.startswith(code) for rule in rules()):
            raise UsageError(f"no rule has a code that begins with `{code}`", help="`gradviz check --rules` lists them")
    return codes
