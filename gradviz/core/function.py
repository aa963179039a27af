"""`autograd.Function`: ops of the user's own, each with a forward and a backward written in Python.

The node of such an op is also the `ctx` that its forward and its backward are given. The forward's ops are the
function's own affair: grad mode is off for them and nobody is told of them, only of the one op that they make up.
"""

from __future__ import annotations

import functools
import sys
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np

from gradviz.core.apply import apply, cause_of, connect, describe, wrap
from gradviz.core.apply import leaf as new_leaf
from gradviz.core.composites import Unheard, tell, untold_as
from gradviz.core.custom_rows import DELAYED_ERROR, row_of
from gradviz.core.grad_mode import Region, current, in_backward, is_grad_enabled, no_grad, switched
from gradviz.core.inplace import _adopt
from gradviz.core.kept import keep, unpacked
from gradviz.core.listeners import listeners
from gradviz.core.tensor import Tensor
from gradviz.core.trace import FREED, INPLACE, Node, Trace, Untracked, origin_of
from gradviz.sites import user_frame

_NO_BACKWARD = (
    "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward "
    "mode AD."
)
_LEGACY = (
    "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function "
    "with static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
)
_INSTANCE = (
    "{} should not be instantiated. Methods on autograd functions are all static, so you should invoke them on the "
    "class itself. Instantiating an autograd function will raise an error in a future version of PyTorch."
)
_LEAF_WRITTEN = "a leaf Variable that requires grad has been used in an in-place operation."
_NOT_RETURNED = (
    "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified "
    "inplace must all be outputs of the Function."
)


class FunctionNode(Node):
    """The node of a custom function, and the `ctx` of its forward and backward; what users set on it stays there."""

    needs_input_grad: tuple[bool, ...] = ()
    runs_on_nothing = True
    """As in PyTorch, where its backward is given zeros then."""

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for the backward, which finds them in `saved_tensors`; a write to one meanwhile is an error."""
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                kind = type(tensor).__name__
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {position} is of type {kind}"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved. Raises RuntimeError after it was freed, and where it was written since."""
        return unpacked(self, self.__dict__.get("_kept", ()))

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs the forward writes in place; it must return them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs never require grad."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """False: the backward is given None, not zeros, for an output that nothing came back to."""
        self._materialize = bool(value)

    @property
    def saved(self) -> Any:
        """The node itself, which is what the row's one derivative reads; the engine frees it by setting it."""
        return (self,)

    @saved.setter
    def saved(self, value: Any) -> None:
        if value is FREED and self.__dict__.get("_kept"):
            self._kept: Any = FREED

    @property
    def next_functions(self) -> Any:
        """Where the gradient goes on to, for each tensor among the arguments."""
        every = super().next_functions
        return tuple(one for one, link in zip(every, self.links, strict=True) if origin_of(link)[0] is not None)


class Function:
    """Base of custom functions: a static `forward(ctx, *args)` and a static `backward(ctx, *gradients)`.

    `apply(*args)` runs the forward and tracks it as one op, whose node is called `<name>Backward`. The backward gives
    a gradient, or None, for each argument of the forward. Instead of a `ctx` for its forward, a class may have a static
    `setup_context(ctx, inputs, output)`.
    """

    def __init__(self) -> None:
        warnings.warn(_INSTANCE.format(type(self)), DeprecationWarning, stacklevel=2)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(_LEGACY)

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the function computes."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what the backward needs, where `forward` takes no `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments from those of the outputs."""
        raise NotImplementedError(_NO_BACKWARD)

    vjp = backward

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run the function on these arguments."""
        return _applied(cls, args, user_frame(sys._getframe(1)))


def once_differentiable(backward: Any) -> Any:
    """Mark a backward whose result has no derivative: to differentiate it raises, rather than give a wrong one."""

    @functools.wraps(backward)
    def run(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            found = backward(ctx, *gradients)
        given = any(isinstance(one, Tensor) and one.requires_grad for one in gradients)
        if not is_grad_enabled() or not given:
            return found
        results = found if isinstance(found, tuple) else (found,)
        guarded = tuple(_guarded(one) if isinstance(one, Tensor) else one for one in results)
        return guarded if isinstance(found, tuple) else guarded[0]

    return run


def _guarded(result: Tensor) -> Tensor:
    return apply(DELAYED_ERROR, (result.detach().requires_grad_(),))


# ---- forward


def _applied(cls: Any, args: tuple[Any, ...], frame: Any) -> Any:
    row = row_of(cls, cls.__name__, _pulled, FunctionNode)
    ctx: Any = row.node_class()
    ctx._class, ctx._to_save, ctx._dirty, ctx._constant, ctx._materialize = cls, (), (), (), True
    ctx.needs_input_grad = tuple(isinstance(one, Tensor) and one.requires_grad for one in args)
    region = current()
    tracks = region is None or region.tracks
    links, needs, leaves = connect([one if _is_plain(one) else None for one in args], tracks)
    results = _forward(cls, ctx, args, region)
    single = not isinstance(results, tuple)
    outputs = (results,) if single else results
    tensors = [one for one in outputs if isinstance(one, Tensor)]
    for dirty in ctx._dirty:
        if not any(dirty is one for one in tensors):
            raise RuntimeError(_NOT_RETURNED)
        if tracks and dirty.requires_grad and not dirty._origin.tracked:
            raise RuntimeError(_LEAF_WRITTEN)
    open_ends = [
        one._data.dtype.kind == "f" and not any(one is other for other in ctx._constant) for one in tensors
    ]
    tracked = tracks and True in needs and True in open_ends
    constant = tuple(number for number, is_open in enumerate(open_ends) if not is_open)
    if constant:
        row = ctx.row = row_of(cls, cls.__name__, _pulled, FunctionNode, constant)
    step: Trace = ctx if tracked else Untracked()
    if not tensors:
        return results
    arrays = tuple(one._data for one in tensors)
    describe(step, row, links, needs, (), arrays[0], region, frame, arrays[1:])
    if tracked:
        ctx.leaves, ctx.marks = leaves, ()
        ctx._kept = keep(ctx, ctx._to_save, tensors)
    if isinstance(step, Untracked):
        cause_of(step, row, arrays[0], region)
    dirty, ctx._to_save, ctx._dirty, ctx._constant = ctx._dirty, (), (), ()
    placed = {}
    for number, (one, is_open) in enumerate(zip(tensors, open_ends, strict=True)):
        placed[number] = _placed(one, step, number, tracked and is_open, args, dirty, frame)
    if listeners:
        tell(step, frame, arrays if len(arrays) > 1 else arrays[0])
    numbers = iter(range(len(tensors)))
    finished = tuple(placed[next(numbers)] if isinstance(one, Tensor) else one for one in outputs)
    return finished[0] if single else finished


def _is_plain(value: Any) -> bool:
    """Whether an argument may be remembered: a tensor, or a number or text."""
    return isinstance(value, Tensor) or type(value) in (int, float, bool, str)


def _forward(cls: Any, ctx: Any, args: tuple[Any, ...], region: Region | None) -> Any:
    """Run the user's forward, unheard and with grad mode off."""
    outer = untold_as(Unheard())
    switched(Region("no_grad", False, region is not None and region.inference, region))
    try:
        if cls.setup_context is Function.setup_context:
            return cls.forward(ctx, *args)
        results = cls.forward(*args)
        cls.setup_context(ctx, args, results)
        return results
    finally:
        switched(region)
        untold_as(outer)


