"""The fast lane: ops of the plain kind, of which a program runs most, told of in one straight function.

Plain is an op that makes one fresh tensor from tensors that are known and from numbers. All it needs is looked up; what
is met for the first time, and whatever is less plain, takes the road of `Ops`. Both tell the same of an op, and the
second one costs five times as much.
"""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch
from torch.nn import Parameter

from gradviz import events
from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.frames import is_inner, place_of_call
from gradviz.frontends.torch.naming import Call
from gradviz.frontends.torch.ops import Ops

Tensor = torch.Tensor

LIMIT = 100_000
"""Most settings of shapes that are remembered; a program whose shapes never repeat must not grow for it."""


class Lane:
    """Tells of calls that have returned; `Call.plain` says of which functions."""

    def __init__(self, book: Book, ops: Ops) -> None:
        self._book = book
        self._ops = ops
        self._signatures: dict[tuple[Any, ...], int] = {}

    def ran(
        self, here: Here, call: Call, args: tuple[Any, ...], result: Any, start: int, end: int, frame: FrameType
    ) -> None:
        """Tell of a call without keywords; `start` and `end` are the sequence numbers before and after it."""
        book = self._book
        tensors = book.tensors
        key: tuple[Any, ...] | None = None
        inputs: list[events.Input] = []
        if type(result) is Tensor and id(result) not in tensors and not result._is_view():
            tracked = result.requires_grad and start != end
            parts: list[Any] = [call]
            for item in args:
                kind = type(item)
                if kind is Tensor or kind is Parameter:
                    known = tensors.get(id(item))
                    if known is None or not known.value or known.base is not None:
                        break
                    if item.requires_grad:
                        if not tracked:
                            break
                        parts.append(-known.kind)
                    else:
                        parts.append(known.kind)
                    inputs.append(known.value)
                elif (kind is float or kind is int) and len(inputs) < call.operands:
                    parts.append(0)
                    inputs.append(repr(item))
                else:
                    break
            else:
                made = book.kinds.of(result)
                parts.append(-made if tracked else made)
                key = tuple(parts)
                signature = self._signatures.get(key)
                if signature is not None:
                    if not is_inner(frame, False):
                        path, direct = place_of_call(frame)
                        site = book.interner.site(path, not direct)
                        value = book.tell_op(here, signature, site, inputs, 1)
                        if tracked:
                            here.trail.add(start, end, value)
                        tensors.learn(result, value, made)
                    return
        self._look_closer(here, call, args, result, start, end, frame, key)

    def _look_closer(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        result: Any,
        start: int,
        end: int,
        frame: FrameType,
        key: tuple[Any, ...] | None,
    ) -> None:
        """The other road; what it finds is remembered under `key`, if there is one."""
        if is_inner(frame, False):
            return
        found = self._ops.gather(here, call, args, {}, frame)
        if found is None:
            self._ops.prepared(call, result, frame)
            return
        signature = self._ops.ran(here, call, args, found, result, (start, end), frame)
        if key is not None and signature is not None and any(tensor is not None for tensor in found.tensors):
            if len(self._signatures) >= LIMIT:
                self._signatures.clear()
            self._signatures[key] = signature
