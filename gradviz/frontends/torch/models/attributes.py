"""Attributes: a flag set where PyTorch does not know it, such as `requires_grad` of a module, freezes nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
from torch import nn

from gradviz import events, walking
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.origins import Origins
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.frontends.torch.places.frames import place_of_call

_FLAG = "requir"
"""How the flag begins, and how its misspellings do."""

_MEANT = re.compile(r"require[sd]?_?grad(s|ient|ients)?_?")
"""What was meant for the flag: `require_grad`, `requires_grads`, `required_grad`."""

_KNOWN = frozenset({"requires_grad", "requires_grad_"})


class Attributes:
    """Tells of attributes that look like a tensor's `requires_grad` and are none."""

    def __init__(self, book: Book, origins: Origins) -> None:
        self._book = book
        self._origins = origins

    def install(self, patches: Patches) -> None:
        """Look at the names of the attributes that are set, and at nothing else of them."""
        patches.replace(nn.Module, "__setattr__", self._around_set)
        patches.replace(torch.Tensor, "__setattr__", self._around_set)

    def _around_set(self, run: Any) -> Any:
        @like(run)
        def __setattr__(owner: Any, name: str, value: Any) -> None:
            try:
                run(owner, name, value)
            except BaseException as error:
                strip_own(error)
                raise
            if name[:6] == _FLAG and (name not in _KNOWN or isinstance(owner, nn.Module)) and _MEANT.fullmatch(name):
                here = self._book.here()
                if here is not None and not here.quiet:
                    self._book.tried("an attribute", self._tell, here, owner, name, value, sys._getframe(1))

        return __setattr__

    def _tell(self, here: Here, owner: Any, name: str, value: Any, frame: FrameType) -> None:
        if not isinstance(value, bool) or (isinstance(owner, nn.Module) and _means_something(owner, name)):
            return
        path, direct = place_of_call(frame)
        if not direct:  # a library may keep what it likes, and reads it itself
            return
        book = self._book
        values = tuple(self._origins.know(here, tensor).value for tensor in _tensors(owner))
        site = book.interner.site(path)
        text = f"{name} = {value}"
        book.sink.emit(events.Act("attribute", values, site, book.context(here), None, book.last_value, text))


def _tensors(owner: Any) -> Iterator[torch.Tensor]:
    if isinstance(owner, nn.Module):
        yield from (tensor for _, tensor in walking.parameters(owner))
    else:
        yield owner


def _means_something(module: nn.Module, name: str) -> bool:
    """Whether a class of the user's reads the attribute: it has a property of that name, or is no attribute at all."""
    return hasattr(type(module), name) or name in module._parameters or name in module._modules
