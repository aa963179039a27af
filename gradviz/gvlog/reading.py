"""Reading a log: its records as they are asked for, and what to say of a log that is torn, newer or damaged."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import chain

from gradviz.errors import LogError, UsageError
from gradviz.events import SCHEMA, Event, Header, Note
from gradviz.gvlog.decoding import Decoder, Mismatch, op
from gradviz.progress import Step

_BLOCK_BYTES = 1 << 14
"""How much is parsed at a time. More is slower: what is parsed lives until its block ends and burdens the collector."""


def is_log(path: str | os.PathLike[str]) -> bool:
    """Whether the file at `path` begins as a log does; false for what cannot be read."""
    try:
        with open(path, "rb") as stream:
            return re.match(rb'\s*\{\s*"gradviz"\s*:', stream.read(256)) is not None
    except OSError:
        return False


def read_log(path: str | os.PathLike[str], step: Step | None = None) -> Iterator[Event]:
    """The records of the log at `path`, read as they are asked for; the header is read and checked at once.

    step   is told how many bytes have been read

    Records, fields and words that a newer minor schema added are left out, and a last line that was cut off is too. A
    `Note` at the end tells of each: kind `newer`, `truncated`, or `unfinished` where there is no `End` record. Raises
    `UsageError` where the file cannot be opened, `LogError` where it is not a log, has a newer major schema, or is
    damaged before its last line.
    """
    records = _Reader(os.fspath(path), step or Step("reading")).records()
    return chain([next(records)], records)


class _Reader:
    def __init__(self, path: str, step: Step) -> None:
        self.path = path
        self.step = step
        self.decoder = Decoder()
        self.ended = False
        self.torn = False

    def records(self) -> Iterator[Event]:
        try:
            stream = open(self.path, "rb")  # noqa: SIM115
        except OSError as failure:
            reason = (failure.strerror or str(failure)).lower()
            raise UsageError(f"cannot read `{self.path}`: {reason}") from None
        with stream:
            yield self._header(stream.readline())
            number = 2
            lines = stream.readlines(_BLOCK_BYTES)
            while lines:
                following = stream.readlines(_BLOCK_BYTES)
                yield from self._block(lines, number, last=not following)
                number += len(lines)
                self.step.done = stream.tell()
                lines = following
        if self.torn:
            yield Note("truncated", f"the last line of the log, line {number - 1}, was cut off and is left out")
        if not self.ended:
            yield Note("unfinished", "the log has no end: its writer was killed, or is still writing")
        for what, count in sorted(self.decoder.unknown.items()):
            yield Note("newer", f"the log is from a newer gradviz: its {what} is left out", count)

    def _header(self, line: bytes) -> Header:
        if not line:
            raise LogError(f"`{self.path}` is empty, not a gradviz log", help=_HELP)
        try:
            body = json.loads(line)["gradviz"]
            major, minor = body.get("schema")
            supported = type(major) is int and type(minor) is int and major == SCHEMA[0]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise LogError(f"`{self.path}` is not a gradviz log", help=_HELP) from None
        if not supported:
            raise LogError(
                f"`{self.path}` has log schema {major}.{minor}, and this gradviz reads {SCHEMA[0]}.x",
                help="read it with the version of gradviz that wrote it, or a newer one",
            )
        try:
            header: Header = self.decoder.read(Header, body)
        except Mismatch as mismatch:
            raise self._damage(1, str(mismatch)) from None
        return header

    def _block(self, lines: list[bytes], number: int, *, last: bool) -> Iterator[Event]:
        """The records of `lines`, the first of which is line `number` of the file."""
        try:
            # One call for many lines takes half the time of one call for each.
            parsed = json.loads(b"[" + b",".join(lines) + b"]")
        except (ValueError, RecursionError):
            parsed = []
        if len(parsed) != len(lines):
            parsed = [
                self._parsed(line, number + index, last=last and index == len(lines) - 1)
                for index, line in enumerate(lines)
            ]
        for at, item in enumerate(parsed, number):
            if item is _NOTHING:
                continue
            try:
                ((tag, body),) = item.items()
                if tag == "op":
                    yield op(body)
                    continue
                event = self.decoder.event(tag, body)
                if type(event) is Header:
                    raise Mismatch("a second recording begins")
            except (AttributeError, TypeError, ValueError) as mismatch:
                what = str(mismatch) if isinstance(mismatch, Mismatch) else "it does not have the form of a record"
                raise self._damage(at, what) from None
            if event is not None:
                self.ended = self.ended or tag == "end"
                yield event

    def _parsed(self, line: bytes, number: int, *, last: bool) -> object:
        """One line as JSON; `_NOTHING` where it is blank, or the last one and cut off."""
        if not line.strip():
            return _NOTHING
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            if not last:
                raise self._damage(number, "it is not JSON") from None
            self.torn = True
            return _NOTHING

    def _damage(self, number: int, what: str) -> LogError:
        return LogError(f"`{self.path}` is damaged at line {number}: {what}", help="record it again")


_NOTHING = object()
_HELP = "make one with `gradviz record SCRIPT -o LOG`"
