"""`gradviz stats`: run a script, or read a log, and add up ops, saved bytes and time by scope and region."""

from __future__ import annotations

import click

from gradviz.errors import UsageError

from ._messages import say, say_error
from ._output import reserved_stdout, shared_stdout
from ._recording import obtain
from ._session import session_of
from ._tables import page_of_stdout
from ._target import TargetCommand, find_source, target_argument


@click.command(cls=TargetCommand)
@target_argument("TARGET")
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--sort", type=click.Choice(["run", "time", "bytes", "ops"]), default="run", show_default=True,
    help="The most first; `run` is the order in which things first ran.",
)  # fmt: skip
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Modules of the N outermost levels only.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="The N first rows of each table, as full paths.")
@click.pass_context
def command(
    context: click.Context,
    target: str | None,
    module: str | None,
    form: str,
    sort: str,
    depth: int | None,
    top: int | None,
) -> int:
    """Add up what TARGET ran, what autograd kept in memory for it, and how long it took.

    TARGET is a Python script, which is run, or a log of an earlier run; a log has times where it was made by `gradviz
    record --times`. What the script itself prints goes to standard error, and the exit status is the script's own.

    Bytes are those of tensors saved for backward, each storage once. Where grad mode was off, what tracking would have
    kept is estimated. Times are real time of the recorded run, the recording's own work included: what passed since
    the event before counts for an operation.
    """
    from gradviz.stats import measure
    from gradviz.stats.report import as_json, as_text
    from gradviz.stats.tables import Choice, summary_lines, tables_of

    source = find_source(context, target, module)
    session = session_of(context)
    choice = Choice(sort, depth, top)
    page = page_of_stdout() if form == "text" else None
    with shared_stdout() if source.kind == "log" else reserved_stdout(keep=session.own_process) as stdout:
        recording = obtain(source, session, times=True)
        if not recording.graph.ops and (recording.failures or not recording.exit_code):
            error = recording.nothing_ran(source)
            if not recording.exit_code:
                raise error
            say_error(error)
            return recording.exit_code
        stats = measure(recording.graph)
        if not stats.timed and sort == "time":
            raise UsageError(f"`{source.name}` has no times", help="record it again with `gradviz record --times`")
        if page is not None:
            stdout.write(page.draw(summary_lines(stats), tables_of(stats, choice)))
        else:
            stdout.write(as_text(stats, choice) if form == "text" else as_json(stats, choice))
        if not stats.timed:
            say("note: the log has no times; `gradviz record --times` notes them")
        for lack in recording.lacks:
            say(f"warning: the recording is not complete: {lack}")
    return recording.exit_code
