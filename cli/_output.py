"""Where a drawing goes: a file, written whole or not at all, or standard output, kept free of the script's own."""

from __future__ import annotations

import io
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias

from gradviz.errors import UsageError

Content: TypeAlias = str | bytes | Iterable[str]
"""Text, whole or in pieces that are made as they are written, or the bytes of what is no text."""


class Destination(Protocol):
    """Where a drawing is written to, once."""

    def write(self, content: Content) -> None:
        """Write all of `content`. Raises `UsageError` where that cannot be done."""


class ClosedPipe(Exception):
    """Whoever read standard output has stopped. Not an `OSError`: click would end the process over one."""


class File:
    """A file that is written whole or not at all: whoever looks sees the old one or the new one.

    Checked when it is made, before anything is run: `UsageError` where it could not be written. Its place is fixed
    then, whatever directory the script changes to. A link is followed, an existing file keeps its permissions, a new
    one gets those of any new file.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._path = os.path.realpath(name)
        self._check()

    def keep_off(self, source: str) -> None:
        """Raise `UsageError` where this is `source` itself, which is read."""
        if os.path.exists(self._path) and os.path.exists(source) and os.path.samefile(self._path, source):
            raise UsageError(f"the output `{self.name}` is the file to read", help="choose another name with `-o`")

    def _check(self) -> None:
        folder = os.path.dirname(self._path)
        if os.path.isdir(self._path) or self.name.endswith(os.sep):
            raise self._refusal("it is a directory")
        if not os.path.isdir(folder):
            raise self._refusal(f"there is no directory `{os.path.dirname(self.name)}`")
        if os.path.exists(self._path) and not os.access(self._path, os.W_OK):
            raise self._refusal("permission denied")
        if not self._is_device() and not os.access(folder, os.W_OK | os.X_OK):
            raise self._refusal("its directory is not writable")

    def _is_device(self) -> bool:
        return os.path.exists(self._path) and not os.path.isfile(self._path)

    def _refusal(self, reason: str) -> UsageError:
        return UsageError(f"cannot write `{self.name}`: {reason}", help="choose another path with `-o`")

    def write(self, content: Content) -> None:
        try:
            if self._is_device():
                with open(self._path, "wb") as device:
                    device.writelines(_encoded(content))
            else:
                _replace(self._path, _encoded(content))
        except BrokenPipeError:
            raise
        except OSError as failure:
            raise self._refusal((failure.strerror or str(failure)).lower()) from None


def _encoded(content: Content, encoding: str = "utf-8", errors: str = "strict") -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, str):
        yield content.encode(encoding, errors)
    else:
        for piece in content:
            yield piece.encode(encoding, errors)


def _replace(path: str, content: Iterable[bytes]) -> None:
    # Made by `os.open` and not by `tempfile`, whose files only their owner could read.
    draft = os.path.join(os.path.dirname(path), f".gradviz-{secrets.token_hex(8)}")
    try:  # Ctrl-C may come as soon as the draft is there
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with open(descriptor, "wb") as stream:
            stream.writelines(content)
        with suppress(FileNotFoundError):
            os.chmod(draft, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


@dataclass(frozen=True, slots=True)
class Stdout:
    """Standard output. What its encoding cannot write of a text is replaced by a question mark."""

    stream: BinaryIO
    encoding: str = "utf-8"

    def write(self, content: Content) -> None:
        try:
            for encoded in _encoded(content, self.encoding, "replace"):
                rest = memoryview(encoded)
                while rest:  # with `python -u` a write takes as much as the pipe has room for
                    rest = rest[self.stream.write(rest) :]
            self.stream.flush()
        except OSError as failure:
            self._discard()
            if isinstance(failure, BrokenPipeError):
                raise ClosedPipe from None
            reason = (failure.strerror or str(failure)).lower()
            raise UsageError(f"cannot write to standard output: {reason}", help="write to a file with `-o`") from None

    def _discard(self) -> None:
        """Let what is still buffered go nowhere, else Python would try again at exit, and complain."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextmanager
def reserved_stdout(*, keep: bool) -> Iterator[Stdout]:
    """The real standard output for the drawing alone; what anyone else prints meanwhile goes to standard error.

    That is done below Python, so it holds for programs that the script starts. With `keep` it stays so afterwards, for
    what the script's exit handlers print.
    """
    real = _divert_stdout()
    stream = open(real, "wb", closefd=False)  # noqa: SIM115
    try:
        yield Stdout(stream, _encoding())
    finally:
        stream.close()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        if not keep:
            os.dup2(real, 1)
        os.close(real)


def _divert_stdout() -> int:
    try:
        sys.stdout.flush()
        real = os.dup(1)
        os.dup2(2, 1)
    except (OSError, AttributeError):  # Python has no `sys.stdout` where it is closed
        raise UsageError("standard output or standard error is closed", help="write to a file with `-o`") from None
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in step with what goes to standard error
    return real


@contextmanager
def shared_stdout() -> Iterator[Stdout]:
    """Standard output where nobody else writes."""
    yield Stdout(sys.stdout.buffer, _encoding())


def _encoding() -> str:
    return sys.stdout.encoding if sys.stdout is not None else "utf-8"


def terminal_of_stdout() -> tuple[int, bool]:
    """Columns of standard output, and whether it takes colours; `COLUMNS`, `NO_COLOR` and `FORCE_COLOR` have a say."""
    from rich.console import Console

    console = Console()
    return console.width, console.color_system is not None and not console.no_color
