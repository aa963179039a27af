"""Whose frame it is: from gradviz's own frames out to the user's."""

from __future__ import annotations

from types import FrameType


def user_frame(frame: FrameType) -> FrameType:
    """The innermost frame that is not the core's own, from `frame` outwards."""
    while frame.f_globals.get("__name__", "").startswith("gradviz.core"):
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
    return frame
