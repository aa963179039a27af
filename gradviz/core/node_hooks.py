"""Hooks on nodes: `register_prehook`, which sees the gradients of its outputs, and `register_hook`, after it ran."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from gradviz.core.apply import leaf as new_leaf
from gradviz.core.grad_mode import in_backward
from gradviz.core.hooks import RemovableHandle, hooks_of
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Node


def register_hook(self: Node, fn: Callable[..., Any]) -> RemovableHandle:
    """Call `fn(grad_inputs, grad_outputs)` each time this node has run; what it returns replaces the first."""
    return RemovableHandle(hooks_of(self).after, fn)


def register_prehook(self: Node, fn: Callable[..., Any]) -> RemovableHandle:
    """Call `fn(grad_outputs)` each time this node is about to run; what it returns replaces them."""
    return RemovableHandle(hooks_of(self).before, fn)


def run_prehooks(node: Node, slots: list[Any]) -> None:
    """Show the cotangents of a node's outputs to its hooks, and put in their place what these give."""
    hooks = {} if node.hooks is None else node.hooks.before
    for hook in tuple(hooks.values()):
        given = _shown(slots)
        with _mode(slots):
            _replace(hook, hook(given), slots, range(len(slots)))


def run_hooks(node: Node, slots: list[Any], found: list[Any]) -> None:
    """Show the cotangents of a node's inputs and outputs to its hooks; what they give replaces the first."""
    hooks = {} if node.hooks is None else node.hooks.after
    if not hooks:
        return
    row = node.row
    formulas = row.formulas_of(len(node.links))
    places = [place for place, formula in enumerate(formulas) if formula is not None]
    for hook in tuple(hooks.values()):
        inputs, outputs = _shown([found[place] for place in places]), _shown(slots)
        with _mode(slots):
            _replace(hook, hook(inputs, outputs), found, places)


def _mode(slots: list[Any]) -> Any:
    return nullcontext() if any(isinstance(slot, Tensor) for slot in slots) else in_backward()


def _shown(slots: list[Any]) -> tuple[Tensor | None, ...]:
    return tuple(
        slot if slot is None or isinstance(slot, Tensor) else new_leaf(np.array(slot), "grad", False, inner=True)
        for slot in slots
    )


def _replace(hook: Any, result: Any, slots: list[Any], places: Any) -> None:
    if result is None:
        return
    results = result if isinstance(result, (tuple, list)) else (result,)
    if len(results) != len(places):
        name = getattr(hook, "__name__", hook)
        raise RuntimeError(
            f"hook '{name}' has returned an incorrect number of values (got {len(results)}, but expected {len(places)})"
        )
    with_graph = any(isinstance(slot, Tensor) for slot in slots)
    for place, one in zip(places, results, strict=True):
        slots[place] = one if one is None or with_graph else one._data
