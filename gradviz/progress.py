"""Progress: long work says which step it is at, and how far; whoever wants to show that looks, others pay nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Step:
    """A step under way: `done` of `total`, in a unit of its own; `total` is 0 where nobody can say."""

    __slots__ = ("done", "name", "total")

    def __init__(self, name: str, total: float = 0) -> None:
        self.name = name
        self.total = total
        self.done: float = 0


_under_way: list[Step] = []


@contextmanager
def step(name: str, total: float = 0) -> Iterator[Step]:
    """While it lasts, `name` is what is being done ("laying out"); the work counts `done` up as it goes.

    >>> with step("writing", total=2) as writing:
    ...     writing.done += 1
    ...     current() is writing
    True
    """
    begun = Step(name, total)
    _under_way.append(begun)
    try:
        yield begun
    finally:
        _under_way.remove(begun)


def current() -> Step | None:
    """The innermost step under way, None where there is none. It may be asked for from another thread."""
    steps = _under_way[-1:]
    return steps[0] if steps else None
