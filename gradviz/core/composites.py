"""Public functions that run several ops, or one of another name: what is recorded of them, and how it is called.

The op that makes the result is called what the user called (`einsum`), and is the one that the user's assignment names.
Those before it keep their own names (`permute`), unless the function is told of as one op (`linear`). Which op is the
last is known at the end only, so until then listeners are not told of any.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from itertools import repeat
from operator import is_
from types import FrameType
from typing import Any, TypeVar

from gradviz.core.listeners import attended, listeners, observers
from gradviz.core.tensor import Tensor
from gradviz.core.trace import INNER, INPLACE, PART, Link, Trace, Untracked, faint, origin_of
from gradviz.sites import user_frame

F = TypeVar("F", bound=Callable[..., Any])

class Unheard(list[tuple[Trace, FrameType]]):
    """Ops that listeners are never to be told of: they ran inside of the machinery."""


_untold: ContextVar[list[tuple[Trace, FrameType]] | None] = ContextVar("gradviz.untold", default=None)
"""While a composite function runs: the ops that it ran and that listeners were not told of."""

untold = _untold.get


class _Passing(list[tuple[Trace, FrameType]]):
    """In place of the ops that wait, while a module of a library runs: none waits, and none is what is assigned."""


PASSING = _Passing()


def enter(waiting: list[tuple[Trace, FrameType]] | None) -> None:
    """Let ops wait in a list until `leave`, be those of a library's module (`PASSING`), or the user's own (None)."""
    attended.append(None)
    _untold.set(waiting)


def leave(outer: list[tuple[Trace, FrameType]] | None) -> None:
    """Go back to what was `untold` before the `enter` that this call belongs to."""
    try:
        _untold.set(outer)
    finally:
        attended.pop()


def untold_as(waiting: list[tuple[Trace, FrameType]] | None) -> list[tuple[Trace, FrameType]] | None:
    """Put another list in the place of `untold()`; returns the one that was there."""
    before = untold()
    _untold.set(waiting)
    return before


def composite(call: F) -> F:
    """Mark a public function that runs ops of other names than its own."""
    return called(call.__name__)(call)


def called(name: str) -> Callable[[F], F]:
    """Mark a function that runs what users call `name`; with an empty one its last op keeps its own name."""

    def mark(call: F) -> F:
        @functools.wraps(call)
        def run(*args: Any, **kwargs: Any) -> Any:
            outer = untold()
            if outer is not None and outer is not PASSING:
                return call(*args, **kwargs)
            waiting: list[tuple[Trace, FrameType]] = []
            try:
                enter(waiting)
                result = call(*args, **kwargs)
                made = maker(result)
                if made is not None and not any(map(is_, args, repeat(result))):
                    _name(made, name, outer is None)
            finally:
                leave(outer)
                if waiting:
                    _tell_all(waiting)
            if listeners and outer is None and made is None and type(result) in (tuple, list):
                frame = user_frame(sys._getframe(1))
                for listener in tuple(listeners):
                    listener.named(result, frame)
            return result

        return run  # type: ignore[return-value]

    return mark


def renamed(call: F) -> F:
    """Mark a public function that runs one op at most, and that of another name than its own."""
    name = call.__name__
    heard = called(name)(call)

    @functools.wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        if attended:
            return heard(*args, **kwargs)
        result = call(*args, **kwargs)
        first = result if isinstance(result, Tensor) else result[0]
        if first._origin.row.name != name and not any(map(is_, (*args, *kwargs.values()), repeat(result))):
            first._origin.called = name
        return result

    return run  # type: ignore[return-value]


class _Steps(list[tuple[Trace, FrameType]]):
    """The ops of a function that is told of as one: none of those that it calls need be told of so, too."""


def whole(call: F) -> F:
    """Mark a public function that gives one tensor and is told of as one op of its own name, whatever it runs."""
    return whole_called(call.__name__)(call)


def whole_called(name: str, numbers: bool = False) -> Callable[[F], F]:
    """`whole` for a function that runs what users call `name`. numbers: its numbers are inputs, too.

    What gives its input, or a view of it, is told of step by step: the picture is to say that memory is shared.
    """

    def mark(call: F) -> F:
        @functools.wraps(call)
        def run(*args: Any, **kwargs: Any) -> Any:
            outer = untold()
            if type(outer) is _Steps:
                return call(*args, **kwargs)
            within = outer is not None and outer is not PASSING
            waiting = _Steps()
            try:
                enter(waiting)
                result = call(*args, **kwargs)
                made, given = result._origin, _tensors_in((*args, *kwargs.values()))
                if not any(map(is_, given, repeat(result))):
                    if result._memory is None or all(one._memory is not result._memory for one in given):
                        _unite(made, given, args[len(given) :] if numbers else ())
                    _name(made, name, outer is None)
            finally:
                leave(outer)
                if outer is not None and within:
                    outer.extend(waiting)
                elif waiting:
                    _tell_all(waiting)
            return result

        return run  # type: ignore[return-value]

    return mark


def _tensors_in(values: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif type(value) in (list, tuple):
            found += [one for one in value if isinstance(one, Tensor)]
    return found


def _unite(made: Trace, given: list[Tensor], numbers: tuple[Any, ...]) -> None:
    """Let `made` tell of all the steps that led to it from the tensors given, and from numbers."""
    known = {id(one._origin) for one in given}
    steps = [made]
    for step in steps:
        for link in step.links:
            origin = link if isinstance(link, Trace) else origin_of(link)[0]
            if origin is not None and id(origin) not in known:
                known.add(id(origin))
                steps.append(origin)
    links: tuple[Link, ...] = tuple([(one._origin, one._number) if one._number else one._origin for one in given])
    if isinstance(made, Untracked):
        links = tuple(map(faint, links))
        made.cause = next((step.cause for step in steps if step.cause is not None), None)
    # First this: a step that Ctrl-C keeps from being marked is told of by itself, which does no harm.
    made.whole = (*links, *numbers), tuple([one.requires_grad for one in given] + [False] * len(numbers))
    for step in steps[1:]:
        step.within = made.id
        step.flags |= PART


def maker(result: Any) -> Trace | None:
    """The one op that made a tensor, or all tensors of a tuple; None where there are several, or no tensor."""
    if isinstance(result, Tensor):
        return result._origin
    parts = result if isinstance(result, (tuple, list)) else ()
    makers = {id(part._origin): part._origin for part in parts if isinstance(part, Tensor)}
    return next(iter(makers.values())) if len(makers) == 1 else None


def _name(origin: Trace, name: str, assigned: bool) -> None:
    """Make `origin` the op that a composite function is known by. One that was told of already stays what it is.

    assigned: it made what the user's own code called for.
    """
    if origin.flags & INNER and not origin.flags & INPLACE:
        if assigned:
            origin.flags &= ~INNER
        if name and origin.row.name != name:
            origin.called = name


def tell(step: Trace, frame: FrameType, out: Any) -> None:
    """Let every listener know of an op that ran; inside a composite function, when that ends.

    out: the array that it gave, or a tuple of them. What was written in place is told at once: other threads may see
    it.
    """
    waiting = untold()
    if type(waiting) is Unheard:
        waiting.append((step, frame))
        return
    if observers:
        for observer in tuple(observers):
            observer.saw(step, out if type(out) is tuple else (out,))
    if waiting is None or waiting is PASSING:
        for listener in tuple(listeners):  # another thread may end its recording meanwhile
            listener.op_ran(step, frame)
        return
    waiting.append((step, frame))
    if step.flags & INPLACE:
        _tell_all(waiting)


def finish(step: Trace, frame: FrameType, out: Any) -> None:
    """What is left to do for an op that compiled code ran while someone listens or a composite function runs."""
    if untold() is not None:
        step.flags |= INNER
    if listeners:
        tell(step, frame, out)


def _tell_all(waiting: list[tuple[Trace, FrameType]]) -> None:
    told: Sequence[tuple[Trace, FrameType]] = waiting[:]
    waiting.clear()
    for step, frame in told:
        for listener in tuple(listeners):
            listener.op_ran(step, frame)
