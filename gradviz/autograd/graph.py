"""What is behind a result: its nodes, and hooks on what they save."""

from __future__ import annotations

from typing import Any, NamedTuple

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
