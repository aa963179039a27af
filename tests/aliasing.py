"""Small programs of views, in-place writes and grad modes, run on gradviz and on PyTorch alike, and what they leave.

A program is either text (`run_text`) or a list of steps (`run_steps`), which Hypothesis draws. Whatever a step raises
is noted and the program goes on, so that what an error leaves behind is compared too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import gradviz

MATRIX = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6], [-0.2, 0.9, 2.1]])
VECTOR = np.array([0.5, -0.25, 1.5])
LIBRARIES = (torch, gradviz)


def run_text(library: Any, program: str) -> dict[str, Any]:
    """Run program text in which `lib` is the library, `w` a (3, 3) leaf, `v` a (3,) leaf that require grad.

    Returns by name what is to be seen of every tensor at the end, and under "error" what the program raised.
    """
    names: dict[str, Any] = {
        "lib": library,
        "w": library.tensor(MATRIX, requires_grad=True),
        "v": library.tensor(VECTOR, requires_grad=True),
    }
    seen: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(program, "<program>", "exec"), names)
        except Exception as error:
            seen["error"] = complaint(error)
        for name, value in names.items():
            if isinstance(value, (torch.Tensor, gradviz.Tensor)):
                seen[name] = appearance(value)
    return seen


def complaint(error: Exception) -> tuple[str, str]:
    """An exception's type and first line."""
    return type(error).__name__, str(error).partition("\n")[0]


def attempt(question: Callable[[], Any]) -> Any:
    """The answer, or the complaint."""
    try:
        return question()
    except Exception as error:
        return complaint(error)


def appearance(tensor: Any) -> dict[str, Any]:
    """All that can be seen of a tensor, asked in a fixed order, because asking brings a view's node up to date."""
    return {
        "version": attempt(lambda: tensor._version),
        "requires_grad": tensor.requires_grad,
        "is_leaf": attempt(lambda: tensor.is_leaf),
        "chain": attempt(lambda: chain(tensor.grad_fn)),
        "is_view": tensor._is_view(),
        "values": numbers(tensor),
        "grad": attempt(lambda: None if tensor.grad is None else numbers(tensor.grad)),
    }


def chain(node: Any, depth: int = 4) -> Any:
    """The names of a node and of what its `next_functions` lead to."""
    if node is None or depth == 0:
        return None
    return (node.name(), *(chain(behind, depth - 1) for behind, _ in node.next_functions))


def numbers(tensor: Any) -> Any:
    """The elements, rounded to what both libraries agree on."""
    array = np.asarray(tensor.detach().numpy(), dtype=np.float64)
    return (np.round(array, 8) + 0.0).tolist()


# ---- programs that are drawn


@dataclass
class Step:
    """One statement: what it does, to which tensors of the pool, under which grad mode."""

    kind: str
    first: int
    second: int = 0
    mode: str = ""


@dataclass
class Pool:
    """The tensors of a program so far, and for each the one whose memory it started on."""

    library: Any
    tensors: list[Any] = field(default_factory=list)
    memories: list[int] = field(default_factory=list)
    log: list[Any] = field(default_factory=list)

    def put(self, tensor: Any, beside: int | None = None) -> None:
        """Add a tensor; beside: the pool's tensor with which it shares memory."""
        self.memories.append(len(self.tensors) if beside is None else self.memories[beside])
        self.tensors.append(tensor)


