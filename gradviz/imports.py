"""Call a function once a module has been imported, so that nobody imports a framework that the script does not use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class ImportWatch:
    """Calls `then()` once, right after module `name` has run; at once where it has been imported already.

    The module keeps the loader and the spec that it would have had: only `exec_module` of that one loader object is
    wrapped, until it is called. `stop` ends the watch, however often it is called.
    """

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name = name
        self._then = then

    def start(self) -> None:
        """Begin to watch, or call the function where there is nothing to wait for."""
        if self.name in sys.modules:
            self._then()
        else:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Leave the import system as it was."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the finders after this one give for the watched module, None for every other module."""
        if name != self.name or self not in sys.meta_path:
            return None
        # Only the finders that follow: those before were asked, and asking a second watch would come back here.
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                self._wrap(spec.loader)
                return spec
        return None

    def _wrap(self, loader: object) -> None:
        run = getattr(loader, "exec_module", None)
        own = getattr(loader, "__dict__", None)
        if run is None or own is None:
            return

        def exec_module(module: ModuleType) -> None:
            own.pop("exec_module", None)
            run(module)
            if self in sys.meta_path:
                self.stop()
                self._then()

        own["exec_module"] = exec_module
