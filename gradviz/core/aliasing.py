"""How a view's memory is cut out of its base's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from gradviz.core.tensor import Tensor

Replay: TypeAlias = tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...]
"""The forwards, with their static arguments, that lead from a base's array to a view's."""


class View:
    """How a view's memory is cut out of its base's: `replay` maps an array like the base's to the same cut of it."""

    __slots__ = ("base", "replay", "version")

    def __init__(self, base: Tensor, replay: Replay, version: int | None) -> None:
        self.base = base
        self.replay = replay
        self.version = version


def cut(replay: Replay, array: Any) -> Any:
    """The part of `array` that a replay leads to, sharing its memory."""
    for forward, static in replay:
        array = forward(array, *static)
    return array
