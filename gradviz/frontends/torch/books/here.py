"""Here: what one thread is doing, and which grad-mode switch is in effect on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.books.identity import Known
from gradviz.frontends.torch.books.trail import Trail
from gradviz.frontends.torch.places.paths import Inside
from gradviz.sites import Spot

UNKNOWN = "of unknown origin"


@dataclass(eq=False, slots=True)
class Region:
    """A grad-mode switch in effect on one thread; `cause` is what it does to an op, None where it turns grad on.

    `id` is 0 until the region is told of: one that a library opened and in which nothing ran is not.
    """

    kind: str
    enabled: bool
    cause: events.Cause | None
    parent: Region | None
    site: int | None
    id: int = 0


class Here:
    """What one thread is doing: its number, its innermost grad-mode region, the module that it runs, its trail.

    quiet   above zero while what runs is not the user's: the engine, a custom function's forward
    loading above zero while a data loader puts a batch together
    fed     while the engine runs, the leaves that sweeps inside of it feed, such as a checkpoint's
    """

    __slots__ = (
        "context", "context_inside", "context_region", "fed", "inside", "loading", "quiet", "region", "thread", "trail",
    )  # fmt: skip

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.region: Region | None = None
        self.inside: Inside | None = None
        self.context = -1
        self.context_inside: Inside | None = None
        self.context_region: Region | None = None
        self.trail = Trail()
        self.quiet = 0
        self.loading = 0
        self.fed: list[Known] = []

    def is_switched_off(self) -> bool:
        """Nothing is tracked at present because the engine runs, not because somebody wrote so: see `Within`."""
        return False

    def origin(self) -> tuple[str, tuple[Spot, ...]]:
        """Name and place of a source whose making was not seen, and that has no history; see `Within`."""
        return UNKNOWN, ()


def cause_of_mode(here: Here) -> Cause | None:
    """Why nothing is tracked at present, None where grad mode is on."""
    if (torch.is_grad_enabled() and not torch.is_inference_mode_enabled()) or here.is_switched_off():
        return None
    region = here.region
    while region is not None and region.cause is None:
        region = region.parent
    return Cause.NO_GRAD if region is None else region.cause
