"""What is behind a result: its nodes, and hooks on what they save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from gradviz.core.feeding import Sweep, running
from gradviz.core.packing import disable_saved_tensors_hooks as disable_saved_tensors_hooks
from gradviz.core.packing import saved_tensors_hooks as saved_tensors_hooks
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Node as Node


class save_on_cpu(saved_tensors_hooks):
    """A context in which what is saved for a backward is copied to the CPU, where it is anyway."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor.detach().clone(), lambda kept: kept)


class GradientEdge(NamedTuple):
    """Where a tensor's gradient comes from: a node, and as which of its outputs the tensor was made."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The node behind a tensor; behind a leaf the one that adds to its `.grad`. Raises RuntimeError without a graph."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node = tensor.grad_fn
    if node is None:
        node = tensor.view_as(tensor).grad_fn.next_functions[0][0]
    return GradientEdge(node, tensor.output_nr)


class _Handles:
    """What registering a hook on several tensors returns: `remove()` takes it from all of them."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take the hook away; calling it again does nothing."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all") -> _Handles:
    """Call `fn` once in each backward pass that comes to one of `tensors`; what it returns is ignored.

    mode: "all" calls `fn(grads)` when the gradients of all tensors that the pass comes to are there, None in place of
        the others'; "any" calls `fn(grad)` with the first one.
    Raises ValueError for another mode, AssertionError where mode "all" is to wait for a tensor without gradient.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors, lock = tuple(one for one in tensors if mode == "all" or one.requires_grad), Lock()
    if not all(one.requires_grad for one in tensors):
        raise AssertionError("Expected gradient function to be set")
    pending: dict[Sweep, list[Tensor | None]] = {}  # of passes that run at present
    done: list[Sweep] = []

    def arrived(position: int, grad: Tensor) -> None:
        sweep = running.get()
        assert sweep is not None  # it runs this hook
        with lock:
            if mode == "any":
                if sweep in done:
                    return
                done[:] = [one for one in done if one.frame is not None] + [sweep]
            else:
                for ended in [one for one in pending if one.frame is None]:
                    del pending[ended]
                grads = pending.setdefault(sweep, [None] * len(tensors))
                grads[position] = grad
                expected = sum(map(sweep.comes_to, tensors))
                if sum(one is not None for one in grads) < expected:
                    return
                del pending[sweep]
        fn(grad if mode == "any" else grads)

    def hook_at(position: int) -> Callable[[Tensor], None]:
        return lambda grad: arrived(position, grad)

    return _Handles([tensor.register_hook(hook_at(place)) for place, tensor in enumerate(tensors)])
