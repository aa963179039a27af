"""Frames: from the stack at a call to the user's place, past the frames that PyTorch puts in between."""

from __future__ import annotations

import os
from types import CodeType, FrameType

import torch

from gradviz.sites import Spot, call_path

_TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_BETWEEN = frozenset(
    os.path.join(_TORCH, *parts)
    for parts in (
        ("overrides.py",), ("_tensor.py",), ("functional.py",), ("_jit_internal.py",), ("nn", "functional.py"),
        ("utils", "_contextlib.py"),
    )
)  # fmt: skip
"""Files of PyTorch whose frames are part of a call, not callers of it."""

_HERE = os.path.dirname(os.path.abspath(__file__))

_is_between: dict[CodeType, bool] = {}


def caller(frame: FrameType) -> FrameType:
    """The innermost frame that made a call, from the frame that the mode was entered from."""
    place = frame
    while place.f_back is not None and between(place.f_code):
        place = place.f_back
    return place


def between(code: CodeType) -> bool:
    """Whether a frame of `code` is part of a call into PyTorch."""
    file = code.co_filename
    return file in _BETWEEN or file.startswith(_HERE)


def place_of_call(frame: FrameType) -> tuple[tuple[Spot, ...], bool]:
    """The user's call path, and whether the user's own code made the call: only then is the result assigned there."""
    path = call_path(frame)
    if not path:
        return path, False
    code = path[0][0]
    if frame.f_code is code:
        return path, True
    return path, caller(frame).f_code is code
