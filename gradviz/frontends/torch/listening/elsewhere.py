"""Elsewhere: what a recording cannot follow, and what it says of that: compiled and traced code, child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_start_method
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import torch
import torch.export
from torch.fx.experimental import proxy_tensor

from gradviz import events
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.listening.transforms import HAS_STANCES, HIGHER_ORDER
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like

COMPILED = "what torch.compile compiles ran eagerly while it was recorded"
TRACED = "what torch.jit and torch.export trace is not recorded, and what they traced shows as unrecorded ops"
SPAWNED = "what a spawned child process did is not recorded"

TRACERS = ((torch.jit, "trace"), (torch.jit, "trace_module"), (torch.export, "export"))
"""Where the program has something traced."""

_MAKE_FX = getattr(proxy_tensor, "_MakefxTracer", None)
"""What PyTorch traces with by itself, such as in the backward of `torch.cond`. Nobody asked for it: it is not told."""


_SWITCH = "TORCHDYNAMO_DISABLE"


@contextmanager
def _switched_off() -> Iterator[None]:
    """Have PyTorch give back a function that it is asked to compile."""
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before


class Elsewhere:
    """Makes compiled functions run as they are written, leaves those alone that are traced, and counts new processes.

    Whatever looks at a tensor while it is traced, at its shape for one, becomes a part of what is traced.
    """

    def __init__(self, book: Book, compiling: Callable[[str, Any], Any]) -> None:
        self._book = book
        self._compiling = compiling
        self._compiled = 0
        self._traced = 0
        self._spawned = 0
        self._stance: Any = None

    def install(self, patches: Patches) -> None:
        """Wait for `torch.compile` and for processes."""
        if "torch._dynamo" in sys.modules:
            self._run_eagerly()
        patches.replace(torch, "compile", self._around_compile)
        for owner, name in TRACERS:
            patches.replace(owner, name, self._around_trace(told=True))
        for name in ("trace", "trace_subgraph") if _MAKE_FX is not None else ():
            patches.replace(_MAKE_FX, name, self._around_trace(told=False))
        patches.replace(BaseProcess, "start", self._around_start)

    def uninstall(self) -> None:
        """Let compiled functions be compiled again, and say what was not followed."""
        if self._stance is not None:
            self._stance.__exit__(None, None, None)
            self._stance = None
        for kind, text, count in (
            ("compiled", COMPILED, self._compiled), ("unrecorded", TRACED, self._traced),
            ("unrecorded", SPAWNED, self._spawned),
        ):  # fmt: skip
            if count:
                self._book.sink.emit(events.Note(kind, text, count))

    def _run_eagerly(self) -> None:
        if self._stance is None and HAS_STANCES:
            self._stance = torch.compiler.set_stance("force_eager")
            self._stance.__enter__()

    def _around_compile(self, run: Any) -> Any:
        @like(run)
        def compile(*args: Any, **kwargs: Any) -> Any:
            caller = sys._getframe(1)
            if caller.f_code.co_filename.startswith(HIGHER_ORDER):
                return self._compiling(_asked_for(caller), run(*args, **kwargs))
            if HAS_STANCES:
                result = run(*args, **kwargs)
            else:
                with _switched_off():
                    result = run(*args, **kwargs)
            # Called without a function it gives a decorator, which calls it again.
            if (args and args[0] is not None) or kwargs.get("model") is not None:
                self._compiled += 1
            self._book.guarded("torch.compile", self._run_eagerly)
            return result

        return compile

    def _around_trace(self, *, told: bool) -> Callable[[Any], Any]:
        def wrap(run: Any) -> Any:
            @like(run)
            def trace(*args: Any, **kwargs: Any) -> Any:
                here = self._book.here()
                if here is None or here.quiet:
                    return run(*args, **kwargs)
                self._traced += told
                here.quiet += 1
                try:
                    return run(*args, **kwargs)
                except BaseException as error:
                    strip_own(error)
                    raise
                finally:
                    here.quiet -= 1

            return trace

        return wrap

    def _around_start(self, run: Any) -> Any:
        @like(run)
        def start(process: Any) -> Any:
            method = getattr(process, "_start_method", None) or get_start_method()
            self._spawned += method != "fork"
            return run(process)

        return start


def _asked_for(frame: FrameType) -> str:
    """What the user called that made PyTorch compile something at `frame`: the outermost of its own functions."""
    place = frame
    while place.f_back is not None and place.f_back.f_code.co_filename.startswith(HIGHER_ORDER):
        place = place.f_back
    return place.f_code.co_name
