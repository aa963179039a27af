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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache, lru_cache
from itertools import chain
from time import monotonic
from types import NoneType
from typing import Any, TextIO, TypeAlias, get_args, get_origin, get_type_hints

from gradviz import events
from gradviz.errors import LogError, UsageError
from gradviz.events import SCHEMA, End, Event, Header, Note, Op

FLUSH_RECORDS = 1000
FLUSH_SECONDS = 0.5

_TAGS: Mapping[type, str] = {
    Header: "gradviz",
    events.Site: "site",
    events.Signature: "signature",
    events.Context: "context",
    events.Region: "region",
    events.RegionEnd: "region_end",
    Op: "op",
    events.Name: "name",
    events.RequiresGrad: "requires_grad",
    events.Optimizer: "optimizer",
    events.Act: "act",
    events.Sweep: "sweep",
    events.Error: "error",
    Note: "note",
    End: "end",
}
_BLOCK_BYTES = 1 << 14
"""How much is parsed at a time. More is slower: what is parsed lives until its block ends and burdens the collector."""


OpFields: TypeAlias = tuple[int, int, int | None, int, tuple[events.Input, ...]]
"""An op as the fields of its record: `Op(*fields)`. Making the record itself takes as long as writing it."""


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
            id = event.id
            # Inputs as distances from the op: they are mostly near, and their absolute ids would be half of the line.
            inputs = [f"{id - item}" if item.__class__ is int else _quoted(item) for item in event.inputs]
            site = "null" if event.site is None else event.site
            more = f",{event.forgotten}" if event.forgotten else ""
            line = f'{{"op":[{id},{event.signature},{site},{event.context},[{",".join(inputs)}]{more}]}}\n'
        else:
            line = f'{{"{_TAGS[type(event)]}":{_JSON.encode(_plain(event))}}}\n'
        self._lines.append(line)
        if self._is_due():
            self.flush()

    def emit_ops(self, rows: Sequence[OpFields]) -> None:
        """Write ops, each given as the first five fields of its record."""
        append = self._lines.append
        for id, signature, site, context, inputs in rows:
            given = [f"{id - item}" if item.__class__ is int else _quoted(item) for item in inputs]
            place = "null" if site is None else site
            append(f'{{"op":[{id},{signature},{place},{context},[{",".join(given)}]]}}\n')
        if self._is_due():
            self.flush()

    def _is_due(self) -> bool:
        waiting = len(self._lines)
        if self._early:  # a program that hangs or dies at once is the one whose last op is looked for
            self._early = max(0, self._early - waiting)
            return True
        return waiting >= FLUSH_RECORDS or monotonic() - self._flushed >= FLUSH_SECONDS

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


_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_quoted = lru_cache(maxsize=512)(_JSON.encode)


def _plain(value: object) -> object:
    """`value` in terms of JSON: records as objects without the fields that have their default, tuples as arrays."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if not is_dataclass(value):
        return value
    return {
        name: _plain(held)
        for name, default in _defaults(value.__class__)
        if (held := getattr(value, name)) != default or name == "schema"
    }


@cache
def _defaults(record: type) -> tuple[tuple[str, object], ...]:
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
        self.decoder = _Decoder()
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
        except _Mismatch as mismatch:
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
                event = _op(body) if tag == "op" else self.decoder.event(tag, body)
                if type(event) is Header:
                    raise _Mismatch("a second recording begins")
            except (AttributeError, TypeError, ValueError) as mismatch:
                what = str(mismatch) if isinstance(mismatch, _Mismatch) else "it does not have the form of a record"
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


class _Mismatch(ValueError):
    """A record that has not the form that `events` gives it; the message says where."""


def _op(body: Any) -> Op:
    if len(body) == 5:
        id, signature, site, context, inputs = body
        forgotten = 0
    else:
        id, signature, site, context, inputs, forgotten, *_ = body
    for number in (id, signature, context, forgotten, 0 if site is None else site):
        if number.__class__ is not int:
            raise _Mismatch("an op refers to something by other than a number")
    past = [id - item if item.__class__ is int else _literal(item) for item in inputs]
    return Op(id, signature, site, context, tuple(past), forgotten)


def _literal(item: object) -> str:
    if not isinstance(item, str):
        raise _Mismatch("an input of an op is neither a number nor a text")
    return item


class _Decoder:
    """Turns parsed JSON into records, as the types of their fields in `events` say; counts what is not known here."""

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self._records = {tag: record for record, tag in _TAGS.items()}
        self._readers: dict[object, Callable[[Any], Any]] = {}

    def event(self, tag: str, body: object) -> Event | None:
        """The record, or None for a tag of a newer schema."""
        record = self._records.get(tag)
        if record is None:
            self.unknown[f"record `{tag}`"] += 1
            return None
        event: Event = self.read(record, body)
        return event

    def read(self, hint: Any, value: Any) -> Any:
        """`value` as an instance of the type `hint`. Raises `_Mismatch`."""
        reader = self._readers.get(hint)
        if reader is None:
            reader = self._readers[hint] = self._reader(hint)
        return reader(value)

    def _reader(self, hint: Any) -> Callable[[Any], Any]:
        if get_origin(hint) is tuple:
            return self._tuple_reader(get_args(hint))
        if NoneType in get_args(hint):
            (other,) = (kind for kind in get_args(hint) if kind is not NoneType)
            return lambda value: None if value is None else self.read(other, value)
        if is_dataclass(hint):
            return self._record_reader(hint)
        if issubclass(hint, StrEnum):
            return lambda value: self._word(hint, value)
        return _float if hint is float else lambda value: _exactly(hint, value)

    def _record_reader(self, record: Any) -> Callable[[Any], Any]:
        hints = get_type_hints(record)
        required = {field.name for field in fields(record) if field.default is MISSING}

        def read(value: Any) -> Any:
            held = {}
            for name, item in _exactly(dict, value).items():
                if name in hints:
                    try:
                        result = self.read(hints[name], item)
                    except _Mismatch as mismatch:
                        raise _Mismatch(f"`{name}` of `{record.__name__}`: {mismatch}") from None
                    if result is not _UNKNOWN:
                        held[name] = result
            missing = required - held.keys()
            if missing:
                raise _Mismatch(f"`{record.__name__}` has no `{min(missing)}`")
            return record(**held)

        return read

    def _tuple_reader(self, kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
        if kinds[-1] is Ellipsis:
            return lambda value: tuple([self.read(kinds[0], item) for item in _exactly(list, value)])

        def read(value: Any) -> Any:
            if len(_exactly(list, value)) != len(kinds):
                raise _Mismatch(f"there are {len(value)} items where {len(kinds)} belong")
            return tuple([self.read(kind, item) for kind, item in zip(kinds, value, strict=True)])

        return read

    def _word(self, kind: type[StrEnum], value: object) -> object:
        try:
            return kind(_exactly(str, value))
        except _Mismatch:
            raise
        except ValueError:
            self.unknown[f"{kind.__name__.lower()} `{value}`"] += 1
            return _UNKNOWN


_UNKNOWN = object()
"""Stands for a word that a newer schema added: its field keeps its default."""


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise _Mismatch(f"expected {_JSON_NAMES[kind]}, found {_JSON_NAMES.get(type(value), 'null')}")
    return value


def _float(value: object) -> float:
    if value in ("nan", "inf", "-inf") or type(value) in (int, float):
        return float(value)  # type: ignore[arg-type]
    raise _Mismatch(f"expected a number, found {_JSON_NAMES.get(type(value), 'null')}")


_JSON_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "an array",
    dict: "an object",
}
