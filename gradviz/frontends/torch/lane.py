"""The fast lane: ops of the plain kind, of which a program runs most, told of in one straight function.

Plain is an op that makes one fresh tensor from tensors that are known and from plain arguments. All it needs is looked
up; what is met for the first time, and whatever is less plain, takes the road of `Ops`. Both tell the same of an op,
and the second one costs five times as much.
"""

from __future__ import annotations

from types import FrameType
from typing import Any, NamedTuple

import torch
from torch.nn import Parameter

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.frames import is_inner, place_of_call
from gradviz.frontends.torch.identity import version_of
from gradviz.frontends.torch.naming import Call
from gradviz.frontends.torch.ops import Gathered, Ops, cause_of_mode

Tensor = torch.Tensor

LIMIT = 4096
"""Most settings of arguments that are remembered; a program whose shapes never repeat must not grow for it."""

_PLAIN = frozenset({float, int, bool, str, type(None), torch.dtype, torch.device})


class Ticket(NamedTuple):
    """The arguments of a call that may take the lane.

    key      all that the op's signature depends on: the call, kinds of tensors, negative where one requires grad, texts
    inputs   what the op tells of them
    needs    one of them requires grad
    """

    key: tuple[Any, ...]
    inputs: list[events.Input]
    needs: bool


class Lane:
    """Tells of calls that were met before."""

    def __init__(self, book: Book, ops: Ops) -> None:
        self._book = book
        self._ops = ops
        self._plans: dict[tuple[Any, ...], dict[tuple[int, bool, Cause | None], int]] = {}

    def before(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Ticket | None:
        """A ticket for a call that is about to run, None for one that has to be looked at closely first."""
        ticket = self.ticket(call, args, kwargs)
        return ticket if ticket is not None and ticket.key in self._plans else None

    def ran(
        self, here: Here, call: Call, args: tuple[Any, ...], result: Any, start: int, end: int, frame: FrameType
    ) -> None:
        """Tell of a plain call without keywords; `start` and `end` are the sequence numbers before and after it."""
        ticket = self.ticket(call, args, {})
        if ticket is None or not self._fits(here, call, ticket, result, start, end, frame):
            with torch._C.DisableTorchFunction():
                self._look_closer(here, call, args, {}, result, (start, end), frame)

    def told(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        ticket: Ticket,
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """Tell of a call that ran with a ticket."""
        if not self._fits(here, call, ticket, result, *nodes, frame):
            self._look_closer(here, call, args, kwargs, result, nodes, frame)

    def first(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        found: Gathered,
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """Tell of a call that was looked at closely, and take note if the next one like it can take the lane."""
        is_fresh = type(result) is Tensor and id(result) not in self._book.tensors and not result._is_view()
        ticket = self.ticket(call, args, kwargs) if call.laned and is_fresh else None
        signature = self._ops.ran(here, call, args, found, result, nodes, frame)
        if ticket is None or signature is None:
            return
        tracked = nodes[0] != nodes[1] and result.requires_grad
        cause = cause_of_mode(here) if ticket.needs and not tracked else None
        if cause is None and ticket.needs and not tracked:
            return
        if len(self._plans) >= LIMIT:
            self._plans.clear()
        kind = self._book.kinds.of(result)
        self._plans.setdefault(ticket.key, {})[kind, tracked, cause] = signature

    def _fits(
        self, here: Here, call: Call, ticket: Ticket, result: Any, start: int, end: int, frame: FrameType
    ) -> bool:
        """Tell of a call if it went as one before it; False where it did not."""
        book = self._book
        if type(result) is not Tensor or id(result) in book.tensors or result._is_view():
            return False
        plans = self._plans.get(ticket.key)
        if plans is None:
            return False
        kind = book.kinds.of(result)
        tracked = start != end and result.requires_grad
        cause = cause_of_mode(here) if ticket.needs and not tracked else None
        signature = plans.get((kind, tracked, cause))
        if signature is None:
            return False
        if not is_inner(frame, call.python):
            path, direct = place_of_call(frame)
            value = book.tell_op(here, signature, book.interner.site(path, not direct), ticket.inputs)
            if tracked:
                here.trail.add(start, end, value)
            book.tensors.learn(result, value, kind)
        return True

    def _look_closer(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """The other road, for a call that has returned."""
        if is_inner(frame, call.python):
            return
        found = self._ops.gather(here, call, args, kwargs, frame)
        if found is None:
            self._ops.prepared(call, result, frame)
        else:
            self.first(here, call, args, kwargs, found, result, nodes, frame)

    def ticket(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Ticket | None:
        """The arguments of a call; None where one of them is of a kind that has to be looked at closely."""
        tensors = self._book.tensors
        key: list[Any] = [call]
        inputs: list[events.Input] = []
        needs = False
        # Written out for what is met most; `_take` knows more.
        for item in args:
            kind = type(item)
            if kind is Tensor or kind is Parameter:
                known = tensors.get(id(item))
                if known is None or not known.value:
                    return None
                if known.base is not None and version_of(item) != known.version:
                    return None
                if item.requires_grad:
                    needs = True
                    key.append(-known.kind)
                else:
                    key.append(known.kind)
                inputs.append(known.value)
            elif (kind is float or kind is int or kind is bool) and len(key) <= call.operands:
                key.append(0)
                inputs.append(repr(item))
            else:
                found = self._take(key, inputs, item)
                if found is None:
                    return None
                needs = needs or found
        if kwargs:
            if len(args) < call.operands:
                return None
            for name, item in kwargs.items():
                key.append(name)
                found = self._take(key, inputs, item)
                if found is None:
                    return None
                needs = needs or found
        return Ticket(tuple(key), inputs, needs) if inputs else None

    def _take(self, key: list[Any], inputs: list[events.Input], item: Any) -> bool | None:
        """Add an argument that is no operand; returns whether it requires grad, None where it cannot be added."""
        kind = type(item)
        if kind in _PLAIN:
            key.append((kind, item))
            return False
        if kind is Tensor or kind is Parameter:
            known = self._book.tensors.get(id(item))
            if known is None or not known.value or (known.base is not None and version_of(item) != known.version):
                return None
            required: bool = item.requires_grad
            key.append(-known.kind if required else known.kind)
            inputs.append(known.value)
            return required
        if kind is list or kind is tuple or kind is torch.Size:
            key.append((kind, len(item)))
            parts = [self._take(key, inputs, part) for part in item]
            return None if None in parts else True in parts
        return None
