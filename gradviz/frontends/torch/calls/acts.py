"""Acts: what a program does to tensors besides ops: flags, gradients read and written, `.data` replaced, hooks."""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch
from torch.nn import Parameter
from torch.nn.utils import clip_grad

from gradviz import events
from gradviz.callees import function_name
from gradviz.frontends.torch.autograd.nodes import is_leaf
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.origins import Origins
from gradviz.frontends.torch.calls.naming import Call, Deed
from gradviz.frontends.torch.calls.ops import Ops
from gradviz.frontends.torch.calls.writes import Writes
from gradviz.frontends.torch.places.frames import caller, place_of_call
from gradviz.targets import single_target


class Acts:
    """Tells of calls that are no ops. Each method is called after the call, with what the call was given and gave."""

    def __init__(self, book: Book, origins: Origins, writes: Writes, ops: Ops) -> None:
        self._book = book
        self._origins = origins
        self._writes = writes
        self._ops = ops

    def told(self, here: Here, call: Call, args: tuple[Any, ...], result: Any, frame: FrameType) -> None:
        """Tell of a call of one of the deeds that are no ops."""
        tensor = args[0]
        match call.deed:
            case Deed.EXIT if not here.loading:
                name = events.CHECK if _is_check(call, tensor, frame) else call.name
                given = [item for item in args if isinstance(item, torch.Tensor)]
                self._ops.left(here, name, call.cause, given, frame)
            case Deed.REQUIRES_GRAD:
                self._flag(here, tensor, frame)
            case Deed.DATA_WRITE:
                self._writes.took_data(here, tensor, args[1], place_of_call(frame)[0])
            case Deed.GRAD_READ:
                if result is not None:
                    self._know_gradient(here, tensor, result)
                    self._act(here, "read_grad", tensor, frame)
                elif not is_leaf(tensor):  # of a leaf it means that no gradient came yet, which loops ask all the time
                    self._act(here, "read_grad", tensor, frame)
                elif caller(frame).f_code.co_filename == clip_grad.__file__:
                    self._act(here, "clip", tensor, frame)
                elif not (tensor.requires_grad or isinstance(tensor, Parameter)) and place_of_call(frame)[1]:
                    self._act(here, "miss_grad", tensor, frame)
            case Deed.GRAD_WRITE:
                if len(args) > 1 and isinstance(args[1], torch.Tensor):
                    self._origins.know(here, args[1])
                self._act(here, "write_grad", tensor, frame)
            case Deed.HOOK:
                if call.name == "retain_grad":
                    self._act(here, "retain_grad", tensor, frame)
                else:
                    self._act(here, "hook", tensor, frame, function_name(args[1]) if len(args) > 1 else "")

    def _act(self, here: Here, kind: str, tensor: torch.Tensor, frame: FrameType, text: str = "") -> None:
        known = self._origins.know(here, tensor)
        path, _ = place_of_call(frame)
        site = self._book.interner.site(path)
        context = self._book.context(here)
        self._book.sink.emit(events.Act(kind, (known.value,), site, context, None, self._book.last_value, text))

    def _flag(self, here: Here, tensor: torch.Tensor, frame: FrameType) -> None:
        known = self._origins.know(here, tensor)
        if not is_leaf(tensor):
            return
        path, direct = place_of_call(frame)
        interner = self._book.interner
        self._book.sink.emit(events.RequiresGrad(known.value, tensor.requires_grad, interner.site(path)))
        # `W1 = (...).requires_grad_()`: what was assigned is the tensor, and from here on it is a leaf to be named.
        # A parameter goes by its module's name for it, not by the variable of the loop that freezes it.
        unnamed = direct and not known.target and not isinstance(tensor, torch.nn.Parameter)
        name = single_target(interner.target(path)) if unnamed else ""
        if name and tensor.requires_grad:
            self._book.tell_name(known, name)

    def _know_gradient(self, here: Here, tensor: torch.Tensor, gradient: torch.Tensor) -> None:
        """A gradient that no sweep was seen to make is a source of its own."""
        if self._book.tensors.get(id(gradient)) is None and is_leaf(gradient):
            self._origins.know(here, tensor)
            self._origins.source(here, "grad", gradient, ())


def _is_check(call: Call, tensor: torch.Tensor, frame: FrameType) -> bool:
    """A library asks for itself whether something holds, such as that its arguments are in order."""
    return call.name == "item" and tensor.dtype is torch.bool and not place_of_call(frame)[1]
