"""Grad mode: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`, and the region that each one opens.

The mode is the innermost `Region` of the current context, or None where nothing switched it: one read of a ContextVar
an op. New threads start with None, so with grad on.

Exceptions to "under no_grad nothing requires grad": factories called with `requires_grad=True`, `requires_grad_()`, and
views of a base that requires grad.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeVar, cast, overload

from gradviz.core.listeners import listeners
from gradviz.events import Cause
from gradviz.interning import FIRST_LINE
from gradviz.sites import user_frame

F = TypeVar("F", bound=Callable[..., Any])


_CAUSES = {
    "backward": Cause.NO_GRAD,
    "no_grad": Cause.NO_GRAD,
    "inference_mode": Cause.INFERENCE_MODE,
    "set_grad_enabled": Cause.SET_GRAD_ENABLED,
}


class Region:
    """One grad-mode switch in effect: what it set, who opened it, what it lies in.

    `tracks` is what an op asks for: grad enabled and not in inference mode; where it is not so, `cause` says what cuts
    the gradient. `held` says that it lasts until its switch
    is left: it is the extent of a `with` or of a decorated call.
    """

    __slots__ = ("cause", "code", "enabled", "held", "id", "inference", "kind", "lasti", "parent", "tracks")

    def __init__(self, kind: str, enabled: bool, inference: bool, parent: Region | None) -> None:
        self.id = next(_ids)
        self.kind = kind
        self.enabled = enabled
        self.inference = inference
        self.tracks = enabled and not inference
        self.parent = parent
        self.cause = Cause.INFERENCE_MODE if enabled else _CAUSES.get(kind)
        self.held = True
        self.code: CodeType | None = None
        self.lasti = -1


_ids = itertools.count(1)
_current: ContextVar[Region | None] = ContextVar("gradviz.grad_mode", default=None)
current = _current.get
switched = _current.set


def is_grad_enabled() -> bool:
    """True where ops on tensors that require grad are tracked (inference mode apart)."""
    region = current()
    return region is None or region.enabled


def is_inference_mode_enabled() -> bool:
    """True inside `inference_mode`."""
    region = current()
    return region is not None and region.inference


class _Switch:
    """Context manager and decorator that opens a region; what PyTorch calls a grad mode.

    One object can be entered again and again, one after the other. Entered while it is already entered, it forgets the
    outer mode, as PyTorch's does.
    """

    _kind = ""
    _enabled = False
    _inference: bool | None = None
    _before: Region | None = None
    _region: Region | None = None

    def __enter__(self) -> None:
        self._open(sys._getframe(1), None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, function: F) -> F:
        if inspect.isclass(function):
            raise TypeError(f"`{self._kind}` cannot decorate a class; decorate its methods")
        code = getattr(inspect.unwrap(function), "__code__", None)
        if inspect.isgeneratorfunction(function):
            return cast(F, _wrap_generator(self, function, code))

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            switch = self._clone()
            switch._open(sys._getframe(1), code)
            try:
                return function(*args, **kwargs)
            finally:
                switch._close()

        return cast(F, decorated)

    def _clone(self) -> _Switch:
        return type(self)()

    def _open(self, frame: FrameType, decorated: CodeType | None) -> None:
        before = self._before = current()
        inference = self._inference
        if inference is None:
            inference = before is not None and before.inference
        region = self._region = Region(self._kind, self._enabled, inference, before)
        if decorated is None:
            frame = user_frame(frame)
            region.code, region.lasti = frame.f_code, frame.f_lasti
        else:
            region.code, region.lasti = decorated, FIRST_LINE
        try:
            _current.set(region)
            for listener in tuple(listeners):
                listener.region_opened(region, frame)
        except BaseException:  # Ctrl-C: nobody would put the mode back
            _current.set(before)
            raise

    def _close(self) -> None:
        self._region = None
        left, before = None, self._before
        try:
            left = current()
        finally:  # Ctrl-C
            _current.set(before)
        if listeners:
            kept = set(_chain(before))
            for region in _chain(left):
                if region not in kept:
                    _tell_end(region)


def _chain(region: Region | None) -> Iterator[Region]:
    while region is not None:
        yield region
        region = region.parent


def _tell_end(region: Region) -> None:
    for listener in tuple(listeners):
        listener.region_closed(region)


def _wrap_generator(switch: _Switch, function: Any, code: CodeType | None) -> Any:
    """Drive the generator with the mode on only while its own code runs: it must not leak between two yields."""

    @functools.wraps(function)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        frame = sys._getframe(0)
        resume: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                step = switch._clone()
                step._open(frame, code)
                try:
                    item = resume()
                except StopIteration as stop:
                    return stop.value
                finally:
                    step._close()
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as error:
                    resume = functools.partial(generator.throw, error)
                else:
                    resume = functools.partial(generator.send, sent)
        finally:
            step = switch._clone()
            step._open(frame, code)
            try:
                generator.close()
            finally:
                step._close()

    return decorated


class no_grad(_Switch):
    """Ops inside are not tracked: their results require no grad and nothing is saved for a backward.

    Works as `with no_grad():`, as `@no_grad()` and as `@no_grad`. Per thread. A view of a base that requires grad, and
    a leaf created with `requires_grad=True`, still require grad.
    """

    _kind = "no_grad"

    @overload
    def __new__(cls) -> no_grad: ...
    @overload
    def __new__(cls, function: F) -> F: ...  # type: ignore[misc]
    def __new__(cls, function: Any = None) -> Any:
        switch = super().__new__(cls)
        return switch if function is None else switch(function)


class in_backward(_Switch):
    """Grad mode off while a user's hook runs inside a backward pass."""

    _kind = "backward"


