"""The options that say how much of a graph is drawn as one, and what they make of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradviz.errors import UsageError
from gradviz.fold.choice import Choice

if TYPE_CHECKING:
    from gradviz.diagnose import Finding
    from gradviz.graphs import Graph

WHOLE_VIEWS = ("json",)
"""Views for programs, which get all of a graph unless something else is asked for."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def fold_options(function: _Function) -> _Function:
    """Decorator: the options that say what is folded; the function gets them as `folding`."""

    @wraps(function)
    def gathered(
        *arguments: Any,
        depth: int | None,
        expand: tuple[str, ...],
        collapse: tuple[str, ...],
        everything: bool,
        **others: Any,
    ) -> Any:
        choice = Choice(depth, expand, collapse, everything)
        return function(*arguments, everything=everything, folding=choice, **others)

    decorated: Any = gathered
    for option in (
        click.option("--collapse", metavar="SCOPE", multiple=True, help="Draw this module or function as one box."),
        click.option("--expand", metavar="SCOPE", multiple=True, help="Open this module, function or loop."),
        click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Draw modules N deep as one box each."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def fold(choice: Choice, whole: Graph, part: Graph, view: str, findings: Sequence[Finding]) -> Graph:
    """`part` of `whole`, folded as was chosen, or else until it fits a page.

    Raises `UsageError` where nothing runs in a scope that was named.
    """
    from gradviz.fold.page import fold_to_page
    from gradviz.fold.telling import telling_ops

    _check_names(choice, part)
    if view in WHOLE_VIEWS and choice == Choice():
        return part
    return fold_to_page(part, choice, telling_ops(part, findings), whole.modules)


def _check_names(choice: Choice, graph: Graph) -> None:
    patterns = (*choice.expand, *choice.collapse)
    if not patterns:
        return
    from gradviz.fold.calls import find_calls, walk
    from gradviz.fold.choice import is_meant
    from gradviz.fold.leaves import address as leaves_address
    from gradviz.fold.leaves import find_leaves
    from gradviz.fold.steps import LOOP, address, find_steps, roll_steps

    loops = [pattern for pattern in choice.expand if pattern.startswith(LOOP)]
    addresses = sorted({address(fold) for fold in find_steps(graph)} - {""}) if loops else []
    for pattern in loops:
        if not any(is_meant(name, (pattern,)) for name in addresses):
            raise UsageError(f"no loop that is drawn has the lines of `{pattern}`", help=_near(pattern, addresses))
    calls = {call.name for call in walk(find_calls(graph)[0]) if call.name}
    groups = set()
    if choice.expand:  # in front of a loop, leaves are put together that are not so elsewhere
        groups = {leaves_address(fold) for some in (graph, roll_steps(graph)) for fold in find_leaves(some)}
    for pattern in patterns:
        names = sorted(calls | groups if pattern in choice.expand else calls)
        if pattern not in loops and not any(is_meant(name, (pattern,)) for name in names):
            raise UsageError(f"no module or function that is drawn is called `{pattern}`", help=_near(pattern, names))


def _near(pattern: str, names: Sequence[str]) -> str:
    import difflib

    if not names:
        return "none is drawn here: leave the option out"
    near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.5)
    listed = ", ".join(f"`{name}`" for name in near or names[:5])
    return f"did you mean {listed}?" if near else f"such as {listed}"
