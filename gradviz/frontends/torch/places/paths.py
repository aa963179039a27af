"""Paths: from a call outwards to the user's code that led to it, no further than what is known already.

A deep model has twenty frames between an op and the script, and the outer ones are the same for every op of a module.
So the path of a module's call is looked up once, when the module is called, and the walk from an op ends there.
"""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any

from gradviz.frontends.torch.places.frames import part_of, parts, place_of_call
from gradviz.interning import Interner
from gradviz.sites import Spot, spot_at
from gradviz.targets import single_target


class Base:
    """The path of a module's call. There is one for each path, so it is compared by identity.

    path      the spots of the user's code, innermost first
    targets   what the user's code assigns the module's result to, as written; empty where a library called the module
    single    the name of a result that is one tensor
    """

    __slots__ = ("path", "single", "targets")

    def __init__(self, path: tuple[Spot, ...], targets: str) -> None:
        self.path = path
        self.targets = targets
        self.single = single_target(targets)


class Inside:
    """The module that a thread runs. Used again when the module is called again from the same place.

    scope    what the program calls it
    base     the path of its call
    mark     the `id` of the frame that stands around its call, and `code` the code of that frame
    told     the last context that was told of in it, with its region and its thread
    """

    __slots__ = ("base", "code", "mark", "scope", "told")

    def __init__(self, scope: str, base: Base, code: CodeType, mark: int) -> None:
        self.scope = scope
        self.base = base
        self.code = code
        self.mark = mark
        self.told: tuple[int, object, int] | None = None


Road = tuple[Any, ...]
"""A way outwards: whether the user's own code made the call, where the way ends, which is the call of a module or None
for the end of the stack, and the spots of the user's code on it, innermost first."""


class Paths:
    """The paths of one recording, each under one object, and the `sites` that roads lead to."""

    def __init__(self, interner: Interner) -> None:
        self._interner = interner
        self.sites: dict[Road, int | None] = {}
        self._bases: dict[Road, Base] = {}

    def site(self, road: Road, frame: FrameType) -> int | None:
        """The site of a call, of which `road` leads outwards; with a target where the user's own code made it."""
        try:
            return self.sites[road]
        except KeyError:
            path = _joined(road)
            if not path:  # none of it is the user's code
                path, direct = place_of_call(frame)
                return self._interner.site(path, not direct)
            site = self.sites[road] = self._interner.site(path, not road[0])
            return site

    def base(self, inside: Inside | None, frame: FrameType) -> Base:
        """The path of a module's call from `frame`."""
        road = walk(inside, frame) or (False, None)
        found = self._bases.get(road)
        if found is None:
            path = _joined(road)
            found = self._bases[road] = Base(path, self._interner.target(path) if road[0] else "")
        return found


def walk(inside: Inside | None, frame: FrameType) -> Road | None:
    """The road from `frame` outwards, as far as the call of the module that runs, of which the path is known.

    None where the call is PyTorch's own work on parameters.
    """
    known = parts
    mark, marked = (0, None) if inside is None else (inside.mark, inside.code)
    road: list[Any] = [False, None]
    add = road.append
    direct: bool | None = None
    place: FrameType | None = frame
    while place is not None:
        code = place.f_code
        try:
            part = known[id(code)]
        except KeyError:
            part = part_of(code)
        spots = part.spots
        if spots is not None:
            try:
                add(spots[place.f_lasti])
            except KeyError:
                add(spot_at(code, place.f_lasti))
            if direct is None:
                direct = road[0] = True
        elif code is marked and id(place) == mark:
            road[1] = inside and inside.base
            break
        elif part.runner:
            break
        elif direct is None and not part.between:
            if part.inner:
                return None
            direct = False
        place = place.f_back
    return tuple(road)


def _joined(road: Road) -> tuple[Spot, ...]:
    _, base, *spots = road
    return tuple(spots) if base is None else (*spots, *base.path)
