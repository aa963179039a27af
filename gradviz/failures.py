"""Failures: what went wrong inside of a recording, in one line, with what its user can do about it."""

from __future__ import annotations

from typing import Self

from gradviz.endings import text_of
from gradviz.errors import UsageError


class Failure(str):
    """One line of text; `help` is what the user of the recording can do, or empty where gradviz itself is broken."""

    __slots__ = ("help",)

    help: str

    def __new__(cls, text: str, help: str = "") -> Self:
        made = super().__new__(cls, text)
        made.help = help
        return made


def failure_of(step: str, exception: Exception) -> Failure:
    """What to say of an exception that a step of the recording's own raised."""
    if isinstance(exception, UsageError):
        return Failure(exception.message, exception.help)
    return Failure(f"{step}: {type(exception).__name__}: {text_of(exception)}".removesuffix(": "))
