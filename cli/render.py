"""`gradviz render`: run a script, or read a log, and draw its computation graph."""

from __future__ import annotations

import click

from gradviz.fold.choice import Choice
from gradviz.views import EXTENSIONS, IMAGES, VIEWS, Options, name_for

from ._drawing import STDOUT, Request, choice_options, fulfil
from ._engine import Engine, engine_options
from ._focusing import Focus
from ._session import session_of
from ._target import TargetCommand, find_source, target_argument

_FORMAT_HELP = "What to write, whatever FILE is called."


@click.command(cls=TargetCommand)
@target_argument("TARGET")
@click.option("-o", "--output", metavar="FILE", help="Where to write; `-` is standard output.")
@click.option("-f", "--format", "view", type=click.Choice([*VIEWS, *IMAGES]), help=_FORMAT_HELP)
@choice_options
@click.option("--direction", type=click.Choice(["TB", "LR"]), default="TB", show_default=True, help="How data flows.")
@engine_options
@click.pass_context
def command(
    context: click.Context,
    target: str | None,
    module: str | None,
    output: str | None,
    view: str | None,
    of: str | None,
    everything: bool,
    focus: Focus,
    folding: Choice,
    show_saved: bool,
    show_attrs: bool,
    no_findings: bool,
    values: bool,
    direction: str,
    engine: Engine,
) -> int:
    """Draw the computation graph of TARGET: a Python script, which is run, or a log of an earlier run.

    Shown is what led to the last backward pass, with what autograd skipped or lost on the way, and the errors and
    warnings of `gradviz check` on what they blame. Without -o the drawing is an SVG file in the current directory,
    named after TARGET. The exit status is the script's own.
    """
    source = find_source(context, target, module)
    if view is None:
        view = name_for(output) if output not in (None, STDOUT) else "svg"
    if output is None:
        output = STDOUT if view == "tree" else source.stem + _extension(view)
    options = Options(direction=direction, show_saved=show_saved, show_attrs=show_attrs)
    request = Request(
        source, of, everything, view, options, output,
        findings=not no_findings, values=values, engine=engine, focus=focus, folding=folding,
    )
    return fulfil(request, session_of(context))


def _extension(view: str) -> str:
    """The first extension that stands for `view`."""
    return next(extension for extension, held in EXTENSIONS.items() if held == view)
