"""What is done to gradients and parameters: clipping, one long vector of them, `spectral_norm`; and `rnn`."""

from __future__ import annotations

from gradviz.nn.utils import rnn
from gradviz.nn.utils.clipping import clip_grad_norm_, clip_grad_value_, get_total_norm
from gradviz.nn.utils.spectral import remove_spectral_norm, spectral_norm
from gradviz.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
]
