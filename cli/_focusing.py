"""The options that focus a drawing on a part of the graph, or leave its shadow out, and what they make of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradviz.errors import UsageError

if TYPE_CHECKING:
    from gradviz.graphs import Graph

HOPS = 2
_HOPS_HELP = f"How far `--around` goes; {HOPS} without it."
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Focus:
    """What was asked for: at most one of a scope, a value with a number of ops around it, the ends of a road, and all
    iterations of a loop."""

    scope: str | None = None
    around: str | None = None
    hops: int | None = None
    path: tuple[str, str] | None = None
    no_shadow: bool = False
    iterations: bool = False

    def __post_init__(self) -> None:
        given = self.options
        if len(given) > 1:
            raise UsageError(f"`{given[0]}` and `{given[1]}` were both given", help="leave out one of them")
        if self.hops is not None and self.around is None:
            raise UsageError("`--hops` was given without `--around`", help="name a value: `--around NAME`")

    @property
    def options(self) -> list[str]:
        """The options that choose a part, of which only one can be heeded."""
        named = (("--focus", self.scope), ("--around", self.around), ("--path", self.path))
        return [option for option, value in named if value is not None] + ["--iterations"] * self.iterations

    def choose(self, graph: Graph, part: Graph) -> Graph:
        """The part of `graph` that was asked for; `part`, which is drawn without a focus, where none was.

        Raises `UsageError` where nothing has a name that was asked for, or no road joins two values.
        """
        from gradviz.focusing import focus_around, focus_path, focus_scope

        if self.scope is not None:
            return focus_scope(graph, part, self.scope)
        if self.around is not None:
            return focus_around(graph, part, self.around, HOPS if self.hops is None else self.hops)
        if self.iterations:
            return graph
        return part if self.path is None else focus_path(graph, part, *self.path)


def focus_options(function: _Function) -> _Function:
    """Decorator: the options that say on what part the drawing is focused; the function gets them as `focus`."""

    @wraps(function)
    def gathered(
        *arguments: Any,
        scope: str | None,
        around: str | None,
        hops: int | None,
        path: tuple[str, str] | None,
        no_shadow: bool,
        iterations: bool,
        **others: Any,
    ) -> Any:
        return function(*arguments, focus=Focus(scope, around, hops, path, no_shadow, iterations), **others)

    decorated: Any = gathered
    for option in (
        click.option("--no-shadow", is_flag=True, help="Leave out what autograd does not keep."),
        click.option("--iterations", is_flag=True, help="Show every iteration of a loop, equal ones as one."),
        click.option("--path", nargs=2, metavar="FROM TO", help="Show every road from one value to another."),
        click.option("--hops", type=click.IntRange(min=1), metavar="K", help=_HOPS_HELP),
        click.option("--around", metavar="NAME", help="Show the operations near this value."),
        click.option("--focus", "scope", metavar="SCOPE", help="Show what ran in this module or function."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
