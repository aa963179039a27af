"""Evaluating: when the program switches a model between training and evaluation."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from torch import nn

from gradviz import events, walking
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.origins import Origins
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.frontends.torch.places.frames import place_of_call

_MODULES = sys.modules[nn.Module.__module__].__file__


class Evaluating:
    """Tells of calls of `eval()` and `train()`; those that such a call makes for the modules inside are part of it."""

    def __init__(self, book: Book, origins: Origins) -> None:
        self._book = book
        self._origins = origins

    def install(self, patches: Patches) -> None:
        """Stand around both."""
        patches.replace(nn.Module, "eval", self._around)
        patches.replace(nn.Module, "train", self._around)

    def _around(self, run: Any) -> Any:
        @like(run)
        def switch(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            try:
                result = run(module, *args, **kwargs)
            except BaseException as error:
                strip_own(error)
                raise
            frame = sys._getframe(1)
            if frame.f_code.co_filename != _MODULES:
                here = self._book.here()
                if here is not None:
                    self._book.tried("a module", self._tell, here, module, frame)
            return result

        return switch

    def _tell(self, here: Here, module: nn.Module, frame: FrameType) -> None:
        book = self._book
        values = tuple(self._origins.know(here, tensor).value for _, tensor in walking.parameters(module))
        site = book.interner.site(place_of_call(frame)[0], True)
        kind = "train" if module.training else "eval"
        book.sink.emit(events.Act(kind, values, site, book.context(here), None, book.last_value))
