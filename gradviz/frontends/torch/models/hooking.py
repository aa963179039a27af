"""Hooking: the backward hooks of modules, where each was registered, and the tensors that they stand on."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import BackwardHook

from gradviz import events
from gradviz.callees import function_name
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.frontends.torch.places.frames import place_of_call
from gradviz.sites import Spot


class Hooking:
    """Tells of the tensors that a module with backward hooks takes and gives, each time it runs.

    A module's hooks of the kind "backward" may change the gradients of its inputs, those of the kind "before" the
    gradients of its outputs. PyTorch passes both through a function of its own, and there the hooks stand.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._places: dict[int, tuple[Spot, ...]] = {}

    def install(self, patches: Patches) -> None:
        """Stand around what registers hooks, and around what puts them on tensors."""
        patches.replace(nn.Module, "register_full_backward_hook", self._around_registration)
        patches.replace(nn.Module, "register_full_backward_pre_hook", self._around_registration)
        patches.replace(BackwardHook, "setup_input_hook", self._around_setup("_backward_hooks"))
        patches.replace(BackwardHook, "setup_output_hook", self._around_setup("_backward_pre_hooks"))

    def _around_registration(self, run: Any) -> Any:
        @like(run)
        def register(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            try:
                handle = run(module, *args, **kwargs)
            except BaseException as error:
                strip_own(error)
                raise
            if self._book.here() is not None:
                self._book.tried("a hook", self._note, handle.id, sys._getframe(1))
            return handle

        return register

    def _note(self, number: int, frame: FrameType) -> None:
        self._places[number] = place_of_call(frame)[0]

    def _around_setup(self, kind: str) -> Any:
        def around(run: Any) -> Any:
            @like(run)
            def setup(hook: BackwardHook, args: Any) -> Any:
                passed = run(hook, args)
                if passed is not args and self._book.here() is not None:
                    self._book.tried("a hook", self._tell, vars(hook.module)[kind], passed)
                return passed

            return setup

        return around

    def _tell(self, hooks: dict[int, Any], passed: Any) -> None:
        """Tell that `hooks`, by the numbers of their handles, stand on what was passed."""
        book = self._book
        here = book.here()
        for tensor in passed if isinstance(passed, tuple) else (passed,):
            known = book.tensors.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None
            if here is None or known is None or not tensor.requires_grad:
                continue
            for number, hook in hooks.items():
                path = self._places.get(number, ())
                site, context = book.interner.site(path, True) if path else None, book.context(here)
                text = function_name(hook)
                book.sink.emit(events.Act("hook", (known.value,), site, context, None, book.last_value, text))
