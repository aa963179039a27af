"""Calls that PyTorch does not hand to a mode: custom functions, parameters, arrays made tensors, inference mode."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType
from typing import Any

import torch
import torch.overrides
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from gradviz.events import CHECKPOINT, Cause
from gradviz.frontends.torch.autograd.nodes import sequence_number
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.calls.gathered import Gathered
from gradviz.frontends.torch.calls.naming import Call, Deed
from gradviz.frontends.torch.listening.listener import Listener
from gradviz.frontends.torch.listening.mode import RecordingMode
from gradviz.frontends.torch.listening.noticing import Noticing
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.frontends.torch.places.frames import place_of_call


class Unseen:
    """Stands around those calls, one patch each."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._book = listener.book
        self._parameter = Call("Parameter", Deed.OP)
        self._parameter.cause = Cause.RETENSOR
        self._subclass = Call("as_subclass", Deed.OP)

    def install(self, patches: Patches) -> None:
        """Put the patches in place."""
        patches.replace(torch.autograd.Function, "apply", self._around_function)
        patches.replace(torch.nn.Parameter, "__new__", self._around_parameter)
        for kind in (UninitializedParameter, UninitializedBuffer):
            patches.replace(kind, "materialize", self._around_materialize)
        patches.replace(torch.Tensor, "as_subclass", self._around_as_subclass)
        patches.replace(torch, "from_numpy", self._around_from_numpy)
        patches.replace(torch.autograd.grad_mode.inference_mode, "__enter__", self._around_enter)
        patches.replace(torch.autograd.grad_mode.inference_mode, "__exit__", self._around_exit)
        patches.replace(torch.overrides, "has_torch_function", self._around_has_torch_function)

    def _around_function(self, original: Any) -> Any:
        """A custom function is one op, whatever its forward does."""
        run = _class_function(original)

        @like(getattr(original, "__func__", original))
        def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
            listener, here = self._listener, self._book.here()
            if here is None or here.quiet or not _is_on():
                return run(cls, *args, **kwargs)
            call = listener.calls.get(cls)
            if call is None:
                call = listener.calls[cls] = Call(_function_name(cls), Deed.OP)
                call.unlike = Cause.CUSTOM_FUNCTION
            frame = sys._getframe(1)
            found = listener.before(here, call, args, kwargs, frame)
            start = sequence_number()
            inside = found is not None and call.name == CHECKPOINT
            noticing = Noticing(listener, here, grad_off=True) if inside else None
            here.quiet += 1
            try:
                with noticing or nullcontext():
                    result = run(cls, *args, **kwargs)
            finally:
                here.quiet -= 1
            if noticing is not None and found is not None:
                self._book.guarded("a checkpoint", self._add, here, found[0], noticing.used, frame)
            listener.after(here, call, args, found, result, (start, sequence_number()), frame)
            return result

        return classmethod(apply)

    def _add(self, here: Here, found: Gathered, used: dict[int, torch.Tensor], frame: FrameType) -> None:
        """What a checkpoint's function uses besides its arguments gets its gradient by the checkpoint, too."""
        given = {id(tensor) for tensor in found.tensors}
        for tensor in used.values():
            if id(tensor) not in given:
                self._listener.ops.add(here, found, tensor, frame)

    def _around_parameter(self, original: Any) -> Any:
        make = original.__func__ if isinstance(original, staticmethod) else original

        @like(make)
        def new(cls: Any, data: Any = None, *args: Any, **kwargs: Any) -> Any:
            here = self._book.here()
            if here is None or here.quiet:
                return make(cls, data, *args, **kwargs)
            here.quiet += 1
            try:
                made = make(cls, data, *args, **kwargs)
            finally:
                here.quiet -= 1
            if isinstance(made, torch.Tensor):
                self._book.guarded("a parameter", self._tell_parameter, here, data, made, sys._getframe(1))
            return made

        return staticmethod(new)

    def _tell_parameter(self, here: Any, data: Any, made: torch.Tensor, frame: Any) -> None:
        if isinstance(data, torch.Tensor) and data.requires_grad and data is not made:
            ops = self._listener.ops
            found = ops.gather(here, self._parameter, (data,), {}, frame)
            assert found is not None
            ops.ran(here, self._parameter, (data,), found, made, (0, 0), frame)
        elif self._book.tensors.get(id(made)) is None:
            path, direct = place_of_call(frame)
            if direct:
                self._listener.origins.source(here, "Parameter", made, path, True)
            else:
                self._listener.origins.put_off("Parameter", made, path)

    def _around_materialize(self, run: Any) -> Any:
        """A parameter of a lazy module, which gets its shape, and so its beginning, in the first forward pass."""

        @like(run)
        def materialize(made: torch.Tensor, *args: Any, **kwargs: Any) -> None:
            run(made, *args, **kwargs)
            here = self._book.here()
            if here is not None and not here.quiet:
                self._book.guarded("a parameter", self._tell_parameter, here, None, made, sys._getframe(1))

        return materialize

    def _around_as_subclass(self, run: Any) -> Any:
        @like(run)
        def as_subclass(given: torch.Tensor, kind: Any) -> Any:
            made = run(given, kind)
            here = self._book.here()
            # Within an op, PyTorch gives results the class of what went into it.
            if here is not None and not here.quiet and _is_on():
                self._book.guarded("a subclass", self._tell_subclass, here, given, made, sys._getframe(1))
            return made

        return as_subclass

    def _tell_subclass(self, here: Any, given: torch.Tensor, made: torch.Tensor, frame: Any) -> None:
        ops = self._listener.ops
        found = ops.gather(here, self._subclass, (given,), {}, frame)
        if found is None:
            ops.prepared(here, self._subclass, made, frame)
            return
        end = sequence_number()
        ops.ran(here, self._subclass, (given,), found, made, (end - (made.grad_fn is not None), end), frame)

    def _around_from_numpy(self, run: Any) -> Any:
        def from_numpy(ndarray: Any) -> Any:
            made = run(ndarray)
            here = self._book.here()
            if here is not None and not here.quiet and _is_on():
                path, direct = place_of_call(sys._getframe(1))
                self._book.guarded("an array", self._listener.origins.source, here, "from_numpy", made, path, direct)
            return made

        from_numpy.__doc__ = run.__doc__
        return from_numpy

    def _around_enter(self, run: Any) -> Any:
        @like(run)
        def enter(switch: Any) -> Any:
            result = run(switch)
            here = self._book.here()
            if here is not None and not here.quiet:
                frame = sys._getframe(1)
                self._book.guarded("a grad mode", self._listener.regions.entered_inference, here, switch, frame)
            return result

        return enter

    def _around_exit(self, run: Any) -> Any:
        @like(run)
        def leave(switch: Any, *details: Any) -> Any:
            result = run(switch, *details)
            here = self._book.here()
            if here is not None and not here.quiet:
                self._book.guarded("a grad mode", self._listener.regions.close, here, switch)
            return result

        return leave

    def _around_has_torch_function(self, run: Any) -> Any:
        """Modules ask this to find out whether a faster way gives what was asked for; to them a recording is nobody."""

        def has_torch_function(relevant_args: Any) -> Any:
            taken = []
            while torch._C._len_torch_function_stack():
                mode = torch._C._pop_torch_function_stack()
                taken.append(mode)
                if not isinstance(mode, RecordingMode):
                    break
            try:
                others = any(not isinstance(mode, RecordingMode) for mode in taken)
                return True if others else run(relevant_args)
            finally:
                for mode in reversed(taken):
                    torch._C._push_on_torch_function_stack(mode)

        has_torch_function.__doc__ = run.__doc__
        return has_torch_function


def _is_on() -> bool:
    """The mode of a recording is on. Within an op it is off: what PyTorch calls there is a part of the op."""
    modes = map(torch._C._get_function_stack_at, range(torch._C._len_torch_function_stack()))
    return any(isinstance(mode, RecordingMode) for mode in modes)


def _function_name(cls: Any) -> str:
    """The reentrant checkpoint is a custom function by accident; its users call it `checkpoint`."""
    return CHECKPOINT if cls.__module__ == "torch.utils.checkpoint" else cls.__name__


def _class_function(method: Any) -> Callable[..., Any]:
    """What a class method runs, with the class as its first argument. PyTorch's are written in Python or in C."""
    function: Callable[..., Any] | None = getattr(method, "__func__", None)
    return function or (lambda cls, *args, **kwargs: method.__get__(None, cls)(*args, **kwargs))
