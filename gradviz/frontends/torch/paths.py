"""Paths: from a call outwards to the user's code that led to it, no further than what is known already.

A deep model has twenty frames between an op and the script, and the outer ones are the same for every op of a module.
So the path of a module's call is looked up once, when the module is called, and the walk from an op ends there.
"""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any

from gradviz.frontends.torch.frames import between, caller, place_of_call
from gradviz.interning import Interner
from gradviz.sites import Spot, admit, codes, spot_at
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
    """The module that a thread runs.

    scope    what the program calls it
    base     the path of its call
    mark     the `id` of the frame that stands around its call, and `code` the code of that frame
    """

    __slots__ = ("base", "code", "mark", "scope")

    def __init__(self, scope: str, base: Base, code: CodeType, mark: int) -> None:
        self.scope = scope
        self.base = base
        self.code = code
        self.mark = mark


class Paths:
    """The paths of one recording, each under one number or one object."""

    def __init__(self, interner: Interner) -> None:
        self._interner = interner
        self._sites: dict[tuple[Any, ...], int | None] = {}
        self._bases: dict[tuple[Any, ...], Base] = {}

    def site(self, inside: Inside | None, frame: FrameType) -> int | None:
        """The site of a call from `frame`; it tells a target where the user's own code made the call."""
        key = _walk(inside, frame)
        try:
            return self._sites[key]
        except KeyError:
            path = _joined(key)
            if not path:  # none of it is the user's code
                path, direct = place_of_call(frame)
                return self._interner.site(path, not direct)
            site = self._sites[key] = self._interner.site(path, not key[0])
            return site

    def base(self, inside: Inside | None, frame: FrameType) -> Base:
        """The path of a module's call from `frame`."""
        key = _walk(inside, frame)
        found = self._bases.get(key)
        if found is None:
            path = _joined(key)
            found = self._bases[key] = Base(path, self._interner.target(path) if key[0] else "")
        return found


def _walk(inside: Inside | None, frame: FrameType) -> tuple[Any, ...]:
    """The road from `frame` outwards: whether the user's own code made the call, the user's spots, and where it ends.

    That is at the call of the module that runs, of which the path is known, or at None, the end of the stack.
    """
    known = codes
    entry = known.get(id(frame.f_code)) or admit(frame.f_code)
    found: list[Any] = [entry.user or (between(frame.f_code) and admit(caller(frame).f_code).user)]
    place: FrameType | None = frame
    while place is not None:
        code = place.f_code
        try:
            entry = known[id(code)]
        except KeyError:
            entry = admit(code)
        if entry.user:
            try:
                found.append(entry.spots[place.f_lasti])
            except KeyError:
                found.append(spot_at(code, place.f_lasti))
        elif inside is not None and code is inside.code and id(place) == inside.mark:
            found.append(inside.base)
            return tuple(found)
        elif entry.runner:
            break
        place = place.f_back
    found.append(None)
    return tuple(found)


def _joined(road: tuple[Any, ...]) -> tuple[Spot, ...]:
    _, *spots, base = road
    return tuple(spots) if base is None else (*spots, *base.path)