class enable_grad(_Switch):
    """Ops inside are tracked again, within `no_grad`; inside `inference_mode` it changes nothing."""

    _kind = "enable_grad"
    _enabled = True

    @overload
    def __new__(cls) -> enable_grad: ...
    @overload
    def __new__(cls, function: F) -> F: ...  # type: ignore[misc]
    def __new__(cls, function: Any = None) -> Any:
        switch = super().__new__(cls)
        return switch if function is None else switch(function)


class set_grad_enabled(_Switch):
    """Turn tracking on or off at once; as a context manager or decorator, put it back afterwards.

    mode: True to track.
    """

    _kind = "set_grad_enabled"

    _undone: Region | None = None

    def __init__(self, mode: bool) -> None:
        self._mode = bool(mode)
        self._enabled = self._mode
        outer = self._outer = current()
        is_free = outer is not None and outer.kind == self._kind and not outer.held
        beneath = outer.parent if is_free and outer is not None else outer
        if is_free and (beneath is None or beneath.enabled) == self._mode:
            _current.set(beneath)
            self._undone = outer
        elif is_grad_enabled() != self._mode:
            self._open(sys._getframe(1), None)
            assert self._region is not None
            self._region.held = False
        self._before = outer

    def __del__(self) -> None:
        # Nobody entered it, so what it took back is over.
        if self._undone is not None:
            _tell_end(self._undone)

    def __call__(self, function: F) -> F:
        self._undone = None
        self._close()
        return super().__call__(function)

    def __enter__(self) -> None:
        undone, self._undone = self._undone, None
        if undone is not None:
            if current() is undone.parent:
                _current.set(undone)
            else:  # something else was switched in between
                _tell_end(undone)
        if self._region is None or self._region is not current():
            self._open(sys._getframe(1), None)
            self._before = self._outer
        assert self._region is not None
        self._region.held = True

    def _clone(self) -> _Switch:
        switch = _Switch()
        switch._kind = self._kind
        switch._enabled = self._mode
        return switch


class inference_mode(_Switch):
    """`no_grad` and more: tensors made inside can never take part in a tracked op that would save them.

    mode: False leaves inference mode for the extent.
    """

    _kind = "inference_mode"

    @overload
    def __new__(cls, mode: bool = True) -> inference_mode: ...
    @overload
    def __new__(cls, mode: F) -> F: ...  # type: ignore[misc]
    def __new__(cls, mode: Any = True) -> Any:
        switch = super().__new__(cls)
        if not isinstance(mode, bool):
            switch.__init__()  # type: ignore[misc]
            return switch(mode)
        return switch

    def __init__(self, mode: bool = True) -> None:
        self._inference = mode
        self._enabled = not mode

    def _clone(self) -> _Switch:
        return type(self)(bool(self._inference))
