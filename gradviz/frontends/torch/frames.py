"""Frames: from the stack at a call to the user's place, past the frames that PyTorch puts in between."""

from __future__ import annotations

import os
from functools import lru_cache
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

_INNER = tuple(
    os.path.join(_TORCH, *parts)
    for parts in (("optim", ""), ("nn", "init.py"), ("nn", "parameter.py"), ("nn", "modules", "module.py"))
)
"""PyTorch's own work on parameters, told of in other ways: steps, initial values, copies, moves and `zero_grad`."""

_HERE = os.path.dirname(os.path.abspath(__file__))


@lru_cache(maxsize=4096)
def _is_inner_file(file: str) -> bool:
    return file.startswith(_INNER)


def is_inner(frame: FrameType, python: bool) -> bool:
    """Whether a call from `frame` is PyTorch's own work on parameters, which no user wrote.

    python: the function called is written in Python, so some of its own frames come first.
    """
    return _is_inner_file((caller(frame) if python else frame).f_code.co_filename)


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
