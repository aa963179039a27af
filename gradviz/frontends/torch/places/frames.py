"""Frames: from the stack at a call to the user's place, past the frames that PyTorch puts in between."""

from __future__ import annotations

import os
from types import CodeType, FrameType

import torch

from gradviz.frontends.torch.patching.calling import is_own
from gradviz.sites import CODE_LIMIT, Spot, admit, call_path, is_user_file

_TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_BETWEEN = frozenset(
    os.path.join(_TORCH, *parts)
    for parts in (
        ("overrides.py",), ("_tensor.py",), ("functional.py",), ("_jit_internal.py",), ("nn", "functional.py"),
        ("utils", "_contextlib.py"), ("_ops.py",), ("_library", "custom_ops.py"),
    )
)  # fmt: skip
"""Files of PyTorch whose frames are part of a call, not callers of it."""

_INNER = tuple(
    os.path.join(_TORCH, *parts)
    for parts in (("optim", ""), ("nn", "init.py"), ("nn", "parameter.py"), ("nn", "modules", "module.py"))
)
"""PyTorch's own work on parameters, told of in other ways: steps, initial values, copies, moves and `zero_grad`."""


class Part:
    """What a code object is to a call into PyTorch. The code is kept, so that its `id` stays its own.

    spots     the places in it that were met, by offset; None where it is not the user's
    runner    nothing outside of it is of interest
    between   a frame of it is part of the call
    inner     it is PyTorch's own work on parameters
    """

    __slots__ = ("between", "code", "inner", "runner", "spots")

    def __init__(self, code: CodeType) -> None:
        known = admit(code)
        self.code = code
        self.runner = known.runner
        self.spots = known.spots if known.user else None
        self.inner = code.co_filename.startswith(_INNER)
        self.between = code.co_filename in _BETWEEN or is_own(code)


parts: dict[int, Part] = {}
"""All code that was met, by `id`. `part_of` adds to it."""


def part_of(code: CodeType) -> Part:
    """What `code` is to a call."""
    part = parts.get(id(code))
    if part is None:
        if len(parts) >= CODE_LIMIT:
            parts.clear()
        part = parts[id(code)] = Part(code)
    return part


def is_inner(frame: FrameType) -> bool:
    """Whether a call from `frame` is PyTorch's own work on parameters, which no user wrote."""
    return part_of(caller(frame).f_code).inner


def is_freezing(frame: FrameType) -> bool:
    """Whether a call is one of those by which `Module.requires_grad_` does for each parameter what its user wrote."""
    return caller(frame).f_code is torch.nn.Module.requires_grad_.__code__


def caller(frame: FrameType) -> FrameType:
    """The innermost frame that made a call, from the frame that the mode was entered from."""
    place = frame
    while place.f_back is not None and between(place.f_code):
        place = place.f_back
    return place


def between(code: CodeType) -> bool:
    """Whether a frame of `code` is part of a call into PyTorch."""
    return part_of(code).between


def is_in_construction(frame: FrameType) -> bool:
    """Whether a library makes an object at present, on behalf of the user's code further out."""
    place: FrameType | None = frame
    constructs = False
    while place is not None and not is_user_file(place.f_code.co_filename):
        constructs = constructs or place.f_code.co_name == "__init__"
        place = place.f_back
    return constructs


def place_of_call(frame: FrameType) -> tuple[tuple[Spot, ...], bool]:
    """The user's call path, and whether the user's own code made the call: only then is the result assigned there."""
    path = call_path(frame)
    if not path:
        return path, False
    code = path[0][0]
    if frame.f_code is code:
        return path, True
    return path, caller(frame).f_code is code
