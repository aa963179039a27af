"""Threads: a recording follows the program into every thread that it starts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from gradviz.frontends.torch.patching.patches import Patches, like


class Threads:
    """Enters each thread that starts while the recording runs.

    `_bootstrap_inner` calls the thread's `run`, whatever class it has, and is where an exception that ends a thread is
    reported from; so a frame around it shows in no traceback. A thread that runs already is not seen.
    """

    def __init__(self, enter: Callable[[], AbstractContextManager[Any]]) -> None:
        self._enter = enter

    def install(self, patches: Patches) -> None:
        """Wait for threads."""
        patches.replace(threading.Thread, "_bootstrap_inner", self._around)

    def _around(self, bootstrap: Any) -> Any:
        @like(bootstrap)
        def run(thread: threading.Thread) -> None:
            with self._enter():
                bootstrap(thread)

        return run
