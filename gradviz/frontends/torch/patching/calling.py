"""Calling for the user: what a recording runs in a call's place warns and raises as if nobody stood in between.

PyTorch warns at the line of the innermost Python frame, in the name of that frame's module and once for each line; with
a recording that would be the recording's own. So the call is made by a stand-in: a function with the file, the line,
the name and the globals of the frame that it stands in for. A traceback gets neither its entry nor that of the
recording: an exception that is raised again by a bare `raise` keeps the traceback that it carries.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any

from torch.overrides import handle_torch_function

from gradviz.sites import STAND_IN

StandIn = Callable[[Any, Any, Any], Any]

LIMIT = 20_000
"""Most code objects with stand-ins; a program that compiles code in a loop must not grow for it."""

_HANDING = handle_torch_function.__code__

OWN_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
"""Where all files of this front end lie: a frame of theirs is nobody's."""

_stand_ins: dict[int, tuple[CodeType, dict[int, StandIn]]] = {}


def stand_in(frame: FrameType) -> StandIn:
    """A function `(func, args, kwargs) -> func(*args, **kwargs)` that looks like `frame` at its present line."""
    code = frame.f_code
    try:
        return _stand_ins[id(code)][1][frame.f_lasti]
    except KeyError:
        return _make(frame)


def strip_own(error: BaseException) -> None:
    """Take the recording's entries off the outer end of the traceback of an exception that was just caught.

    To be followed by a bare `raise`, which adds none for its own frame.
    """
    entry = error.__traceback__
    while entry is not None and is_own(entry.tb_frame.f_code):
        entry = entry.tb_next
    error.__traceback__ = entry


def is_own(code: CodeType) -> bool:
    """Whether a frame of `code` is the recording's own, or a stand-in's."""
    return code.co_varnames == STAND_IN or code.co_filename.startswith(OWN_FOLDER)


def _make(frame: FrameType) -> StandIn:
    code = frame.f_code
    if code is _HANDING and frame.f_back is not None and frame.f_back.f_back is not None:
        # A function of PyTorch's that is written in Python asks by itself who overrides it, and is called once more:
        # whoever called it the first time is its caller. There are many of these, so nothing is kept under this code.
        return stand_in(frame.f_back.f_back)
    if len(_stand_ins) >= LIMIT:
        _stand_ins.clear()
    _, made = _stand_ins.setdefault(id(code), (code, {}))
    looks = _call.__code__.replace(
        co_filename=code.co_filename,
        co_firstlineno=frame.f_lineno or code.co_firstlineno,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
    )
    function: Any = FunctionType(looks, frame.f_globals)
    made[frame.f_lasti] = function
    return function  # type: ignore[no-any-return]


# On one line, so that every instruction of it is on the line that the stand-in is given. Its variables are `STAND_IN`.
_call = lambda _func, _args, _kwargs: _func(*_args, **_kwargs)  # noqa: E731
