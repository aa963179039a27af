"""The names under which a program holds its values: `w`, `layers[0]`, `params['w']`, `model.w`, `reference()`."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import CO_OPTIMIZED
from itertools import islice
from types import BuiltinFunctionType, FrameType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import cast

DEPTH_LIMIT = 4
"""Most steps from a variable to a value: `model.layers[0]` takes two, `agent.memory.entries[0]['q']` four."""

OBJECTS_LIMIT = 2
"""Most objects on the way whose attributes are looked into."""

ITEM_LIMIT = 1000
"""Most entries of one container that are looked at: names do not come from a data set."""

PLAIN = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), slice, range})
"""Types that are no value and hold none."""

CLOSED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
"""Types that lead away from the program's data; what they hold has better names elsewhere."""


def name_values(namespace: Mapping[str, object], take: Callable[[object, str], bool]) -> None:
    """Offer `take` each object that `namespace` leads to, once, with the shortest way to write it.

    `take` returns True for a value, which is not looked into. Variables come first, in the order of their definition
    and `_` last; then what is one step away, and so on; at the very end what only weak references lead to. Built-in
    containers are looked into, and, twice on the way, an object's own attributes; no code of the user's runs for that.
    """
    seen: set[int] = set()
    variables = sorted(namespace.items(), key=lambda item: item[0] == "_")
    level = [(text, value, OBJECTS_LIMIT) for text, value in variables]
    watched: list[tuple[str, weakref.ref[object]]] = []
    for _ in range(DEPTH_LIMIT + 1):
        following: list[tuple[str, object, int]] = []
        for text, value, openings in level:
            # By `type`, never `isinstance`: that would ask a `__class__` of the object's own.
            if type(value) in PLAIN or issubclass(type(value), CLOSED) or id(value) in seen:
                continue
            seen.add(id(value))
            if type(value) is weakref.ref:
                watched.append((f"{text}()", value))
                continue
            if take(value, text):
                continue
            following.extend((text + step, entry, openings) for step, entry in _entries(value))
            if openings:
                following.extend((f"{text}.{name}", entry, openings - 1) for name, entry in _attributes(value))
        level = following
    for text, reference in watched:
        target = reference()
        if target is not None and id(target) not in seen:
            seen.add(id(target))
            take(target, text)


def variables_of(frame: FrameType) -> dict[str, object]:
    """The variables of a frame, as a dict that nobody else holds.

    Up to Python 3.12 a function's frame keeps the dict that it is asked for, and so all that the dict holds, until the
    function returns; so it is emptied again, unless the program itself called `locals()` and holds it.
    """
    found = frame.f_locals
    variables = dict(found)
    if frame.f_code.co_flags & CO_OPTIMIZED and isinstance(found, dict) and sys.getrefcount(found) <= _OURS:
        found.clear()
    return variables


_OURS = 3
"""References to that dict where only the frame, this module and the count itself know of it."""


def _entries(value: object) -> Iterator[tuple[str, object]]:
    # Through the base's own iterator, also for a subclass: an override would be the user's code.
    if issubclass(type(value), dict):
        entries: Iterable[tuple[object, object]] = dict.items(cast(dict[object, object], value))
    elif issubclass(type(value), list):
        entries = enumerate(list.__iter__(cast(list[object], value)))
    elif issubclass(type(value), deque):
        entries = enumerate(deque.__iter__(cast(deque[object], value)))
    elif issubclass(type(value), tuple):
        entries = enumerate(tuple.__iter__(cast(tuple[object, ...], value)))
    else:
        return
    for key, entry in islice(entries, ITEM_LIMIT):
        if type(key) in (str, int, bool):
            yield f"[{key!r}]", entry


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = {}
    if type(own) is dict:
        yield from list(own.items())[:ITEM_LIMIT]
    for kind in type(value).__mro__:
        if "__slots__" in vars(kind):
            for name, member in list(vars(kind).items()):
                if type(member) is MemberDescriptorType:
                    try:
                        yield name, member.__get__(value)
                    except AttributeError:  # a slot that was never filled
                        continue
