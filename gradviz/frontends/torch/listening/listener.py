"""The listener: what becomes of each call that a mode, or a patch in its place, hands on."""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch

from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.origins import Origins
from gradviz.frontends.torch.calls.acts import Acts
from gradviz.frontends.torch.calls.gathered import Gathered
from gradviz.frontends.torch.calls.lane import Lane, Ticket
from gradviz.frontends.torch.calls.naming import Call, Deed
from gradviz.frontends.torch.calls.ops import Ops
from gradviz.frontends.torch.calls.writes import Writes
from gradviz.frontends.torch.listening.regions import Regions
from gradviz.frontends.torch.patching.calling import stand_in
from gradviz.frontends.torch.places.frames import is_freezing, is_inner

Before = tuple[Gathered, Ticket | None]
"""What is known of a call before it runs: its arguments, and its ticket if the next one like it may take the lane."""


class Listener:
    """Tells of calls: ops by way of the lane or after a closer look, and whatever else a call may be.

    calls  what is known of each function that was called
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.origins = Origins(book)
        self.writes = Writes(book, self.origins)
        self.ops = Ops(book, self.origins, self.writes)
        self.lane = Lane(book, self.ops)
        self.regions = Regions(book)
        self.calls: dict[Any, Call] = {}
        self._acts = Acts(book, self.origins, self.writes, self.ops)

    def before(
        self, here: Here, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> Before | None:
        """Look closely at the arguments of an op; None for one that is not to be told of."""
        if is_inner(frame):
            return None
        ticket = None
        if call.laned and not torch._C._len_torch_function_stack():
            ticket = self.book.looked("an op", self.lane.ticket, call, args, kwargs)
        found = self.book.looked("an op", self.ops.gather, here, call, args, kwargs, frame)
        return None if found is None else (found, ticket)

    def after(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        before: Before | None,
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """Tell of an op that ran."""
        if before is not None:
            self.book.guarded("an op", self.lane.first, here, call, args, *before, result, nodes, frame)
        elif not is_inner(frame):
            self.book.guarded("an op", self.ops.prepared, here, call, result, frame)

    def other(
        self, here: Here, call: Call, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> Any:
        """Run a call that is no op, and tell of what it did."""
        deed = call.deed
        if is_inner(frame) and not (deed is Deed.REQUIRES_GRAD and is_freezing(frame)):
            return stand_in(frame)(func, args, kwargs)
        if deed is Deed.GRAD_MODE:
            before = torch.is_grad_enabled()
            result = stand_in(frame)(func, args, kwargs)
            self.book.guarded("a grad mode", self.regions.switched, here, bool(args[0]), before, frame)
            return result
        result = stand_in(frame)(func, args, kwargs)
        if args and isinstance(args[0], torch.Tensor):
            self.book.guarded(f"`{call.name}`", self._acts.told, here, call, args, result, frame)
        return result
