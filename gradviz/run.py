"""Run a user's program as `python` itself would, under a recording, and say how it ended."""

from __future__ import annotations

import atexit
import builtins
import difflib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import NoReturn

from gradviz.endings import ending
from gradviz.errors import UsageError
from gradviz.events import Status
from gradviz.recorder import Recorder
from gradviz.standing_in import ROOTS, standing_in
from gradviz.tracebacks import show_uncaught


@dataclass(frozen=True, slots=True)
class Target:
    """What to run: the path of a script or, with `module`, a dotted name as after `python -m`; and its arguments.

    core: `torch` is gradviz's own while it runs.
    """

    name: str
    arguments: tuple[str, ...] = ()
    module: bool = False
    core: bool = False

    def __str__(self) -> str:
        return f"-m {self.name}" if self.module else self.name


@dataclass(frozen=True, slots=True)
class Program:
    """A target that was found and compiled, and has not begun to run. `spec` is None for a script."""

    target: Target
    code: CodeType
    file: str
    folder: str
    spec: ModuleSpec | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. `module` is its `__main__`: while it is held, so is what the program left behind."""

    status: Status
    exit_code: int
    module: ModuleType = field(repr=False)


_TWO_WAYS = (
    "install PyTorch (`pip install 'gradviz[torch]'`), or run the script on gradviz's own tensors with `--core`"
)


def run_script(target: Target, recorder: Recorder, *, last: bool = False) -> Outcome:
    """Find, compile and run `target`: `run(load(target), recorder)`."""
    return run(load(target), recorder, last=last)


def load(target: Target) -> Program:
    """Find and compile `target` without running any of it. Raises `UsageError` where that cannot be done."""
    return _load_module(target) if target.module else _load_script(target)


def run(program: Program, recorder: Recorder, *, last: bool = False) -> Outcome:
    """Run `program` to its end with `recorder` started and stopped around it. Never raises what the program raised.

    The program's output, exit code and traceback are those that `python` would give. Afterwards `sys.argv`, `sys.path`,
    `__main__`, the streams and the warning filters are what they were. `last` says that nothing else will run in this
    process: thread pools that were left open are then closed for good, as Python closes them at exit.
    """
    module = _main_module(program)
    process = os.getpid()
    bystanders = frozenset(threading.enumerate())
    exception: BaseException | None = None
    recorder.start()
    try:
        with _as_main_program(program, module):
            with standing_in() if program.target.core else nullcontext():
                exception = _execute(program, module)
            if exception is not None:
                _report(exception, program)
            if os.getpid() != process:
                _leave_child(ending(exception)[1])
            try:
                _wait_for_threads(bystanders, last)
            except KeyboardInterrupt as interrupt:
                exception = exception or interrupt
            status, exit_code = recorder.stop(exception, namespace=module.__dict__)
    finally:
        recorder.stop()
    return Outcome(status, exit_code, module)


def _execute(program: Program, module: ModuleType) -> BaseException | None:
    """Run a program's code; returns what it raised."""
    try:
        if program.spec is not None and program.spec.parent:
            __import__(program.spec.parent)
        if program.spec is not None:
            sys.argv[0] = program.file
        exec(program.code, module.__dict__)
    except BaseException as raised:
        # The first entry of its traceback is this frame.
        return raised.with_traceback(raised.__traceback__ and raised.__traceback__.tb_next)
    return None


def _load_script(target: Target) -> Program:
    name = target.name
    if os.path.isdir(name):
        raise UsageError(f"`{name}` is a directory", help="name a script or a log, or a package with `-m`")
    try:
        with open(name, "rb") as stream:
            source = stream.read()
    except FileNotFoundError:
        raise UsageError(f"there is no file `{name}`", help=_near(name)) from None
    except OSError as failure:
        raise UsageError(f"cannot read `{name}`: {(failure.strerror or str(failure)).lower()}") from None
    file = os.path.join(os.getcwd(), name)  # not normalized: `__file__` is not, either
    if b"\0" in source:
        raise UsageError(f"`{name}` is neither a Python script nor a gradviz log", help="name a script or a log")
    return Program(target, _compile(source, file, name), file, os.path.dirname(os.path.realpath(name)))


def _compile(source: bytes, file: str, name: str) -> CodeType:
    try:
        return compile(source, file, "exec", dont_inherit=True)
    except SyntaxError as failure:
        raise _invalid(name, failure) from None
    except (ValueError, RecursionError, MemoryError) as failure:
        raise UsageError(f"`{name}` cannot be compiled: {failure}", help="name a script or a log") from None


def _invalid(name: str, failure: SyntaxError) -> UsageError:
    text = (failure.text or "").strip()
    line = f", line {failure.lineno}" if failure.lineno else ""
    return UsageError(
        f"`{name}`{line}: {failure.msg}" + (f" in `{text}`" if text else ""), help="correct the syntax and run it again"
    )


def _near(name: str) -> str:
    """A suggestion for a file that is not there: one with a similar name in the same folder."""
    folder, base = os.path.split(name)
    with suppress(OSError):
        close = difflib.get_close_matches(base, sorted(os.listdir(folder or ".")), n=1)
        if close:
            return f"did you mean `{os.path.join(folder, close[0])}`?"
    return "name a script, a log, or a module with `-m`"


