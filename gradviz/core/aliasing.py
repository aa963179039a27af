"""How a view's memory is cut out of its base's."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from gradviz.core.tensor import Tensor

ReplayStep: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]
"""A forward and its static arguments."""
Replay: TypeAlias = tuple[ReplayStep, ...]
"""The forwards that lead from a base's array to a view's."""


class Made(enum.Enum):
    """How a view came to be, which says whether a tracked in-place write to it or beside it can be followed."""

    TRACKED = enum.auto()
    NO_GRAD = enum.auto()
    INFERENCE = enum.auto()
    SEVERAL = enum.auto()
    """By an op that gives several views at once, like `split`."""


class View:
    """How a view's memory is cut out of its base's: `replay` maps an array like the base's to the same cut of it.

    version     of the memory when the view's origin was last right
    own         `replay` for the shape that the base had then; in-place views may have given it another one
    """

    __slots__ = ("base", "made", "own", "version")

    def __init__(self, base: Tensor, replay: Replay, version: int | None, made: Made) -> None:
        self.base = base
        self.own = replay
        self.version = version
        self.made = made

    @property
    def replay(self) -> Replay:
        """The forwards that lead from the base's array to this view's."""
        memory = self.base._memory
        turned = () if memory is None else getattr(memory, "turned", ())
        if not turned or self.version is None:
            return self.own
        return (*(back for version, back in reversed(turned) if self.version < version), *self.own)


def cut(replay: Replay, array: Any) -> Any:
    """The part of `array` that a replay leads to, sharing its memory."""
    for forward, static in replay:
        array = forward(array, *static)
    return array


def nth(array: Any, forward: Callable[..., tuple[Any, ...]], static: tuple[Any, ...], number: int) -> Any:
    """One of the views that a forward gives; a step of a replay."""
    return forward(array, *static)[number]
