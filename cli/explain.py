"""`gradviz explain`: run a script, or read a log, and tell the story of one tensor's gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradviz.errors import GradvizError, UsageError

from ._messages import say, say_error
from ._output import reserved_stdout, shared_stdout, terminal_of_stdout
from ._recording import obtain
from ._session import session_of
from ._target import TargetCommand, find_source, target_argument

if TYPE_CHECKING:
    from gradviz.graphs import Graph


@click.command(cls=TargetCommand)
@target_argument("TARGET")
@click.argument("name", required=False)
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Show every stop of a long road.")
@click.pass_context
def command(
    context: click.Context, target: str | None, module: str | None, name: str | None, form: str, everything: bool
) -> int:
    """Trace the gradient of one tensor of TARGET, or what stops it.

    Shown is what the tensor called NAME got from each backward pass, and the road from it to what backward started
    from: the one that brings its gradient, and those that some line cuts. NAME is a variable or a parameter
    (`model.fc.weight`), or a line that makes a tensor (`train.py:14`).

    TARGET is a Python script, which is run, or a log of an earlier run. What the script itself prints goes to standard
    error. The exit status is the script's own.
    """
    if module is not None and name is None:
        target, name = None, target
    source = find_source(context, target, module)
    if name is None:
        raise UsageError(
            "there is no tensor to explain", help=f"name one: `gradviz explain {source.name} loss`, or a line of it"
        )
    width, color = terminal_of_stdout()
    session = session_of(context)
    with shared_stdout() if source.kind == "log" else reserved_stdout(keep=session.own_process) as stdout:
        recording = obtain(source, session)
        try:
            if not recording.graph.ops:
                raise recording.nothing_ran(source)
            stdout.write(_told(recording.graph, name, form, everything, width, color))
        except GradvizError as error:
            if not recording.exit_code:
                raise
            say_error(error)
        for lack in recording.lacks if recording.graph.ops else ():
            say(f"warning: the recording is not complete: {lack}")
    return recording.exit_code


def _told(graph: Graph, name: str, form: str, everything: bool, width: int, color: bool) -> str:
    """The account, or the tensors to choose from where NAME is a line that makes several."""
    from gradviz.accounts import account_of, look_up
    from gradviz.accounts.json import as_json, choices_as_json
    from gradviz.views.account import draw, draw_choices

    found = look_up(graph, name)
    if found.value is None:
        return choices_as_json(found) if form == "json" else draw_choices(found.choices, name, width=width, color=color)
    account = account_of(graph, found.value, remarks=found.remarks)
    return as_json(account) if form == "json" else draw(account, width=width, color=color, everything=everything)