def _load_module(target: Target) -> Program:
    """Find `package.module` without importing the packages around it: importing runs their code."""
    folder = os.getcwd()
    name = target.name
    with _first_on_path(folder):
        spec = _find(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name += ".__main__"
            spec = _find(name)
            if spec is None:
                help = f"name one of its modules: `-m {target.name}.NAME`"
                raise UsageError(f"`{target.name}` is a package without a `__main__` module", help=help)
        if spec is None:
            help = "give a dotted name that can be imported from here"
            raise UsageError(f"there is no module named `{target.name}`", help=help)
        try:
            get_code = getattr(spec.loader, "get_code", None)
            code: CodeType | None = get_code(name) if get_code is not None else None
        except SyntaxError as failure:
            raise _invalid(name, failure) from None
    if code is None:
        raise UsageError(f"module `{name}` has no Python code to run", help="name a module that is written in Python")
    return Program(target, code, spec.origin or name, folder, spec)


def _find(name: str) -> ModuleSpec | None:
    """The spec of a dotted name, found from its first part inwards."""
    parts = name.split(".")
    if not all(parts):
        return None
    spec: ModuleSpec | None = None
    path: list[str] | None = None
    stand_ins: list[str] = []
    try:
        for depth in range(1, len(parts) + 1):
            prefix = ".".join(parts[:depth])
            found = (finder.find_spec(prefix, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
            spec = next((candidate for candidate in found if candidate is not None), None)
            if spec is None or depth == len(parts):
                return spec
            if spec.submodule_search_locations is None:
                return None
            path = list(spec.submodule_search_locations)
            if prefix not in sys.modules:
                # A namespace package inside asks the module around it for its path.
                sys.modules[prefix] = ModuleType(prefix)
                sys.modules[prefix].__path__ = path
                stand_ins.append(prefix)
    finally:
        for prefix in stand_ins:
            del sys.modules[prefix]
    return None


def _main_module(program: Program) -> ModuleType:
    """A `__main__` with the attributes, in the order, that Python's own has."""
    module = ModuleType("__main__")
    spec = program.spec
    module.__dict__.update(
        __package__=None if spec is None else spec.parent,
        __loader__=SourceFileLoader("__main__", program.file) if spec is None else spec.loader,
        __spec__=spec,
        __annotations__={},
        __builtins__=builtins,
        __file__=program.file,
        __cached__=None if spec is None else spec.cached,
    )
    return module


@contextmanager
def _as_main_program(program: Program, module: ModuleType) -> Iterator[None]:
    """Let the process look to `module` as if it were Python's main program, and put everything back."""
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.modules["__main__"]
    # While Python looks for a module, its name is not there yet.
    sys.argv = ["-m" if program.spec is not None else program.target.name, *program.target.arguments]
    sys.modules["__main__"] = module
    try:
        with _first_on_path(program.folder), warnings.catch_warnings():
            yield
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.modules["__main__"] = before


@contextmanager
def _first_on_path(folder: str) -> Iterator[None]:
    """`folder` in place of the entry that Python put first on `sys.path` for gradviz itself."""
    before = list(sys.path)
    if not sys.flags.safe_path:  # with `-P` or `-I` Python puts no entry of its own there
        sys.path[:1] = [folder]
    try:
        yield
    finally:
        sys.path[:] = before


def _report(exception: BaseException, program: Program) -> None:
    """Print what Python prints when `exception` ends the program."""
    if not isinstance(exception, SystemExit):
        show_uncaught(exception, program.file)
        lacks_torch = isinstance(exception, ModuleNotFoundError) and exception.name in ROOTS
        if lacks_torch and not program.target.core and sys.stderr is not None:
            print(f"help: {_TWO_WAYS}", file=sys.stderr)
        way = _as_module(exception, program)
        if way and sys.stderr is not None:
            print(f"help: run it as a module of its package{way}", file=sys.stderr)
    elif exception.code is not None and not isinstance(exception.code, int) and sys.stderr is not None:
        print(exception.code, file=sys.stderr)


def _as_module(exception: BaseException, program: Program) -> str:
    """Where to run a script of a package that failed with a relative import of its own, and as which module."""
    relative = type(exception) is ImportError and "no known parent package" in str(exception)
    if program.spec is not None or not relative:
        return ""
    entry = exception.__traceback__
    while entry is not None and entry.tb_next is not None:
        entry = entry.tb_next
    if entry is None or entry.tb_frame.f_code.co_filename != program.file:
        return ""
    root, here = program.folder, os.path.realpath(os.getcwd())
    while root.startswith(os.path.join(here, "")) or (
        os.path.isfile(os.path.join(root, "__init__.py")) and (root != here or root == program.folder)
    ):
        root = os.path.dirname(root)
    path = os.path.relpath(os.path.join(program.folder, os.path.basename(program.file)), root)
    parts = os.path.splitext(path)[0].split(os.sep)
    if len(parts) == 1 or not all(part.isidentifier() for part in parts):
        return ""
    return ("" if root == here else f", from `{root}`") + f": `-m {'.'.join(parts)}`"


def _wait_for_threads(bystanders: frozenset[threading.Thread], last: bool) -> None:
    """Wait for the threads that the program left running, as Python does before it exits."""
    if last and threading.current_thread() is threading.main_thread():
        threading._shutdown()  # type: ignore[attr-defined]
        return
    # The workers of an open thread pool only end in `threading._shutdown`: waiting for them would be for ever.
    workers = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", {})
    for thread in threading.enumerate():
        if not thread.daemon and thread not in bystanders and thread not in workers:
            thread.join()


def _leave_child(exit_code: int) -> NoReturn:
    """End a forked child that came to the end of the script, as Python would: it must not draw a picture of its own."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(exit_code & 0xFF)
