"""`gradviz tree`: run a script, or read a log, and print its computation graph as text."""

from __future__ import annotations

import click

from gradviz.fold.choice import Choice
from gradviz.views import Options

from ._drawing import Request, choice_options, fulfil
from ._focusing import Focus
from ._session import session_of
from ._target import TargetCommand, find_source, target_argument


@click.command(cls=TargetCommand)
@target_argument("TARGET")
@choice_options
@click.pass_context
def command(
    context: click.Context,
    target: str | None,
    module: str | None,
    of: str | None,
    everything: bool,
    focus: Focus,
    folding: Choice,
    show_saved: bool,
    show_attrs: bool,
    no_findings: bool,
    values: bool,
) -> int:
    """Print the computation graph of TARGET: a Python script, which is run, or a log of an earlier run.

    The errors and warnings of `gradviz check` are marked in it and listed below. What the script itself prints goes to
    standard error. The exit status is the script's own.
    """
    source = find_source(context, target, module)
    options = Options(show_saved=show_saved, show_attrs=show_attrs)
    request = Request(
        source, of, everything, "tree", options, findings=not no_findings, values=values, focus=focus, folding=folding
    )
    return fulfil(request, session_of(context))
