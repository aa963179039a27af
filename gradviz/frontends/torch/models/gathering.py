"""Gathering: lists that keep tensors of one step after another, looked for where the program calls backward.

At the end of a program the variables of its functions are gone. So while it runs, after 4, 8, 16, ... sweeps, the steps
that some tensor is left of are counted; only where there are several are the variables on the stack looked into.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import deque
from types import FrameType
from typing import Any

import torch

from gradviz.frontends.torch.autograd.nodes import grad_fn_of
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.naming import name_values, variables_of
from gradviz.sites import is_user_file

FIRST = 4
"""How many sweeps have to be over before anybody looks."""

STEPS = 3
"""Of how many earlier steps something has to be left."""

KEEPING = (list, dict, tuple, deque)
"""Types of the attributes of a module that are looked into."""

FRAMES_LIMIT = 8
"""Most functions on the stack whose variables are looked into."""


class Gathering:
    """Gives the tensors in such lists their names, from which a reader sees what holds them."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._ends = array("q")

    def install(self, patches: Patches) -> None:
        """Stand around `backward`."""
        patches.replace(torch.autograd, "backward", self._around)

    def _around(self, run: Any) -> Any:
        @like(run)
        def backward(*args: Any, **kwargs: Any) -> None:
            try:
                run(*args, **kwargs)
            except BaseException as error:
                strip_own(error)
                raise
            here = self._book.here()
            if here is None or here.quiet:
                return
            self._ends.append(self._book.last_value)
            count = len(self._ends)
            if count >= FIRST and not count & (count - 1):
                self._book.tried("lists", self._look, sys._getframe(1))

        return backward

    def _look(self, frame: FrameType) -> None:
        older = self._ends[-2]
        if self._steps_left(older) < STEPS:
            return
        place: FrameType | None = frame
        looked = 0
        while place is not None and looked < FRAMES_LIMIT:
            if is_user_file(place.f_code.co_filename):
                looked += 1
                self._name_all(variables_of(place), older)
            place = place.f_back

    def _name_all(self, variables: dict[str, object], older: int) -> None:
        """Name what lists in `variables` hold, and lists that a module in them keeps, or a module in that one."""
        modules: list[tuple[str, torch.nn.Module]] = []
        seen: set[int] = set()

        def take(value: object, text: str) -> bool:
            if isinstance(value, torch.nn.Module):
                modules.append((text, value))
                return True
            return self._name(value, text, older)

        name_values(variables, take)
        for text, module in modules:  # which grows meanwhile
            if id(module) not in seen:
                seen.add(id(module))
                own = vars(module)
                kept = ((name, entry) for name, entry in own.items() if type(entry) in KEEPING and entry)
                name_values({f"{text}.{name}": entry for name, entry in kept if not name.startswith("_")}, take)
                children = own.get("_modules", {}).items()
                modules.extend((f"{text}.{name}", child) for name, child in children if child is not None)

    def _steps_left(self, older: int) -> int:
        """Of how many steps a tensor with a history is alive that is not younger than value `older`."""
        ends = self._ends
        steps = set()
        for known in list(self._book.tensors.values()):
            if 0 < known.value <= older:
                tensor = known()
                if tensor is not None and grad_fn_of(tensor) is not None:
                    steps.add(bisect_left(ends, known.value))
                    if len(steps) >= STEPS:
                        break
        return len(steps)

    def _name(self, value: object, text: str, older: int) -> bool:
        if not isinstance(value, torch.Tensor):
            return False
        known = self._book.tensors.get(id(value))
        if known is not None and 0 < known.value <= older and "[" in text and grad_fn_of(value) is not None:
            self._book.add_name(known.value, text)
        return True
