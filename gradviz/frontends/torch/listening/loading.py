"""Loading: what a `DataLoader` does to put a batch together is not the user's; a batch is a source, as a file is.

With workers it is put together in another process, unseen. What needs a gradient is told in any case.
"""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.calls.naming import Call, describe_call
from gradviz.frontends.torch.listening.mode import step_aside, step_back
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like


class Loading:
    """Lets each thread look closely at what its data loaders call, so that it tells of little of it."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._calls = _Closely()

    def install(self, patches: Patches) -> None:
        """Stand around the beginning of a loop over a loader, and around each of its steps."""
        patches.replace(DataLoader, "__iter__", self._around)
        patches.replace(_BaseDataLoaderIter, "__next__", self._around)

    def _around(self, run: Any) -> Any:
        @like(run)
        def load(loader: Any) -> Any:
            here = self._book.here()
            mode = None if here is None or here.quiet else step_aside(here)
            if here is None or mode is None:
                return run(loader)
            calls, mode.calls = mode.calls, self._calls
            here.loading += 1
            step_back(mode)
            try:
                return run(loader)
            except BaseException as error:
                strip_own(error)
                raise
            finally:
                here.loading -= 1
                mode.calls = calls

        return load


class _Closely(dict[Any, Call]):
    """What is known of each function that a loader called; none of its calls takes the fast lane."""

    def get(self, func: Any, default: Any = None) -> Call:
        call = super().get(func)
        if call is None:
            call = self[func] = describe_call(func)
            call.laned = False
        return call
