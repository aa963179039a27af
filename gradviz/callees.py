"""Callees: what the user's code calls a module that it runs: `net`, `agent.net`, `model.2` for `model[2](x)`.

The text of the call says which variable it begins with, and the frame says what that leads to. So a part of a model
goes by its path in the model however it was picked: by `model[i]`, by a loop over `model.blocks`, or by a method that
calls it `self.encoder`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import CO_OPTIMIZED
from itertools import islice, takewhile
from types import FrameType
from typing import Any, NamedTuple

from gradviz import walking
from gradviz.naming import ITEM_LIMIT, variables_of
from gradviz.sites import decode, is_user_file
from gradviz.walking import is_module

FRAMES_LIMIT = 8
"""Most functions outwards that are asked what they call the object whose method calls a module."""

_OWN = "self."

_REGISTERED = frozenset({"_modules", "_parameters", "_buffers"})
"""What a module keeps by name for all to ask of."""

_CALLED = re.compile(r"([^\W\d]\w*)((?:\.[^\W\d]\w*|\[[^][()]*\])*)\(")
_STEP = re.compile(r"\.(\w+)|\[[^]]*\]")


def function_name(function: Any) -> str:
    """What a function that was handed over is called: `zero`, `Watcher.clip`, `lambda`, or the class of an object."""
    while hasattr(function, "func"):  # of a `functools.partial`
        function = function.func
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if not isinstance(name, str):
        name = type(function).__name__
    return name.rpartition("<locals>.")[2].replace("<lambda>", "lambda")


class Callee(NamedTuple):
    """What code calls a module, and the module around it that the code began with, as `self` in `self.encoder(x)`."""

    name: str
    around: Any = None
    around_name: str = ""


_UNKNOWN = Callee("")


def callee(frame: FrameType, module: Any) -> Callee:
    """What the code at `frame` calls `module`, which it calls; empty where that cannot be told from it.

    Where that is a library's code, the user's variables around it are asked whose part the module is.
    No code of the user's runs for it, and no variable lives longer.
    """
    if not is_user_file(frame.f_code.co_filename):
        return _held(frame, module)
    place = decode(frame.f_code, frame.f_lasti)
    found = _CALLED.match(place.text, max(place.column, 0))
    if found is None:
        return _UNKNOWN
    root, steps = found[1], found[2]
    local = _locals(frame)
    variables = local if root in local else frame.f_globals
    if root not in variables:
        return _UNKNOWN
    holder = variables[root]
    if steps:
        road = _road(holder, steps, module)
        if road is None:
            return _UNKNOWN
        name = _outer(frame, root, holder)
        return Callee(name + road, holder, name) if is_module(holder) else Callee(name + road)
    if holder is not module:
        return _UNKNOWN
    before = takewhile(lambda item: item[0] != root, list(variables.items()))
    name = next(_parts(before, module), root)
    if name.startswith(_OWN):
        name = _outer(frame, "self", variables["self"]) + name.removeprefix("self")
    return Callee(name)


def _held(frame: FrameType, module: Any) -> Callee:
    """What the user's code that called the library's at `frame` calls `module`, or the module that it is a part of."""
    place: FrameType | None = frame
    while place is not None and not is_user_file(place.f_code.co_filename):
        place = place.f_back
    for name, value in (_locals(place) | place.f_globals).items() if place is not None else ():
        if value is module:
            return Callee(name)
        path = next(_within(value, module), "") if is_module(value) else ""
        if path:
            return Callee(f"{name}.{path}", value, name)
    return _UNKNOWN


def _locals(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame; for a comprehension also those of the function that it stands in."""
    found = variables_of(frame)
    is_inner = frame.f_code.co_flags & CO_OPTIMIZED and frame.f_code.co_name.startswith("<")
    return variables_of(frame.f_back) | found if is_inner and frame.f_back is not None else found


def _outer(frame: FrameType, name: str, holder: Any) -> str:
    """What callers call the object that `frame` calls `self`; `self` where none of them has a name for it."""
    place: FrameType | None = frame.f_back
    looked = 0
    while name == "self" and place is not None and looked < FRAMES_LIMIT:
        if is_user_file(place.f_code.co_filename):
            looked += 1
            variables = variables_of(place)
            others = [item for item in variables.items() if item[0] not in ("self", "_")]
            same = next((text for text, value in others if value is holder), "")
            name = same or next(_parts(others, holder), name)
        place = place.f_back
    return name


def _parts(variables: Iterable[tuple[str, Any]], module: Any) -> Iterator[str]:
    """The ways by which variables lead to `module` as a part of what they hold."""
    for name, value in variables:
        if is_module(value):
            yield from (f"{name}.{path}" for path in _within(value, module))
        else:
            yield from (f"{name}{road}" for road in _entries(value, module))


def _road(holder: Any, steps: str, module: Any) -> str | None:
    """How `steps` lead from `holder` to `module`, as its parameters are called; None where they lead elsewhere."""
    road = ""
    for step in _STEP.finditer(steps):
        if is_module(holder):
            break
        if step[1] is None:
            found = next(_entries(holder, module), None)
            return None if found is None else road + found
        try:
            own = object.__getattribute__(holder, "__dict__")
        except AttributeError:
            own = {}
        if step[1] not in own:  # a property, or something else that only the user's code can tell
            return steps
        road += step[0]
        holder = own[step[1]]
    if not is_module(holder):
        return None
    path = next(_paths(holder, module), None) if holder is module else next(_within(holder, module), None)
    return None if path is None else f"{road}.{path}" if path else road


def _entries(container: Any, module: Any) -> Iterator[str]:
    """The entries of a list, a tuple or a dict that are `module`, then those that it is a part of."""
    if type(container) not in (list, tuple, dict):
        return
    pairs = container.items() if type(container) is dict else enumerate(container)
    entries = [(key, entry) for key, entry in islice(pairs, ITEM_LIMIT) if is_module(entry)]
    yield from (f"[{key!r}]" for key, entry in entries if entry is module)
    for key, entry in entries:
        yield from (f"[{key!r}].{path}" for path in _paths(entry, module) if path)


def _within(holder: Any, module: Any) -> Iterator[str]:
    """The paths of `module` in the module `holder`, also as a part of what that keeps in a plain list or dict."""
    yield from (path for path in _paths(holder, module) if path)
    for own, value in list(walking.attributes(holder).items()):
        if own not in _REGISTERED:
            yield from (own + entry for entry in _entries(value, module))


def _paths(holder: Any, module: Any) -> Iterator[str]:
    return (name for name, part in walking.parts(holder) if part is module)
