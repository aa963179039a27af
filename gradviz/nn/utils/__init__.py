"""What is done to the gradients and the values of many parameters at once: clipping, and one long vector of them."""

from __future__ import annotations

from gradviz.nn.utils.clipping import clip_grad_norm_, clip_grad_value_, get_total_norm
from gradviz.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]