def _placed(
    one: Tensor, step: Trace, number: int, requires_grad: bool, args: Any, dirty: Any, frame: Any
) -> Tensor:
    """An output, made the result of the op."""
    if any(one is other for other in dirty):
        if one._storage.version is not None:
            one._storage.version += 1
        if number == 0 and step.links and one is args[0]:
            step.flags |= INPLACE
        _adopt(one, step, frame)
        if one._view is None and one._origin is step:
            one._number = number
        return one
    result = wrap(one._data, step, number, requires_grad)
    result._storage = one._storage
    if any(one is other for other in args) and not requires_grad:
        result._view = one._view
    return result


# ---- backward


def _pulled(g: Any, index: int, node: Any) -> Any:
    """The cotangent of one argument. The user's backward runs once for all of them, when the first is asked for."""
    known = node.__dict__.get("_results")
    if known is None or known[0] is not g:
        known = node._results = (g, _backward(node, g))
    result = known[1][index]
    wanted = [place for place, need in enumerate(node.needs) if need]
    if index == wanted[-1]:
        del node._results
    return result


def _backward(node: Any, g: Any) -> list[Any]:
    """Call the user's backward. Gives arrays for arrays, Tensors for Tensors."""
    slots = g if node.more else (g,)
    with_graph = any(isinstance(slot, Tensor) for slot in slots)
    shapes = ((node.shape, node.array_type), *node.more)
    run = node._class.backward
    if run is Function.backward:
        run = node._class.vjp
    with nullcontext() if with_graph else in_backward():
        gradients = _materialized(node, slots, shapes)
        found = run(node, *gradients)
    return _checked(node, found if isinstance(found, tuple) else (found,), with_graph)


def _materialized(node: Any, slots: Any, shapes: Any) -> list[Any]:
    """What the user's backward is given: a Tensor for each output, or None where nothing came back to it."""
    gradients: list[Any] = []
    for slot, (shape, array_type) in zip(slots, shapes, strict=True):
        if slot is None and node._materialize:
            slot = np.zeros(shape, array_type)
        if slot is not None and not isinstance(slot, Tensor):
            slot = new_leaf(np.array(slot), "grad", False, inner=True)
        gradients.append(slot)
    return gradients


def _checked(node: Any, found: tuple[Any, ...], with_graph: bool) -> list[Any]:
    """Raise PyTorch's errors where the number, the kinds or the shapes of the gradients are wrong."""
    name, count = node.name(), len(node.links)
    if len(found) > count and all(one is None for one in found[count:]):
        found = found[:count]
    if len(found) != count:
        raise RuntimeError(
            f"function {name} returned an incorrect number of gradients (expected {count}, got {len(found)})"
        )
    results: list[Any] = []
    tensors = 0
    for position, (one, link) in enumerate(zip(found, node.links, strict=True)):
        origin, number = origin_of(link)
        if origin is None and one is not None:
            raise RuntimeError(
                f"function {name} returned a gradient different than None at position {position + 1}, but the "
                "corresponding forward input was not a Variable"
            )
        if one is not None and not isinstance(one, Tensor):
            raise RuntimeError(f"expected Variable or None (got {type(one).__name__})")
        if one is not None and origin is not None:
            shape = origin.shape if number == 0 else origin.more[number - 1][0]
            if one._data.shape != shape and not _expands(shape, one._data.shape):
                raise RuntimeError(
                    f"Function {name} returned an invalid gradient at index {tensors} - got {list(one._data.shape)} "
                    f"but expected shape compatible with {list(shape)}"
                )
        tensors += origin is not None
        results.append(one if one is None or with_graph else one._data)
    return results


def _expands(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether `shape` broadcasts to `to`, so that a gradient of shape `to` can be summed to it."""
    if len(to) < len(shape):
        return False
    return all(have in (1, want) for have, want in zip(shape[::-1], to[::-1], strict=False))


