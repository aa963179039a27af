"""Elsewhere: what a recording cannot follow, and what it says of that: compiled and traced code, child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from gradviz import events
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like

COMPILED = "what torch.compile compiles ran eagerly while it was recorded"
TRACED = "what torch.jit traces is not recorded, and what it traced shows as unrecorded ops"
SPAWNED = "what a spawned child process did is not recorded"

TRACERS = ((torch.jit, "trace"), (torch.jit, "trace_module"))
"""Where tracing begins."""


HAS_STANCES = hasattr(torch.compiler, "set_stance")
"""Whether compiled functions can be made to run as they are written. Before 2.6 they could only be left uncompiled."""

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

    def __init__(self, book: Book) -> None:
        self._book = book
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
            patches.replace(owner, name, self._around_trace)
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

    def _around_trace(self, run: Any) -> Any:
        @like(run)
        def trace(*args: Any, **kwargs: Any) -> Any:
            here = self._book.here()
            if here is None or here.quiet:
                return run(*args, **kwargs)
            self._traced += 1
            here.quiet += 1
            try:
                return run(*args, **kwargs)
            except BaseException as error:
                strip_own(error)
                raise
            finally:
                here.quiet -= 1

        return trace

    def _around_start(self, run: Any) -> Any:
        @like(run)
        def start(process: Any) -> Any:
            self._spawned += getattr(process, "_start_method", None) != "fork"
            return run(process)

        return start
