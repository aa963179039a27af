"""`check`: diagnose a graph, a recording, or a function that is run under one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gradviz.diagnose import Findings, diagnose
from gradviz.diagnose.choosing import codes_of
from gradviz.errors import UsageError
from gradviz.graphs import Graph
from gradviz.recorder import Recorder
from gradviz.snapshot import is_own, is_torch
from gradviz.tracebacks import hide_frames


def check(
    subject: Graph | Recorder | Callable[..., object],
    *arguments: Any,
    select: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    **keywords: Any,
) -> Findings:
    """Say which lines cost tensors their gradients, as `gradviz check` does. Print the result, or look through it.

    subject: a `Graph`, a recording, or a function, which is called with `arguments` and `keywords` and recorded.
    select, ignore: codes of rules or their beginnings (`"GV101"`, `["GV1", "GV2"]`): only those, or not those.

    What the function raises goes on to the caller, with the findings as a note below its message. Raises UsageError
    for what can be neither diagnosed nor called, and for a code that no rule has.
    """
    __tracebackhide__ = True
    selected, ignored = codes_of(select, "`select`"), codes_of(ignore, "`ignore`")
    graph = subject.graph() if isinstance(subject, Recorder) else subject
    if isinstance(graph, Graph):
        if arguments or keywords:
            raise UsageError("a graph takes no arguments", help="pass the graph alone, or the function to run")
        return diagnose(graph, select=selected, ignore=ignored)
    if not callable(graph):
        message = f"a `{type(subject).__name__}` can be neither diagnosed nor called"
        one = is_own(subject) or is_torch(subject)
        help = "`gradviz.explain` tells of one tensor" if one else "pass a graph, or the function to run"
        raise UsageError(message, help=help)
    recorder = Recorder()
    names = _names(graph, arguments, keywords)
    recorder.start()
    try:
        graph(*arguments, **keywords)
    except BaseException as raised:
        recorder.stop(raised, namespace=names)
        if isinstance(raised, Exception):
            findings = diagnose(recorder.graph(), select=selected, ignore=ignored)
            if findings:
                raised.add_note(f"\n{findings}")
        hide_frames(raised)
        raise
    recorder.stop(namespace=names)
    return diagnose(recorder.graph(), select=selected, ignore=ignored)


def _names(function: Callable[..., object], arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """What a call can name its tensors by: its own parameters, and the variables around it that it uses."""
    names: dict[str, Any] = {}
    try:
        names |= inspect.signature(function).bind(*arguments, **keywords).arguments
    except (TypeError, ValueError):  # not every callable says what it takes
        names |= keywords
    inner = inspect.unwrap(function.func if isinstance(function, functools.partial) else function)
    try:
        used = inspect.getclosurevars(inner)
    except (TypeError, ValueError):
        return names
    return {**used.globals, **used.nonlocals, **names}
