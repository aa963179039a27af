"""Frames: from the stack at a call to the user's place, past the frames that PyTorch puts in between."""

from __future__ import annotations

import os
from types import CodeType, FrameType

import torch

from gradviz.sites import CODE_LIMIT, Spot, call_path

_TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_BETWEEN = frozenset(
    os.path.join(_TORCH, *parts)
    for parts in (
        ("overrides.py",), ("_tensor.py",), ("functional.py",), ("_jit_internal.py",), ("nn", "functional.py"),
        ("utils", "_contextlib.py"),
    )
)  # fmt: skip
"""Files of PyTorch whose frames are part of a call, not callers of it."""

_INNER = tuple(
    os.path.join(_TORCH, *parts)
    for parts in (("optim", ""), ("nn", "init.py"), ("nn", "parameter.py"), ("nn", "modules", "module.py"))
)
"""PyTorch's own work on parameters, told of in other ways: steps, initial values, copies, moves and `zero_grad`."""

_HERE = os.path.dirname(os.path.abspath(__file__))


class _Part:
    """What a code object is to a call into PyTorch: `inner` or `between`, see below. It is kept, so its `id` is too."""

    __slots__ = ("between", "code", "inner")

    def __init__(self, code: CodeType) -> None:
        file = code.co_filename
        self.code = code
        self.inner = file.startswith(_INNER)
        self.between = file in _BETWEEN or file.startswith(_HERE)


_parts: dict[int, _Part] = {}


def _part(code: CodeType) -> _Part:
    part = _parts.get(id(code))
    if part is None:
        if len(_parts) >= CODE_LIMIT:
            _parts.clear()
        part = _parts[id(code)] = _Part(code)
    return part


def is_inner(frame: FrameType) -> bool:
    """Whether a call from `frame` is PyTorch's own work on parameters, which no user wrote."""
    part = _part(frame.f_code)
    return _part(caller(frame).f_code).inner if part.between else part.inner


def caller(frame: FrameType) -> FrameType:
    """The innermost frame that made a call, from the frame that the mode was entered from."""
    place = frame
    while place.f_back is not None and between(place.f_code):
        place = place.f_back
    return place


def between(code: CodeType) -> bool:
    """Whether a frame of `code` is part of a call into PyTorch."""
    return _part(code).between


def place_of_call(frame: FrameType) -> tuple[tuple[Spot, ...], bool]:
    """The user's call path, and whether the user's own code made the call: only then is the result assigned there."""
    path = call_path(frame)
    if not path:
        return path, False
    code = path[0][0]
    if frame.f_code is code:
        return path, True
    return path, caller(frame).f_code is code
