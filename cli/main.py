"""The `gradviz` command: finds its commands, and turns what goes wrong into one line and an exit status."""

from __future__ import annotations

import difflib
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

import gradviz
from gradviz.errors import EXIT_INTERNAL, EXIT_USAGE, GradvizError, UsageError

from ._messages import say, say_error
from ._output import ClosedPipe
from ._session import Session
from ._target import TargetCommand

EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141
INTERRUPTED = "interrupted; a file is written whole or not at all"

_NEAR = 0.75
"""How like an option a mistyped one must be."""


class Application(click.Group):
    """A group whose commands are the modules beside this one: `render` is the `command` of `render.py`.

    Modules whose name begins with an underscore hold what commands share.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = [module.name for module in pkgutil.iter_modules([os.path.dirname(__file__)])]
        return sorted(name for name in names if name != "main" and not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f".{cmd_name}", __package__).command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments of a call; `--core` may stand before the command, and without one it draws."""
        if args[:1] == ["--core"]:
            args = _with_core(args[1:], self.list_commands(ctx))
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names. Raises `UsageError`, which suggests one, where none is named."""
        word, known = args[0], self.list_commands(ctx)
        if word in known or word.startswith("-"):
            return super().resolve_command(ctx, args)
        close = difflib.get_close_matches(word, known, n=1)
        help = f"did you mean `{close[0]}`?" if close else "`gradviz --help` lists them"
        if os.path.isfile(word):
            help = f"name a command before the file: `gradviz render {word}`"
        raise UsageError(f"no such command `{word}`", help=help)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command. Its exit status is returned or, with `standalone_mode`, passed on to `sys.exit`."""
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            status = result if isinstance(result, int) else 0
        except (click.Abort, KeyboardInterrupt):
            status = EXIT_INTERRUPTED
            say(INTERRUPTED)
        except ClosedPipe:
            status = EXIT_CLOSED_PIPE
        except click.ClickException as error:
            status = EXIT_USAGE
            say_error(_in_our_words(error))
        except GradvizError as error:
            status = error.exit_code
            say_error(error)
        except Exception as error:
            status = EXIT_INTERNAL
            if os.environ.get("GRADVIZ_DEBUG"):
                traceback.print_exc()
            cause = f"{type(error).__name__}: {error}".removesuffix(": ")
            help = "report it, with what GRADVIZ_DEBUG=1 makes it show"
            say_error(GradvizError(f"this is a defect in gradviz: {cause}", help=help))
        if standalone_mode:
            sys.exit(status)
        return status


@click.group(
    cls=Application,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(gradviz.__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.pass_context
def application(ctx: click.Context) -> None:
    """See the computation graph that autograd keeps, and the part it does not keep."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _with_core(rest: list[str], known: Sequence[str]) -> list[str]:
    """`--core render x.py` and `--core x.py`: the option before the command, or without one, which draws."""
    command = rest[:1] if rest and rest[0] in known else ["render"]
    return [*command, "--core", *rest[len(command) * (rest[:1] == command) :]]


def main() -> NoReturn:
    """The console script, and `python -m gradviz`."""
    application.main(prog_name="gradviz", obj=Session(own_process=True))
    raise AssertionError("unreachable: standalone mode ends the process")


def _in_our_words(error: click.ClickException) -> GradvizError:
    """A complaint of click's in the form of gradviz's: lower case, names in backticks, no final period, one help."""
    said = error.message if isinstance(error, click.NoSuchOption) else error.format_message()
    text = re.sub(r"'([^']*)'", r"`\1`", " ".join(said.split()))
    message = (text[:1].lower() + text[1:]).removesuffix(".")
    context = getattr(error, "ctx", None)
    help = f"`{getattr(context, 'command_path', 'gradviz')} --help` shows how it is used"
    if isinstance(error, click.UsageError) and context is not None and isinstance(context.command, TargetCommand):
        help = context.command.help_for(error) or help
    if isinstance(error, click.NoSuchOption):
        # Click's own are those near with their dashes: to it, `--lr` is near `--core`.
        near = difflib.get_close_matches(error.option_name.lstrip("-"), _long_options(context), n=2, cutoff=_NEAR)
        if near:
            help = f"did you mean {' or '.join(f'`--{option}`' for option in sorted(near))}?"
    return GradvizError(message, help=help)


def _long_options(context: click.Context | None) -> list[str]:
    """The options of a command, without their dashes."""
    parameters = context.command.get_params(context) if context is not None else []
    return [option[2:] for parameter in parameters for option in parameter.opts if option.startswith("--")]
