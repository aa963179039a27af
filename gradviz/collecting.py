"""Collecting: the garbage collector held still while millions of records are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def uncollected(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: while `function` runs, the collector of cycles does not; afterwards it is as it was, also on Ctrl-C.

    For building from a recording and for layout, and for nothing that runs a user's code. What is built has no cycles
    and stays, so each look at it frees nothing, and looking again each time it has grown takes as long as building it.
    """

    @wraps(function)
    def held(*arguments: P.args, **options: P.kwargs) -> R:
        if not gc.isenabled():
            return function(*arguments, **options)
        gc.disable()
        try:
            return function(*arguments, **options)
        finally:
            gc.enable()

    return held