def run_steps(library: Any, steps: list[Step]) -> list[Any]:
    """Run the steps, then a backward pass from the sum of all that requires grad; returns all that was seen."""
    pool = Pool(library)
    pool.put(library.tensor(MATRIX, requires_grad=True))
    pool.put(library.tensor(VECTOR, requires_grad=True))
    pool.put(library.tensor(MATRIX) * 2)
    pool.put(pool.tensors[0] * 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            _bring_up_to_date(pool)
            with getattr(library, step.mode)() if step.mode else nullcontext():
                try:
                    _run(pool, step)
                except Exception as error:
                    pool.log.append(complaint(error))
        pool.log += [appearance(tensor) for tensor in pool.tensors]
        pool.log.append(attempt(lambda: _backward(pool)))
        pool.log += [appearance(tensor) for tensor in pool.tensors]
    return pool.log


def _bring_up_to_date(pool: Pool) -> None:
    """Ask for every node, as tracked steps do: gradviz asks in the others too, to know where data flowed."""
    for tensor in pool.tensors:
        attempt(lambda tensor=tensor: tensor.grad_fn)  # type: ignore[misc]


def _backward(pool: Pool) -> None:
    total: Any = 0.0
    for tensor in pool.tensors:
        if tensor.requires_grad:
            total = total + tensor.sum()
    if isinstance(total, float):
        return
    total.backward()


def _run(pool: Pool, step: Step) -> None:
    at = step.first % len(pool.tensors)
    tensor = pool.tensors[at]
    if step.kind in VIEWS:
        for view in VIEWS[step.kind](tensor, step.second):
            pool.put(view, at)
    elif step.kind in RESULTS:
        pool.put(RESULTS[step.kind](tensor, _operand(pool, at, step.second)))
    else:
        WRITES[step.kind](tensor, _operand(pool, at, step.second))


def _operand(pool: Pool, at: int, second: int) -> Any:
    """The pool's tensor `second` if it has the same shape; memory that is shared in part is copied first."""
    other = pool.tensors[second % len(pool.tensors)]
    if tuple(other.shape) != tuple(pool.tensors[at].shape):
        return 0.5
    if other is not pool.tensors[at] and pool.memories[second % len(pool.tensors)] == pool.memories[at]:
        return other.clone()
    return other


def _is_expanded(tensor: Any) -> bool:
    return any(step == 0 and length > 1 for step, length in zip(tensor.stride(), tensor.shape, strict=True))


def _mask(tensor: Any) -> Any:
    """True for every other element."""
    library = torch if isinstance(tensor, torch.Tensor) else gradviz
    return library.tensor(np.arange(tensor.numel()).reshape(tuple(tensor.shape)) % 2 == 0)


def _set(key: Any) -> Callable[[Any, Any], None]:
    def write(tensor: Any, other: Any) -> None:
        if tensor.ndim:
            tensor[key] = other if isinstance(other, float) else other[key]

    return write


VIEWS: dict[str, Callable[[Any, int], Any]] = {
    "select": lambda x, k: [x[k % x.shape[0]]] if x.ndim else [],
    "slice": lambda x, k: [x[k % x.shape[0] :]] if x.ndim else [],
    "column": lambda x, k: [x[..., k % x.shape[-1]]] if x.ndim else [],
    "whole": lambda x, k: [x[...]],
    "transpose": lambda x, k: [x.transpose(0, -1)],
    "flat": lambda x, k: [x.view(-1)],
    "unsqueeze": lambda x, k: [x.unsqueeze(0)] if x.ndim < 3 else [x.squeeze()],
    "expand": lambda x, k: [x.expand(2, *x.shape)] if x.ndim < 2 else [],
    "diagonal": lambda x, k: [x.diagonal()] if x.ndim > 1 else [],
    "unbind": lambda x, k: x.unbind(0)[:2] if x.ndim else [],
    "split": lambda x, k: x.split(2)[:2] if x.ndim else [],
    "detach": lambda x, k: [x.detach()] if not _is_expanded(x) else [],
    "data": lambda x, k: [x.data] if x.ndim and not _is_expanded(x) else [],
}
"""Steps that put tensors on the same memory."""

RESULTS: dict[str, Callable[[Any, Any], Any]] = {
    "mul": lambda x, y: x * y,
    "sin": lambda x, y: x.sin(),
    "sigmoid": lambda x, y: x.sigmoid(),
    "sum": lambda x, y: x.sum(),
    "clone": lambda x, y: x.clone(),
    "add": lambda x, y: x + y,
}
"""Steps that put a tensor on memory of its own."""

WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "add_": lambda x, y: x.add_(y),
    "mul_": lambda x, y: x.mul_(y),
    "sin_": lambda x, y: x.sin_(),
    "sigmoid_": lambda x, y: x.sigmoid_(),
    "zero_": lambda x, y: x.zero_(),
    "fill_": lambda x, y: x.fill_(0.25),
    "copy_": lambda x, y: x.copy_(y) if not isinstance(y, float) else None,
    "set_first": _set(0),
    "set_rest": _set(slice(1, None)),
    "set_all": _set(...),
    "set_list": _set([0]),
    "set_mask": lambda x, y: x.__setitem__(_mask(x), 0.75),
    "requires_grad_": lambda x, y: x.requires_grad_(),
    "retain_grad": lambda x, y: x.retain_grad(),
}
"""Steps that change a tensor."""

KINDS = (*VIEWS, *RESULTS, *WRITES)
MODES = ("", "", "", "no_grad", "enable_grad")
