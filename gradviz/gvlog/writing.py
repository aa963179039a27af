"""Writing a log: one line a record, handed to the system while the program runs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import MISSING, fields
from functools import cache, lru_cache
from time import monotonic
from typing import Any, TextIO

from gradviz import events
from gradviz.events import Event, Gradient, Name, Op
from gradviz.gvlog.decoding import TAGS
from gradviz.interning import Row

FLUSH_RECORDS = 1000
FLUSH_SECONDS = 0.5


_PREPARING = frozenset({events.Site, events.Signature, events.Context})
"""What is told only because the next record refers to it; it goes out with that record."""


class LogWriter:
    """A sink that writes a log, to a path or to an open text stream. Only one thread at a time may call it.

    Lines are handed to the system whole: each of the first 1000 at once, but for those that only prepare the next one;
    then after every 1000 records and with the first record that comes half a second or more after the last time. What a
    killed process loses is what came since.
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
            if event.__class__ in _PREPARING:
                return
        self._flush_if_due()

    def emit_rows(self, rows: Sequence[Row]) -> None:
        """Write ops, each given as the first five fields of its record, and what comes between them."""
        add = self._lines.append
        quoted = _quoted
        for row in rows:
            if row.__class__ is not tuple:
                add(_line(row))  # type: ignore[arg-type]
                continue
            id, signature, site, context, inputs = row
            if site is None or not 0 < len(inputs) < 3:
                add(_op_line(id, signature, site, context, inputs))
                continue
            one = inputs[0]  # `_op_line`, written out for what most ops are
            given = id - one if one.__class__ is int else quoted(one)
            if len(inputs) == 2:
                other = inputs[1]
                given = f"{given},{id - other if other.__class__ is int else quoted(other)}"
            add(f'{{"op":[{id},{signature},{site},{context},[{given}]]}}\n')
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
    given = ",".join([f"{id - item}" if item.__class__ is int else _quoted(item) for item in inputs])
    place, more = "null" if site is None else site, f",{forgotten}" if forgotten else ""
    return f'{{"op":[{id},{signature},{place},{context},[{given}]{more}]}}\n'


def _line(event: Event) -> str:
    if type(event) is Name and event.role is None:  # of which a training step tells one for each of its gradients
        return f'{{"name":{{"value":{event.value},"name":{_quoted(event.name)}}}}}\n'
    return f'{{"{TAGS[type(event)]}":{_object(event)}}}\n'


_quoted = lru_cache(maxsize=4096)(json.JSONEncoder().encode)


def _object(record: Any) -> str:
    """A record as a JSON object, without the fields that have their default."""
    parts = []
    for name, default, key in _fields_of(record.__class__):
        held = getattr(record, name)
        if held != default:
            parts.append(key + _text(held))
    return "{" + ",".join(parts) + "}"


def _text(value: Any) -> str:
    """A field's value as JSON. Written out by kind: an encoder for all of JSON takes five times as long."""
    kind = value.__class__
    if kind is str:
        return _quoted(value)
    if kind is int:
        return str(value)
    if kind is tuple:
        return "[" + ",".join([_text(item) for item in value]) + "]"
    if kind is bool:
        return "true" if value else "false"
    if value is None:
        return "null"
    if kind is Gradient:
        return _gradient(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _quoted(str(value))
    return _object(value)


def _gradient(gradient: Gradient) -> str:
    # `_object`, written out for what a training step tells one of for each parameter.
    zero, nan = ',"zero":true' if gradient.zero else "", ',"nan":true' if gradient.nan else ""
    estimated = ',"estimated":true' if gradient.estimated else ""
    return f'{{"value":{gradient.value},"norm":{_text(gradient.norm)}{zero}{nan}{estimated}}}'


def _number(value: float) -> str:
    if math.isfinite(value):
        return float.__repr__(value)
    return '"nan"' if math.isnan(value) else '"inf"' if value > 0 else '"-inf"'


@cache
def _fields_of(record: type[Any]) -> tuple[tuple[str, object, str], ...]:
    """Name, default and JSON key of each field; a header's schema has a default, and is always written."""
    return tuple(
        (field.name, MISSING if field.name == "schema" else field.default, f'"{field.name}":')
        for field in fields(record)
    )
