"""`--engine`: who draws the picture, gradviz or Graphviz's `dot`, and how long the latter may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradviz.errors import UsageError

from ._output import Content

if TYPE_CHECKING:
    from gradviz.diagnose import Finding
    from gradviz.graphs import Graph
    from gradviz.views import Options

ENGINES = ("gradviz", "dot")
TIMEOUT = 60
_TIMEOUT_HELP = f"How long `dot` may take; {TIMEOUT} without it."
_ENGINE_HELP = "Who draws SVG, PNG or PDF: gradviz itself, or Graphviz's `dot`."
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Engine:
    """Who draws; `timeout` in seconds, None where it was not given."""

    name: str = "gradviz"
    timeout: float | None = None

    def check(self, view: str, *, terminal: bool = False) -> None:
        """Raise `UsageError` where `view` cannot be had, or not on a `terminal`, before anything is run."""
        from gradviz.views import IMAGES, require

        if terminal and view in IMAGES:
            raise UsageError(f"standard output is a terminal, which shows no `{view}`", help="name a file with `-o`")
        if self.name == "gradviz":
            if self.timeout is not None:
                raise UsageError("`--timeout` was given without `--engine dot`", help="gradviz itself needs no limit")
            require(view)
            return
        from gradviz.engines import FORMATS, find_dot

        if view not in FORMATS:
            known = ", ".join(FORMATS)
            raise UsageError(f"`--engine dot` draws no `{view}`, only {known}", help="leave out `--engine dot`")
        find_dot()

    def draw(self, graph: Graph, view: str, options: Options, findings: Sequence[Finding] | None) -> Content:
        """The drawing; text in pieces is drawn as they are asked for."""
        from gradviz.views import IMAGES, draw, draw_bytes, draw_pieces

        if self.name != "gradviz":
            from gradviz.engines import draw_with_dot

            source = draw(graph, "dot", options, findings)
            return draw_with_dot(source, view, TIMEOUT if self.timeout is None else self.timeout)
        if view in IMAGES:
            return draw_bytes(graph, view, options, findings)
        return draw_pieces(graph, view, options, findings)


def engine_options(function: _Function) -> _Function:
    """Decorator: `--engine` and `--timeout`; the function gets them as `engine`, an `Engine`."""

    @wraps(function)
    def gathered(*arguments: Any, engine_name: str, timeout: float | None, **others: Any) -> Any:
        return function(*arguments, engine=Engine(engine_name, timeout), **others)

    decorated: Any = gathered
    limit = click.FloatRange(min=0, min_open=True)
    for option in (
        click.option("--timeout", type=limit, metavar="SECONDS", help=_TIMEOUT_HELP),
        click.option("--engine", "engine_name", type=click.Choice(ENGINES), default="gradviz", help=_ENGINE_HELP),
    ):
        decorated = option(decorated)
    engine_aware: _Function = decorated
    return engine_aware
