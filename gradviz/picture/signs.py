"""Signs: the marks and frames in a picture that no box explains, and what they mean, for the legend of each view."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gradviz.picture.hooking import WORD
from gradviz.picture.records import Picture

VERSION = ("version n", "written in place n times")
TIMES = ("×n", "n wires in one")
HOOK = (WORD, "a function gets the gradient here")
FRAMES = {"module": "module", "scope": "module", "loop": "drawn once for all turns"}
"""What the frames are that stand for no grad-mode region, by their kinds."""

_VERSION = re.compile(r"(^| · |, )version \d")


def signs(picture: Picture, *, merged: bool = False) -> Iterator[tuple[str, str]]:
    """The marks that occur, each with its meaning; `merged` where the view draws wires between two boxes as one."""
    if any("version " in box.detail and _VERSION.search(box.detail) for box in picture.boxes):
        yield VERSION
    if merged or any(wire.label.startswith("×") for wire in picture.wires):
        yield TIMES
    if any(box.hooked for box in picture.boxes):
        yield HOOK


def frames(kinds: Iterable[str]) -> list[str]:
    """What the frames of these kinds are, but for those of regions."""
    occurring = {FRAMES[kind] for kind in kinds if kind in FRAMES}
    return [words for words in dict.fromkeys(FRAMES.values()) if words in occurring]
