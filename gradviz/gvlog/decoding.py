"""One record of a log, from parsed JSON back to an event, as the types of the fields in `events` say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from gradviz import events
from gradviz.drafts import draft_of
from gradviz.events import End, Event, Header, Note, Op

TAGS: Mapping[type, str] = {
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
    events.Module: "module",
    events.Work: "work",
    events.Statement: "statement",
    events.Sweep: "sweep",
    events.Clock: "clock",
    events.Measure: "measure",
    events.Error: "error",
    Note: "note",
    End: "end",
}
"""The one key of each record's line."""


class Mismatch(ValueError):
    """A record that has not the form that `events` gives it; the message says where."""


def op(body: Any) -> Op:
    """The record of an op, by far the most frequent one. Raises `Mismatch`, `TypeError` or `ValueError`."""
    if len(body) == 5:
        id, signature, site, context, inputs = body
        forgotten = 0
    else:
        id, signature, site, context, inputs, forgotten, *_ = body
    if not (
        id.__class__ is signature.__class__ is context.__class__ is forgotten.__class__ is int
        and (site is None or site.__class__ is int)
    ):
        raise Mismatch("an op refers to something by other than a number")
    # Without a loop for the many that take one or two values.
    if len(inputs) == 2 and (first := inputs[0]).__class__ is (second := inputs[1]).__class__ is int:
        past: tuple[int | str, ...] = id - first, id - second
    elif len(inputs) == 1 and (first := inputs[0]).__class__ is int:
        past = (id - first,)
    else:
        past = tuple([id - item if item.__class__ is int else _literal(item) for item in inputs])
    made = draft_of(Op)(id, signature, site, context, past, forgotten)
    made.__class__ = Op
    return made  # type: ignore[no-any-return]


def _literal(item: object) -> str:
    if not isinstance(item, str):
        raise Mismatch("an input of an op is neither a number nor a text")
    return item


class Decoder:
    """Turns parsed JSON into records, as the types of their fields in `events` say; counts what is not known here."""

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self._records = {tag: record for record, tag in TAGS.items()}
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
        """`value` as an instance of the type `hint`. Raises `Mismatch`."""
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
                    except Mismatch as mismatch:
                        raise Mismatch(f"`{name}` of `{record.__name__}`: {mismatch}") from None
                    if result is not _UNKNOWN:
                        held[name] = result
            missing = required - held.keys()
            if missing:
                raise Mismatch(f"`{record.__name__}` has no `{min(missing)}`")
            return record(**held)

        return read

    def _tuple_reader(self, kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
        if kinds[-1] is Ellipsis:
            return lambda value: tuple([self.read(kinds[0], item) for item in _exactly(list, value)])

        def read(value: Any) -> Any:
            if len(_exactly(list, value)) != len(kinds):
                raise Mismatch(f"there are {len(value)} items where {len(kinds)} belong")
            return tuple([self.read(kind, item) for kind, item in zip(kinds, value, strict=True)])

        return read

    def _word(self, kind: type[StrEnum], value: object) -> object:
        try:
            return kind(_exactly(str, value))
        except Mismatch:
            raise
        except ValueError:
            self.unknown[f"{kind.__name__.lower()} `{value}`"] += 1
            return _UNKNOWN


_UNKNOWN = object()
"""Stands for a word that a newer schema added: its field keeps its default."""


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise Mismatch(f"expected {_JSON_NAMES[kind]}, found {_JSON_NAMES.get(type(value), 'null')}")
    return value


def _float(value: object) -> float:
    if value in ("nan", "inf", "-inf") or type(value) in (int, float):
        return float(value)  # type: ignore[arg-type]
    raise Mismatch(f"expected a number, found {_JSON_NAMES.get(type(value), 'null')}")


_JSON_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "an array",
    dict: "an object",
}
