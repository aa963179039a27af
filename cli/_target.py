"""TARGET: what a command works on. A script, a module as after `python -m`, or a log of an earlier run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from gradviz.errors import UsageError
from gradviz.gvlog import is_log
from gradviz.views import EXTENSIONS

if TYPE_CHECKING:
    from gradviz.run import Target

_ARGUMENTS = "gradviz.arguments"
_WORDS = "gradviz.words"
_CORE = "gradviz.core"
_CORE_HELP = "Run a script that imports torch on gradviz's own tensors."
_AFTER_DASHES = "what is meant for the script goes after `--`"
_TARGETS = "name the script or the log that it comes from, or a module with `-m`"
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
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def help_for(self, error: click.UsageError) -> str:
        """What to do about arguments that the command does not know: mostly they were meant for the script."""
        context = error.ctx
        if context is None or _ARGUMENTS in context.meta:
            return ""
        if isinstance(error, click.NoSuchOption):
            return self._help_for_option(error.option_name, context)
        return _AFTER_DASHES if "unexpected extra argument" in error.message else ""

    def _help_for_option(self, name: str, context: click.Context) -> str:
        """The command line that gives an option to the script, where one is named before it."""
        words: tuple[str, ...] = context.meta[_WORDS]
        at = next((index for index, word in enumerate(words) if word.startswith(name)), len(words))
        before = words[:at]
        if any(is_log(word) for word in before):
            return ""
        if all(word.startswith("-") for word in before):
            return _AFTER_DASHES
        own = {option for parameter in self.get_params(context) for option in parameter.opts}
        meant = takewhile(lambda word: word.partition("=")[0] not in own, words[at:])
        line = shlex.join([*before, "--", *meant])
        return f"options of the script go after `--`: `{context.command_path} {line}`"

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
    drawn = _drawn(target)
    if drawn:
        raise UsageError(f"`{target}` is {drawn}, not a Python script or a gradviz log", help=_TARGETS)
    return Source(target, "script", arguments, core)


_PICTURES = (b"<svg", b"<?xml", b"<!doctype html", b"\x89PNG", b"%PDF")
"""What a picture begins with; no Python does."""


def _drawn(target: str) -> str:
    """What a file is that gradviz or another program draws or writes: `a picture`, `JSON`; empty for a script."""
    try:
        with open(target, "rb") as stream:
            start = stream.read(64).lstrip()
    except OSError:
        return ""
    if start.lower().startswith(tuple(begins.lower() for begins in _PICTURES)):
        return "a picture"
    view = EXTENSIONS.get(os.path.splitext(target)[1].lower(), "tree")
    return {"tree": "", "json": "JSON"}.get(view, "a picture")
