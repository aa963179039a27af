"""Views: one module per way to show a graph, each offering a `draw`, looked up here by name.

A view gives text; one of those in `IMAGES` gives the bytes of a file.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
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
        "html": "gradviz.views.html",
        "dot": "gradviz.views.dot",
        "tree": "gradviz.views.tree",
        "json": "gradviz.views.json",
        "mermaid": "gradviz.views.mermaid",
    }
)
"""Name of each view and the module that draws it. The module is imported when the view is first used."""

IMAGES: Mapping[str, str] = MappingProxyType({"png": "gradviz.views.png", "pdf": "gradviz.views.pdf"})
"""As `VIEWS`, of the views that are no text."""

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        ".svg": "svg", ".html": "html", ".htm": "html", ".dot": "dot", ".gv": "dot", ".json": "json", ".txt": "tree",
        ".mmd": "mermaid", ".mermaid": "mermaid", ".png": "png", ".pdf": "pdf",
    }
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


class ImageView(Protocol):
    """What the module of a view in `IMAGES` offers; and `require()`, where it needs a package that may be missing."""

    def draw(self, graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> bytes:
        """The whole drawing as the content of a file."""
        ...


def draw(
    graph: Graph, name: str, options: Options | None = None, findings: Sequence[Finding] | None = None
) -> str:
    """`graph` as the view called `name` shows it, with `findings` marked on what they blame, and listed.

    Raises `UsageError` where there is no such view.
    """
    return load(name).draw(graph, options or Options(), findings)


def draw_bytes(
    graph: Graph, name: str, options: Options | None = None, findings: Sequence[Finding] | None = None
) -> bytes:
    """As `draw`, of any view, as the content of a file; text is UTF-8.

    Raises `UsageError` besides where a package is missing that the view needs, or the drawing is too large for it.
    """
    if name in IMAGES:
        image = cast(ImageView, import_module(IMAGES[name]))
        return image.draw(graph, options or Options(), findings)
    return draw(graph, name, options, findings).encode()


def draw_pieces(
    graph: Graph, name: str, options: Options | None = None, findings: Sequence[Finding] | None = None
) -> Iterator[str]:
    """As `draw`, in pieces, which a view of large graphs makes one by one and never holds together."""
    view = load(name)
    piecewise = getattr(view, "draw_pieces", None)
    if piecewise is None:
        return iter((view.draw(graph, options or Options(), findings),))
    return cast("Iterator[str]", piecewise(graph, options or Options(), findings))


def load(name: str) -> View:
    """The module of the text view called `name`. Raises `UsageError`, with near names, where there is none."""
    if name in IMAGES:
        raise UsageError(f"`{name}` is no text", help="use `gradviz.views.draw_bytes`")
    try:
        module = VIEWS[name]
    except KeyError:
        help = _suggest(name, [*VIEWS, *IMAGES])
        raise UsageError(f"there is no view called `{clean(name)}`", help=help) from None
    return cast(View, import_module(module))


def require(name: str) -> None:
    """Raise `UsageError` where the view called `name` needs a package that is missing."""
    check = getattr(import_module(IMAGES[name]), "require", None) if name in IMAGES else None
    if check is not None:
        check()


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
