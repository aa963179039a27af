"""`checkpoint`: keep nothing of a part of the forward, and run it again when the backward comes to it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

from gradviz.core.apply import leaf
from gradviz.core.composites import Unheard, called, maker, untold, untold_as
from gradviz.core.engine import backward
from gradviz.core.function import Function
from gradviz.core.grad_mode import enable_grad, in_backward
from gradviz.core.packing import saved_tensors_hooks
from gradviz.core.random import stream
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Link, Untracked, faint, origin_of
from gradviz.errors import NotWrittenError
from gradviz.ids import next_id
from gradviz.sites import user_frame

_NOT_SAID = (
    "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in PyTorch 2.9, calling "
    "checkpoint without use_reentrant will raise an exception. use_reentrant=False is recommended, but if you need to "
    "preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for more details on the "
    "differences between the two variants."
)


class CheckpointError(RuntimeError):
    """What ran again was not what had run."""


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    **kwargs: Any,
) -> Any:
    """`function(*args)`, of which nothing is saved: the backward runs it again, and saves what it needs then.

    use_reentrant: True makes it one node that runs a backward of its own; False keeps the nodes, and runs the function
        again when the first of them is asked for what it saved.
    preserve_rng_state: draw the same random numbers again.
    """
    if context_fn is not None:
        raise NotWrittenError("`context_fn` of `checkpoint` is not written yet")
    if use_reentrant is None:
        frame = user_frame(sys._getframe(1))
        warnings.warn_explicit(_NOT_SAID, UserWarning, frame.f_code.co_filename, frame.f_lineno)
        use_reentrant = True
    if not use_reentrant:
        return _Recomputation(function, args, kwargs, preserve_rng_state).run()
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if not any(isinstance(one, Tensor) and one.requires_grad for one in args):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", UserWarning, stacklevel=2)
    return _as_one_node(_Part(function, preserve_rng_state), *args)


class _Part:
    """A part of the forward, and what requires grad of all that it reads besides its arguments: weights."""

    def __init__(self, run: Callable[..., Any], preserve: bool) -> None:
        self.run = run
        self.preserve = preserve
        self.read: dict[tuple[int, int], Link] = {}

    def run_first(self, *args: Any) -> Any:
        """Run it, and take note of what it reads. It runs unheard, and its ops wait where they can be looked at."""
        steps, first = untold(), next_id()
        results = self.run(*args)
        for step, _ in steps or ():
            for link, need in zip(step.links, step.needs, strict=True):
                origin, number = origin_of(link)
                if need and origin is not None and origin.id < first:
                    self.read.setdefault((origin.id, number), link)
        return results


class CheckpointFunction(Function):
    """A part of the forward as one node, whose backward runs it again and then backward through it."""

    @staticmethod
    def forward(ctx: Any, part: _Part, *args: Any) -> Any:
        """Run the part with grad mode off."""
        ctx.run, ctx.args = part.run, [None if isinstance(one, Tensor) else one for one in args]
        ctx.places = [place for place, one in enumerate(args) if isinstance(one, Tensor)]
        ctx.drawn = stream(None).get_state() if part.preserve else None
        ctx.save_for_backward(*(args[place] for place in ctx.places))
        return part.run_first(*args)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Run it again with grad mode on, and backward through what that gives."""
        arguments = list(ctx.args)
        for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            arguments[place] = _begun_anew(tensor)
        with _drawing_again(ctx.drawn), enable_grad():
            outputs = ctx.run(*arguments)
        pairs = [
            (output, gradient)
            for output, gradient in zip(
                outputs if isinstance(outputs, tuple) else (outputs,), gradients, strict=True
            )
            if isinstance(output, Tensor) and output.requires_grad
        ]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([output for output, _ in pairs], [gradient for _, gradient in pairs])
        return (None, *(one._grad if isinstance(one, Tensor) else None for one in arguments))


@called("checkpoint")
def _as_one_node(part: _Part, *args: Any) -> Any:
    result = CheckpointFunction.apply(part, *args)
    made = maker(result)
    if made is not None and made.row.name == CheckpointFunction.__name__:
        given = [(one._origin, one._number, one.requires_grad) for one in args if isinstance(one, Tensor)]
        links = [(origin, number) if number else origin for origin, number, _ in given]
        passed = {(origin.id, number) for origin, number, _ in given}
        read = [link for key, link in part.read.items() if key not in passed]
        told = tuple([*links, *read] if made.tracked else map(faint, [*links, *read]))
        made.whole = told, (*(need for _, _, need in given), *(True for _ in read))
        if isinstance(made, Untracked) and read and made.region is not None and not made.region.tracks:
            made.cause = made.region.cause
    return result


class _drawing_again:
    """A context that draws the random numbers of an earlier time, and then goes on where it was."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def __enter__(self) -> None:
        if self._state is not None:
            self._now = stream(None).get_state()
            stream(None).set_state(self._state)

    def __exit__(self, *error: object) -> None:
        if self._state is not None:
            stream(None).set_state(self._now)


class _Recomputation:
    """A part of the forward whose nodes saved numbers instead of tensors: which of them it was."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], preserve: bool
    ) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._drawn = stream(None).get_state() if preserve else None
        self._count = 0
        self._found: dict[int, Tensor] = {}

    def run(self) -> Any:
        with saved_tensors_hooks(self._pack, self._unpack):
            return self._function(*self._args, **self._kwargs)

    def _pack(self, tensor: Tensor) -> int:
        self._count += 1
        return self._count - 1

    def _unpack(self, number: int) -> Tensor:
        if number not in self._found:
            self._run_again()
        return self._found.pop(number)

    def _run_again(self) -> None:
        again: list[Tensor] = []

        def keep(tensor: Tensor) -> Tensor:
            again.append(_unrecorded(tensor))
            return again[-1]

        outer = untold_as(None)  # a pass that makes a graph lets nobody listen, and these hooks listen
        try:
            with in_backward(), _drawing_again(self._drawn), enable_grad(), saved_tensors_hooks(keep, _itself):
                self._function(*self._args, **self._kwargs)
        finally:
            untold_as(outer)
        if len(again) != self._count:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {self._count}\nNumber of tensors saved "
                f"during recomputation: {len(again)}."
            )
        self._found = dict(enumerate(again))


def _begun_anew(tensor: Tensor) -> Tensor:
    """A leaf on the memory of an argument, from which the part is run again. No gradient is lost at it."""
    made = leaf(tensor._data, "detach", tensor.requires_grad, inner=True)
    made._storage = tensor._storage
    return made


def _unrecorded(tensor: Tensor) -> Tensor:
    """The tensor without its history; no recording hears of it."""
    outer = untold_as(Unheard())
    try:
        return leaf(tensor._data, "grad", False, inner=True)
    finally:
        untold_as(outer)


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """A sequence of functions in `segments` parts, each but the last in a `checkpoint` of its own."""
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant is None:
        frame = user_frame(sys._getframe(1))
        text = _NOT_SAID.replace("checkpoint: the", "checkpoint.checkpoint_sequential: the")
        warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)
        use_reentrant = True
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def part(first: int, last: int) -> Callable[..., Any]:
        def run(given: Any) -> Any:
            for step in steps[first:last]:
                given = step(given)
            return given

        return run

    length, start = len(steps) // segments, 0
    for _ in range(segments - 1):
        input = checkpoint(
            part(start, start + length), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state
        )
        start += length
    return part(start, len(steps))(input)
