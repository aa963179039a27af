"""A `graphviz.Digraph` that shows itself, in a notebook or a file, on a machine without the `dot` executable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike, fspath
from pathlib import Path, PurePath
from typing import Any

import graphviz

_OWN = ("svg", "html")


class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """A `graphviz.Digraph` that needs no `dot` executable to be shown or written as SVG or HTML.

    Those are drawn by gradviz itself: `own` gives the text of such a format. Graphviz draws every other format, and SVG
    too where the caller has changed the source or asks for an engine or a renderer; without the executable it raises
    its own `ExecutableNotFound`. It knows no HTML.
    """

    def __init__(self, *args: Any, own: Callable[[str], str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own = own
        self._as_drawn: object = None

    def seal(self) -> None:
        """From here on, what is added is the caller's change."""
        self._as_drawn = self._state()

    def _state(self) -> object:
        attrs = dict(self.graph_attr), dict(self.node_attr), dict(self.edge_attr)
        return list(self.body), attrs, self.engine, self.renderer, self.formatter

    def _own_text(self, format: str | None, requests: Iterable[object]) -> str | None:
        """What gradviz draws where that is what is asked for, else None."""
        wanted = format or self.format
        if wanted not in _OWN or self._own is None or any(requests) or self._state() != self._as_drawn:
            return None
        return self._own(wanted)

    def pipe(self, format: str | None = None, *args: Any, encoding: str | None = None, **kwargs: Any) -> bytes | str:
        """The drawing in `format`: bytes, or text where `encoding` is given."""
        own = self._own_text(format, [*args, *kwargs.values()])
        if own is not None:
            return own if encoding is not None else own.encode()
        result: bytes | str = super().pipe(format, *args, encoding=encoding, **kwargs)
        return result

    def render(
        self,
        filename: str | PathLike[str] | None = None,
        directory: str | PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        *args: Any,
        outfile: str | PathLike[str] | None = None,
        raise_if_result_exists: bool = False,
        **kwargs: Any,
    ) -> str:
        """Save the source and the drawing beside it, or in `outfile`; returns the path of the drawing."""
        if outfile is not None and format is None:
            format = PurePath(outfile).suffix.lstrip(".") or None
        requests = [*args, *(value for name, value in kwargs.items() if not name.startswith("quiet"))]
        own = self._own_text(format, requests)
        if own is None:
            rendered: str = super().render(
                filename, directory=directory, view=view, cleanup=cleanup, format=format, outfile=outfile,
                raise_if_result_exists=raise_if_result_exists, **kwargs,
            )  # fmt: skip
            return rendered
        if outfile is not None:
            target = Path(outfile) if directory is not None else Path(self.directory or "", outfile)
            filename = filename or target.with_suffix(".gv")
        source = Path(fspath(self.save(filename, directory=directory)))
        if outfile is None:
            target = source.with_name(f"{source.name}.{format or self.format}")
        if raise_if_result_exists and target.exists():
            raise graphviz.FileExistsError(f"output file exists: {str(target)!r}")
        target.write_text(own, encoding="utf-8")
        if cleanup:
            source.unlink()
        if view or kwargs.get("quiet_view"):
            graphviz.view(str(target))
        return str(target)
