"""Who wants to hear of every op: the one door through which a recording watches the core.

An op pays for one truth test of `listeners` when nobody listens. A listener never raises; it counts its own failures.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gradviz.core.grad_mode import Region
    from gradviz.core.trace import Trace


class Deed(Enum):
    """What a holder of tensors does that a recording tells of, with what `Listener.held` gets besides."""

    BORN = auto()
    """A library's module made a parameter, which is not told of until something uses it."""
    BUILT = auto()
    """A module was made."""
    ENTERED = auto()
    """A module begins to run."""
    LEFT = auto()
    """It ended: its result, None where it raised."""
    SWITCHED = auto()
    """A module was set to training or to evaluation: `train` or `eval`."""
    CLEARED = auto()
    """The gradients of a module's or an optimizer's parameters were cleared."""
    ATTRIBUTE = auto()
    """An attribute was set on a module or parameter that looks like `requires_grad` and is not: name and value."""
    OWNS = auto()
    """An optimizer was given parameters."""
    STEPPED = auto()
    """An optimizer took a step."""
    SCALED = auto()
    """A scaler multiplied a loss by its factor; it holds the product."""
    UNSCALED = auto()
    """A scaler divided the gradients of an optimizer's parameters by its factor."""
    SCHEDULED = auto()
    """An optimizer was given a schedule of learning rates."""


class Holder:
    """What modules and optimizers are to the core: they hold tensors."""


class Listener(Protocol):
    """What a recording does with each thing that happens."""

    def op_ran(self, step: Trace, frame: FrameType) -> None:
        """`step` has just run; `frame` is the innermost Python frame outside the op machinery."""

    def named(self, tensors: Sequence[Any], frame: FrameType) -> None:
        """`tensors`, made by several inner ops, are the result of the call at `frame`."""

    def region_opened(self, region: Region, frame: FrameType) -> None:
        """A grad-mode switch took effect."""

    def region_closed(self, region: Region) -> None:
        """It was undone."""

    def flag_set(self, leaf: Any, frame: FrameType) -> None:
        """`requires_grad` of a leaf was set."""

    def acted(self, kind: str, tensor: Any, frame: FrameType, hook: Any = None) -> None:
        """The program did something with a tensor that is no op: `kind` as in `events.Act`, `hook` a function."""

    def held(self, deed: Deed, holder: Any, frame: FrameType, *more: Any) -> None:
        """A module or an optimizer did something, called from `frame`; `more` is what the deed says."""

    def sweep_ran(self, sweep: Any, frame: FrameType) -> None:
        """A backward pass ended, well or not; `sweep` is an `engine.Sweep`."""


class Observer(Protocol):
    """Wants to see the numbers in what an op gave; most recordings do not."""

    def saw(self, step: Trace, results: tuple[Any, ...]) -> None:
        """`step` has just run and gave these arrays; listeners are told of it later."""


attended: list[None] = []
"""One entry for each listener, and for each composite function or module that runs, in any thread: while it is empty,
an op has nothing to do after it ran."""
listeners: list[Listener] = []
"""Those who listen; `listen` and `unlisten` change it."""
observers: list[Observer] = []


def listen(listener: Any) -> None:
    """Tell a listener of all that happens from now on, in any thread."""
    listeners.append(listener)
    attended.append(None)


def unlisten(listener: Any) -> None:
    """Tell it of nothing any more."""
    if listener in listeners:
        listeners.remove(listener)
        attended.pop()
