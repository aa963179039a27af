"""The mode: what PyTorch hands every call to while a thread is recorded."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from gradviz.frontends.torch.autograd.nodes import sequence_number
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.calls.naming import Call, Deed, describe_call
from gradviz.frontends.torch.listening.listener import Listener
from gradviz.frontends.torch.patching.calling import stand_in, strip_own

stack_depth = torch._C._len_torch_function_stack

_NONE: dict[str, Any] = {}


class RecordingMode(TorchFunctionMode):
    """Runs each call unchanged and hands it on to the listener; one for each thread.

    PyTorch takes the mode off while it is called, so neither the parts of an op nor the recording's own reads are seen.
    """

    def __init__(self, listener: Listener, here: Here) -> None:
        super().__init__()
        self.listener: Listener | None = listener
        self.here = here
        self.calls: dict[Any, Call] = listener.calls

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or _NONE
        frame = sys._getframe(1)
        listener, here = self.listener, self.here
        try:
            if listener is None or here.quiet:
                return stand_in(frame)(func, args, kwargs)
            call = self.calls.get(func)
            if call is None:
                call = self.calls[func] = describe_call(func)
            # A mode of the user's own would see the recording look at the tensors.
            if call.laned and not stack_depth():
                lane = listener.lane
                if call.plain and not kwargs:
                    start = sequence_number()
                    silent = call.silent and len(args) < 3
                    result = func(*args) if silent else stand_in(frame)(func, args, kwargs)
                    lane.ran(here, call, args, kwargs, None, result, start, sequence_number(), frame)
                    return result
                is_plain = call.plain and "out" not in kwargs
                ticket = None if is_plain else lane.before(call, args, kwargs)
                if is_plain or ticket is not None:
                    start = sequence_number()
                    result = stand_in(frame)(func, args, kwargs)
                    lane.ran(here, call, args, kwargs, ticket, result, start, sequence_number(), frame)
                    return result
            if call.deed is Deed.NOTHING:
                return func(*args, **kwargs) if call.silent else stand_in(frame)(func, args, kwargs)
            if call.deed is not Deed.OP:
                return listener.other(here, call, func, args, kwargs, frame)
            found = listener.before(here, call, args, kwargs, frame)
            start = sequence_number()
            result = stand_in(frame)(func, args, kwargs)
        except BaseException as error:
            strip_own(error)
            raise
        listener.after(here, call, args, found, result, (start, sequence_number()), frame)
        return result


def step_aside(here: Here) -> RecordingMode | None:
    """Take the mode off this thread while what runs is not the user's; None where one of the user's own lies above it.

    To be followed by `step_back`. A mode that listens to nothing costs two microseconds a call.
    """
    if not stack_depth():
        return None
    mode = torch._C._pop_torch_function_stack()
    if isinstance(mode, RecordingMode) and mode.here is here:
        return mode
    torch._C._push_on_torch_function_stack(mode)
    return None


def step_back(mode: RecordingMode | None) -> None:
    """Put the mode on again, if the recording has not ended."""
    if mode is not None and mode.listener is not None:
        torch._C._push_on_torch_function_stack(mode)
