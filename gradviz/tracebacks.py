"""Tracebacks that show the user's frames and none of gradviz's."""

from __future__ import annotations

import os
import sys
from types import TracebackType

_HANDING = os.path.join("torch", "overrides.py")
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def show_uncaught(exception: BaseException, own_file: str = "") -> None:
    """Hand `exception` to `sys.excepthook`, as Python does with what a program lets out, without gradviz's frames.

    Frames of `own_file`, the program itself, are kept wherever that file lies. With `GRADVIZ_DEBUG` set, all are kept.
    """
    if not os.environ.get("GRADVIZ_DEBUG"):
        hide_frames(exception, own_file)
    try:
        sys.excepthook(type(exception), exception, exception.__traceback__)
    except Exception as failure:
        hide_frames(failure, own_file)
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(failure), failure, failure.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(exception), exception, exception.__traceback__)


def hide_frames(exception: BaseException, own_file: str = "") -> None:
    """Drop gradviz's frames from the tracebacks of `exception`, its causes, its contexts and its members."""
    queue = [exception]
    seen = set()
    while queue:
        current = queue.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = _without_own(current.__traceback__, own_file)
        queue += [linked for linked in (current.__cause__, current.__context__) if linked is not None]
        if isinstance(current, BaseExceptionGroup):
            queue += current.exceptions


def _without_handing(entries: list[TracebackType]) -> list[TracebackType]:
    """Drop what PyTorch's own code adds where a recording listens: `backward` asks who overrides it, and calls itself.

    What the program overrides by itself has a frame of its own in between, and stays.
    """
    kept: list[TracebackType] = []
    for entry in entries:
        handed = kept[-1].tb_frame.f_code if kept else None
        if (
            handed is not None
            and len(kept) > 1
            and (handed.co_name, handed.co_filename[-len(_HANDING) :]) == ("handle_torch_function", _HANDING)
            and kept[-2].tb_frame.f_code is entry.tb_frame.f_code
        ):
            del kept[-2:]
        kept.append(entry)
    return kept


def _without_own(traceback: TracebackType | None, own_file: str) -> TracebackType | None:
    kept = []
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file == own_file or not file.startswith(_HERE):
            kept.append(traceback)
        traceback = traceback.tb_next
    rest = None
    for entry in reversed(_without_handing(kept)):
        rest = TracebackType(rest, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return rest
