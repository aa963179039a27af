"""Transforms of functions: `torch.func`'s `vmap`, `grad`, `vjp`, ..., and `torch.cond` and the like, are each one op.

Inside of them a function is run on tensors that stand for many, or for one at another level of differentiation. What
it does to those is part of the transform. The op's inputs are the tensors that the transformed function was given and
those of the program's that it used besides, such as a weight that it closes over.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType
from typing import Any

import torch
import torch.func
from torch._functorch import apis, eager_transforms

from gradviz.frontends.torch.autograd.nodes import sequence_number
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.identity import tensors_in
from gradviz.frontends.torch.calls.naming import Call, Deed
from gradviz.frontends.torch.listening.listener import Listener
from gradviz.frontends.torch.listening.mode import stack_depth, step_aside, step_back
from gradviz.frontends.torch.listening.noticing import Noticing
from gradviz.frontends.torch.patching.calling import OWN_FOLDER, strip_own
from gradviz.frontends.torch.patching.patches import Patches, like

_FUNCTORCH = os.path.join(os.path.dirname(os.path.abspath(apis.__file__)), "")

HIGHER_ORDER = os.path.join(os.path.dirname(os.path.abspath(torch.__file__)), "_higher_order_ops", "")
"""Where PyTorch compiles what it is given, by itself: `torch.cond` and its relatives."""

HAS_STANCES = hasattr(torch.compiler, "set_stance")
"""Whether compiled functions can be made to run as they are written. Before 2.6 they could only be left uncompiled."""

Given = Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, ...]]
"""What the user's function is given, from the arguments of PyTorch's own that runs it."""

_RUNNERS: tuple[tuple[Any, str, str, Given], ...] = (
    (apis, "vmap_impl", "vmap", lambda args, kwargs: (*args[5:], *kwargs.values())),
    (eager_transforms, "grad_impl", "grad", lambda args, kwargs: tuple(args[3:5])),
    (eager_transforms, "grad_and_value_impl", "grad_and_value", lambda args, kwargs: tuple(args[3:5])),
    (eager_transforms, "_vjp_with_argnums", "vjp", lambda args, kwargs: args[1:]),
    (eager_transforms, "_jvp_with_argnums", "jvp", lambda args, kwargs: args[1:3]),
)
"""Where PyTorch runs a transformed function: module and name, and the transform as the user calls it.

They are looked up at each call, so a `vmap` that was imported before the recording began is seen as well.
"""

_MAKERS = ("jacrev", "jacfwd", "hessian", "functionalize")
"""Transforms that run others: what they make is told of by their own name."""


class Transforms:
    """Stands around all of them."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._book = listener.book
        self._calls: dict[str, Call] = {}

    def install(self, patches: Patches) -> None:
        """Put the patches in place."""
        for owner, runner, name, given in _RUNNERS:
            if hasattr(owner, runner):
                patches.replace(owner, runner, self._around_runner(name, given))
        for name in _MAKERS:
            for owner in (eager_transforms, torch.func):
                patches.replace(owner, name, self._around_maker(name))

    def _around_runner(self, name: str, given: Given) -> Callable[[Any], Any]:
        def wrap(run: Any) -> Any:
            @like(run)
            def runner(*args: Any, **kwargs: Any) -> Any:
                told = given(args, kwargs)
                try:
                    result = self._run(name, run, args, kwargs, told)
                except BaseException as error:
                    strip_own(error)
                    raise
                return self._with_pullback(name, result, told) if name == "vjp" else result

            return runner

        return wrap

    def _around_maker(self, name: str) -> Callable[[Any], Any]:
        def wrap(make: Any) -> Any:
            @like(make)
            def maker(*args: Any, **kwargs: Any) -> Any:
                made = make(*args, **kwargs)
                return self._told(name, made, ())

            return maker

        return wrap

    def _with_pullback(self, name: str, result: Any, primals: tuple[Any, ...]) -> Any:
        """What `vjp` gave, where the function that it gave depends on the primals as much as on its argument."""
        here = self._book.here()
        if here is None or here.quiet:
            return result
        return (result[0], self._told(name, result[1], primals), *result[2:])

    def _told(self, name: str, function: Any, besides: tuple[Any, ...]) -> Any:
        @like(function)
        def told(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._run(name, function, args, kwargs, (*args, *kwargs.values(), *besides))
            except BaseException as error:
                strip_own(error)
                raise

        return told

    def compiling(self, name: str, run: Any) -> Any:
        """Stand around a function that PyTorch itself compiles to do what the user calls `name`.

        It has to be compiled, whatever is in effect for compiled functions of the user's, and with no mode in the way.
        """

        @like(run)
        def compiled(*args: Any, **kwargs: Any) -> Any:
            here = self._book.here()
            mode = None if here is None else step_aside(here)
            if here is None or (mode is None and stack_depth()):
                return run(*args, **kwargs)
            frame = _caller(sys._getframe(1))
            start = sequence_number()
            here.quiet += 1
            try:
                with torch.compiler.set_stance("default") if HAS_STANCES else nullcontext():
                    result = run(*args, **kwargs)
            except BaseException as error:
                strip_own(error)
                raise
            finally:
                here.quiet -= 1
                step_back(mode)
            if not here.quiet:
                nodes = (start, sequence_number())
                self._book.guarded(f"`{name}`", self._tell, here, name, args, {}, result, nodes, frame)
            return result

        return compiled

    def _run(self, name: str, run: Any, args: tuple[Any, ...], kwargs: dict[str, Any], given: tuple[Any, ...]) -> Any:
        here = self._book.here()
        if here is None or here.quiet:
            return run(*args, **kwargs)
        frame = _caller(sys._getframe(1))
        noticing = Noticing(self._listener, here)
        start = sequence_number()
        here.quiet += 1
        try:
            with noticing:
                result = run(*args, **kwargs)
        finally:
            here.quiet -= 1
        nodes = (start, sequence_number())
        self._book.guarded(f"`{name}`", self._tell, here, name, given, noticing.used, result, nodes, frame)
        return result

    def _tell(
        self,
        here: Here,
        name: str,
        given: tuple[Any, ...],
        used: dict[int, torch.Tensor],
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        call = self._calls.get(name)
        if call is None:
            call = self._calls[name] = Call(name, Deed.OP)
        tensors = {id(tensor): tensor for tensor in tensors_in(given)} | used
        ops = self._listener.ops
        found = ops.gather(here, call, tuple(tensors.values()), {}, frame)
        if found is None:
            ops.prepared(here, call, result, frame)
        else:
            ops.ran(here, call, (), found, result, nodes, frame)


def _caller(frame: FrameType) -> FrameType:
    """The frame that called a transformed function, past those of the transform."""
    place = frame
    while place.f_back is not None and place.f_code.co_filename.startswith((_FUNCTORCH, HIGHER_ORDER, OWN_FOLDER)):
        place = place.f_back
    return place
