"""The log file: the events of a recording, one JSON object a line; `docs/log-format.md` describes it for other readers.

    {"gradviz":{"producer":"core","target":"train.py","schema":[1,0]}}
    {"site":{"id":0,"file":"train.py","line":4,"target":"x"}}
    {"op":[2,1,0,0,[1,"2"]]}

Each line is an object with one key, the record's tag. Its value holds the record's fields by name, those that have
their default left out. Only an op, of which there may be millions, is an array.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from itertools import chain
from time import monotonic
from typing import Any, TextIO, TypeAlias, cast

from gradviz import events
from gradviz.decoding import TAGS, Decoder, Mismatch, op
from gradviz.errors import LogError, UsageError
from gradviz.events import SCHEMA, Event, Header, Name, Note, Op

FLUSH_RECORDS = 1000
FLUSH_SECONDS = 0.5

_BLOCK_BYTES = 1 << 14
"""How much is parsed at a time. More is slower: what is parsed lives until its block ends and burdens the collector."""


Row: TypeAlias = events.Name | tuple[int, int, int | None, int, tuple[events.Input, ...]]
"""A name, or an op as the fields of its record: `Op(*fields)`. Making the record takes as long as writing it."""


class LogWriter:
    """A sink that writes a log, to a path or to an open text stream. Only one thread at a time may call it.

    Lines are handed to the system whole: each of the first 1000 at once, then after every 1000 records and with the
    first record that comes half a second or more after the last time. What a killed process loses is what came since.
    Nothing is written after a write has failed, so the file stays readable up to there. Raises `OSError` where it
    cannot be written.
    """

    def __init__(self, target: str | os.PathLike[str] | TextIO) -> None:
        self._owned = isinstance(target, (str, os.PathLike))
        self._stream: TextIO = (
            open(target, "w", encoding="ascii", newline="\n")  # noqa: SIM115
            if isinstance(target, (str, os.PathLike))
            else target
        )
        self._lines: list[str] = []
        self._flushed = -math.inf
        self._early = FLUSH_RECORDS
        self._failure: OSError | None = None

    def emit(self, event: Event) -> None:
        """Write one record."""
        if type(event) is Op:
            fields = event.id, event.signature, event.site, event.context, event.inputs, event.forgotten
            self._lines.append(_op_line(*fields))
        else:
            self._lines.append(_line(event))
        self._flush_if_due()

    def emit_rows(self, rows: Sequence[Row]) -> None:
        """Write ops, each given as the first five fields of its record, and names."""
        add = self._lines.append
        for row in rows:
            add(_line(row) if isinstance(row, Name) else _op_line(*row))
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        waiting = len(self._lines)
        if self._early:  # a program that hangs or dies at once is the one whose last op is looked for
            self._early = max(0, self._early - waiting)
            self.flush()
        elif waiting >= FLUSH_RECORDS or monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hand every record so far to the system, where it outlives this process."""
        if self._failure is not None:
            raise self._failure
        text = "".join(self._lines)
        self._lines.clear()
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as failure:
            # Part of a line may have gone out; whatever followed it would be taken for damage.
            self._failure = failure
            raise
        self._flushed = monotonic()

    def close(self) -> None:
        """Flush, and close the file if this writer opened it. A second call does nothing."""
        if self._stream.closed:
            return
        try:
            self.flush()
        finally:
            if self._owned:
                self._stream.close()


def _op_line(
    id: int, signature: int, site: int | None, context: int, inputs: Sequence[int | str], forgotten: int = 0
) -> str:
    # Inputs as distances from the op: they are mostly near, and their absolute ids would be half of the line.
    if len(inputs) == 2:  # written out, because most ops have two
        one, other = inputs
        given = (
            f"{id - one if one.__class__ is int else _quoted(one)},"
            f"{id - other if other.__class__ is int else _quoted(other)}"
        )
    else:
        given = ",".join([f"{id - item}" if item.__class__ is int else _quoted(item) for item in inputs])
    place, more = "null" if site is None else site, f",{forgotten}" if forgotten else ""
    return f'{{"op":[{id},{signature},{place},{context},[{given}]{more}]}}\n'


def _line(event: Event) -> str:
    if type(event) is Name and event.role is None:  # of which a training step tells one for each of its gradients
        return f'{{"name":{{"value":{event.value},"name":{_quoted(event.name)}}}}}\n'
    return f'{{"{TAGS[type(event)]}":{_encode(_plain(event))}}}\n'


_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_encode = _JSON.encode
_quoted = lru_cache(maxsize=4096)(_encode)


def _plain(value: object) -> object:
    """`value` in terms of JSON: records as objects without the fields that have their default, tuples as arrays."""
    kind: Any = value.__class__
    if kind in _SIMPLE:
        return value
    if kind is tuple:
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return {
        name: _plain(held)
        for name, default in _defaults(kind)
        if (held := getattr(value, name)) != default or name == "schema"
    } if is_dataclass(value) else value


_SIMPLE = frozenset({int, str, bool, type(None)})


@cache
def _defaults(record: type[Any]) -> tuple[tuple[str, object], ...]:
    return tuple((field.name, field.default) for field in fields(record))


# reading


def is_log(path: str | os.PathLike[str]) -> bool:
    """Whether the file at `path` begins as a log does; false for what cannot be read."""
    try:
        with open(path, "rb") as stream:
            return re.match(rb'\s*\{\s*"gradviz"\s*:', stream.read(256)) is not None
    except OSError:
        return False


def read_log(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The records of the log at `path`, read as they are asked for; the header is read and checked at once.

    Records, fields and words that a newer minor schema added are left out, and a last line that was cut off is too. A
    `Note` at the end tells of each: kind `newer`, `truncated`, or `unfinished` where there is no `End` record. Raises
    `UsageError` where the file cannot be opened, `LogError` where it is not a log, has a newer major schema, or is
    damaged before its last line.
    """
    records = _Reader(os.fspath(path)).records()
    return chain([next(records)], records)


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
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
                event = op(body) if tag == "op" else self.decoder.event(tag, body)
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
