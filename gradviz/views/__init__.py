"""Views: one module per way to show a graph, each offering a `draw` that returns text, looked up here by name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from gradviz.errors import UsageError
from gradviz.graphs import Graph
from gradviz.picture.wording import clean

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "svg": "gradviz.views.svg",
        "dot": "gradviz.views.dot",
        "tree": "gradviz.views.tree",
        "json": "gradviz.views.json",
    }
)
"""Name of each view and the module that draws it. The module is imported when the view is first used."""

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {".svg": "svg", ".dot": "dot", ".gv": "dot", ".json": "json", ".txt": "tree"}
)
"""File extension, lower case, and the view that such a file holds."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a graph is drawn. Each view heeds what it can show and ignores the rest.

    direction       "TB" or "LR": the way in which data flows over the page
    show_saved      also draw the tensors that nodes keep for their backward
    show_attrs      also say the static arguments of each op
    max_attr_chars  longest text of one such argument, in characters
    width           columns of a text view, at which it folds its lines; None for no limit
    color           a text view may use terminal colours
    title           heading of the drawing; empty for the name of what was recorded
    """

    direction: str = "TB"
    show_saved: bool = False
    show_attrs: bool = False
    max_attr_chars: int = 50
    width: int | None = None
    color: bool = False
    title: str = ""


class View(Protocol):
    """What a view module offers."""

    def draw(self, graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> str:
        """The whole drawing as text that ends with a newline.

        findings   what the rules say of `graph`, or of one that it is a part of; None where nobody asked them
        """
        ...


def draw(
    graph: Graph, name: str, options: Options | None = None, findings: Sequence[Finding] | None = None
) -> str:
    """`graph` as the view called `name` shows it, with `findings` marked on what they blame, and listed.

    Raises `UsageError` where there is no such view.
    """
    return load(name).draw(graph, options or Options(), findings)


def load(name: str) -> View:
    """The view module called `name`. Raises `UsageError`, with near names, where there is none."""
    try:
        module = VIEWS[name]
    except KeyError:
        raise UsageError(f"there is no view called `{clean(name)}`", help=_suggest(name, list(VIEWS))) from None
    return cast(View, import_module(module))


def name_for(path: str) -> str:
    """The view that a file called `path` holds, by its extension. Raises `UsageError` where it says nothing."""
    extension = PurePath(path).suffix.lower()
    if os.path.isdir(path):
        raise UsageError(f"`{clean(path)}` is a directory", help="name a file in it")
    try:
        return EXTENSIONS[extension]
    except KeyError:
        file = clean(PurePath(path).name)
        found = f"`{file}` has the extension `{clean(extension)}`" if extension else f"`{file}` has no extension"
        help = _suggest(extension, list(EXTENSIONS))
        raise UsageError(f"{found}: gradviz writes no such files", help=help) from None


def _suggest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2)
    return f"did you mean {' or '.join(f'`{item}`' for item in near)}?" if near else f"use one of {', '.join(known)}"
