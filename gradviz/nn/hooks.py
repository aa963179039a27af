"""Hooks of modules: what users attach to `forward` and to the backward of a module, and the calls around it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gradviz.core.apply import apply
from gradviz.core.hooks import RemovableHandle, hooks_of
from gradviz.core.listeners import listeners
from gradviz.core.ops.table import op
from gradviz.core.tensor import Tensor

if TYPE_CHECKING:
    from gradviz.nn.module import Module

Hook = Callable[..., Any]

PASS = op(
    "BackwardHookFunction(x)", lambda x: x, node="BackwardHookFunctionBackward", view=True, x=lambda g: g
)
"""The identity, with a node of its own, at which a module's gradients can be seen apart from all others."""


_NO_INPUTS = (
    "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs require "
    "gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module."
    "register_full_backward_hook for more details."
)


class Hooks:
    """The hooks of one module, by kind and by the number of their handle."""

    def __init__(self) -> None:
        self.any = False
        self.by_kind: dict[str, dict[int, Hook]] = {}
        self.with_kwargs: set[int] = set()
        self.always: set[int] = set()

    def add(
        self, kind: str, hook: Hook, prepend: bool = False, with_kwargs: bool = False, always: bool = False
    ) -> RemovableHandle:
        """Attach a hook; the handle takes it away."""
        self.any = True
        hooks = self.by_kind.setdefault(kind, {})
        handle = RemovableHandle(hooks, hook)
        if with_kwargs:
            self.with_kwargs.add(handle.id)
        if always:
            self.always.add(handle.id)
        if prepend:
            rest = {key: hooks.pop(key) for key in list(hooks) if key != handle.id}
            hooks.update(rest)
        return handle

    def of(self, kind: str) -> list[tuple[int, Hook]]:
        """The hooks of a kind with their numbers, in the order of their calls."""
        return list(self.by_kind.get(kind, {}).items())


def run_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `forward` with the module's hooks before and after it."""
    hooks = module._hooks
    called = set()
    try:
        for number, hook in hooks.of("before"):
            args, kwargs = _before(hook, number in hooks.with_kwargs, module, args, kwargs)
        backward, backward_before = hooks.of("backward"), hooks.of("backward_before")
        watch = _Watch(module, [hook for _, hook in backward], [hook for _, hook in backward_before])
        if backward or backward_before:
            args = watch.inputs(args)
        result = module.forward(*args, **kwargs)
        for number, hook in hooks.of("after"):
            called.add(number)
            given = (args, kwargs, result) if number in hooks.with_kwargs else (args, result)
            changed = hook(module, *given)
            result = result if changed is None else changed
        return watch.outputs(result) if backward or backward_before else result
    except Exception:
        for number, hook in hooks.of("after"):
            if number in hooks.always and number not in called:
                hook(module, *((args, kwargs, None) if number in hooks.with_kwargs else (args, None)))
        raise


def _before(
    hook: Hook, with_kwargs: bool, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if with_kwargs:
        both = hook(module, args, kwargs)
        if both is None:
            return args, kwargs
        if not isinstance(both, tuple) or len(both) != 2:
            raise RuntimeError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got " f"{both}."
            )
        return both
    changed = hook(module, args)
    if changed is None:
        return args, kwargs
    return (changed if isinstance(changed, tuple) else (changed,)), kwargs


class _Watch:
    """One call of a module whose gradients are to be seen."""

    def __init__(self, module: Module, hooks: Sequence[Hook], before: Sequence[Hook]) -> None:
        self._module = module
        self._hooks = hooks
        self._before = before
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._awaited: set[int] = set()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, their tensors passed on by way of nodes of their own."""
        self._inputs = [None] * len(args)
        passed = list(args)
        for position, given in enumerate(args):
            if isinstance(given, Tensor) and given.requires_grad:
                passed[position] = apply(PASS, (given,))
                if passed[position].requires_grad and self._hooks:
                    self._awaited.add(position)
                    _put(passed[position], partial(self._input_came, position), self._hooks)
        return tuple(passed)

    def outputs(self, result: Any) -> Any:
        """The result, its tensors passed on by way of nodes of their own."""
        parts = list(result) if isinstance(result, (tuple, list)) else [result]
        self._outputs = [None] * len(parts)
        for position, part in enumerate(parts):
            if isinstance(part, Tensor) and part.requires_grad:
                parts[position] = apply(PASS, (part,))
                if parts[position].requires_grad:
                    _put(parts[position], partial(self._output_came, position), self._before)
        return type(result)(parts) if isinstance(result, (tuple, list)) else parts[0]

    def _output_came(self, position: int, grad: Tensor) -> Tensor | None:
        changed: Tensor | None = None
        self._outputs[position] = grad
        for hook in self._before:
            replaced = hook(self._module, tuple(self._outputs))
            if replaced is not None:
                parts = replaced if isinstance(replaced, tuple) else (replaced,)
                changed = self._outputs[position] = parts[position]
        if not self._awaited and not any(grad is not None for grad in self._inputs) and self._hooks:
            warnings.warn(_NO_INPUTS, UserWarning, stacklevel=2)
            for hook in self._hooks:
                hook(self._module, (None,) * len(self._inputs), tuple(self._outputs))
        return changed

    def _input_came(self, position: int, grad: Tensor) -> Tensor | None:
        self._inputs[position] = grad
        self._awaited.discard(position)
        if self._awaited:
            return None
        changed: Tensor | None = None
        for hook in self._hooks:
            replaced = hook(self._module, tuple(self._inputs), tuple(self._outputs))
            if replaced is not None:
                parts = replaced if isinstance(replaced, tuple) else (replaced,)
                if len(parts) != len(self._inputs):
                    raise RuntimeError(
                        f"Backward hook returned an invalid number of grad_input, got {len(parts)}, but expected "
                        f"{len(self._inputs)}"
                    )
                self._inputs = list(parts)
                changed = self._inputs[position]
        return changed


def _put(tensor: Tensor, function: Hook, hooks: Sequence[Hook]) -> None:
    """Call `function` with the gradient of `tensor`; told of are the user's `hooks`, which it calls."""
    assert tensor.grad_fn is not None
    RemovableHandle(hooks_of(tensor.grad_fn).tensor_hooks.setdefault(tensor.output_nr, {}), function)
    for listener in tuple(listeners):
        for hook in hooks:
            listener.acted("hook", tensor, sys._getframe(2), hook)
