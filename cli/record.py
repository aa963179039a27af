"""`gradviz record`: run a script and keep what it did in a log, to be drawn later or elsewhere."""

from __future__ import annotations

import os

import click

from gradviz.errors import UsageError

from ._drawing import STDOUT
from ._messages import say, say_error
from ._output import File
from ._recording import nothing_ran
from ._session import session_of
from ._target import TargetCommand, find_source, target_argument


@click.command(cls=TargetCommand)
@target_argument("SCRIPT")
@click.option("-o", "--output", metavar="LOG", help="Where to write.  [default: SCRIPT's name with .gvlog]")
@click.option("--times", is_flag=True, help="Note how much time passes where, for `gradviz stats LOG`.")
@click.option("--values", is_flag=True, help="Note zeros, NaNs and ranges of all that operations give; slow.")
@click.pass_context
def command(
    context: click.Context, target: str | None, module: str | None, output: str | None, times: bool, values: bool
) -> int:
    """Run SCRIPT and write what happens to a log, while it happens.

    The log can be drawn by `gradviz render LOG` and `gradviz tree LOG`, also where the script cannot be run, and also
    after the script was killed. Two logs of one script are the same, unless they are made with --times. The exit
    status is the script's own.
    """
    from gradviz.picture.wording import plural
    from gradviz.recorder import Recorder
    from gradviz.run import load, run

    source = find_source(context, target, module)
    if source.kind == "log":
        raise UsageError(f"`{source.name}` is a log already", help=f"draw it with `gradviz render {source.name}`")
    output = output or f"{source.stem}.gvlog"
    if output == STDOUT:
        raise UsageError("a log is not written to standard output", help="name a file with `-o`")
    program = load(source.target())
    File(output).keep_off(program.file)
    path = os.path.abspath(output)
    recorder = Recorder(path, target=str(program.target), times=times, values=values)
    outcome = run(program, recorder, last=session_of(context).own_process)
    if recorder.ops:
        for failure in recorder.failures:
            say(f"warning: the recording is not complete: {failure}")
        say(f"{output}: {plural(recorder.ops - recorder.sources, 'operation')} recorded")
        return outcome.exit_code
    if os.path.isfile(path):
        os.unlink(path)
    error = nothing_ran(source, outcome.exit_code, recorder.failures)
    if not outcome.exit_code:
        raise error
    say_error(error)
    return outcome.exit_code
