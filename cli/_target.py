"""TARGET: what a command works on. A script, a module as after `python -m`, or a log of an earlier run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from gradviz.errors import UsageError

if TYPE_CHECKING:
    from gradviz.run import Target

_ARGUMENTS = "gradviz.arguments"
_CORE = "gradviz.core"
_CORE_HELP = "Run a script that imports torch on gradviz's own tensors."
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Source:
    """What to draw: a log's path, or a script's path or a module's name with the arguments to run it with."""

    name: str
    kind: Literal["script", "module", "log"]
    arguments: tuple[str, ...] = ()
    core: bool = False

    @property
    def stem(self) -> str:
        """Name of an output made from this, without extension."""
        if self.kind == "module":
            return self.name.rpartition(".")[2]
        return os.path.splitext(os.path.basename(self.name))[0] or "gradviz"

    @property
    def command_line(self) -> str:
        """How it is named behind a command, as a shell reads it."""
        named = ["-m", self.name] if self.kind == "module" else [self.name]
        return shlex.join([*named, *(("--", *self.arguments) if self.arguments else ())])


    def target(self) -> Target:
        """What is to be run, where this is no log."""
        from gradviz.run import Target

        return Target(self.name, self.arguments, module=self.kind == "module", core=self.core)


class TargetCommand(click.Command):
    """A command on a TARGET. All that follows `--` belongs to the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            position = args.index("--")
            ctx.meta[_ARGUMENTS] = tuple(args[position + 1 :])
            args = args[:position]
        return super().parse_args(ctx, args)

    def help_for(self, error: click.UsageError) -> str:
        """What to do about arguments that the command does not know: mostly they were meant for the script."""
        foreign = isinstance(error, click.NoSuchOption) or "unexpected extra argument" in error.message
        if foreign and error.ctx is not None and _ARGUMENTS not in error.ctx.meta:
            return "what is meant for the script goes after `--`"
        return ""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS]"]


def target_argument(metavar: str) -> Callable[[_Function], _Function]:
    """Decorator: adds the argument TARGET and its option `-m`; the function gets `target` and `module`."""

    def decorate(function: _Function) -> _Function:
        option = click.option("-m", "module", metavar="MODULE", help="Run a module, as `python -m` does.")
        argument = click.argument("target", metavar=metavar, required=False, type=click.Path())
        core = click.option("--core", is_flag=True, expose_value=False, callback=_note_core, help=_CORE_HELP)
        return argument(option(core(function)))

    return decorate


def _note_core(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_CORE] = value


def find_source(context: click.Context, target: str | None, module: str | None) -> Source:
    """What the user named. Raises `UsageError` where that is nothing, two things, or a log with arguments."""
    from gradviz.gvlog import is_log

    arguments: tuple[str, ...] = context.meta.get(_ARGUMENTS, ())
    core: bool = context.meta.get(_CORE, False)
    if module is not None:
        if target is not None:
            help = "name one of them; arguments of the module go after `--`"
            raise UsageError(f"both `{target}` and `-m {module}` were given", help=help)
        return Source(module, "module", arguments, core)
    if target is None:
        raise UsageError("there is nothing to run", help="name a script, a log, or a module with `-m`, before any `--`")
    if os.path.isfile(target) and (target.endswith(".gvlog") or is_log(target)):
        if arguments:
            help = "leave out `--` and what follows it"
            raise UsageError(f"`{target}` is a log, which takes no arguments", help=help)
        if core:
            raise UsageError(f"`{target}` is a log, which is not run", help="leave out `--core`")
        return Source(target, "log")
    return Source(target, "script", arguments, core)
