"""Vectors: all parameters as one long vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from gradviz.core.ops.joining import cat
from gradviz.core.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one tensor, which has their history."""
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give each parameter its part of a vector as its data. Raises TypeError for what is no tensor."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start, whole = 0, cast(Any, vec)
    for parameter in cast(Iterable[Any], parameters):
        count = parameter.numel()
        parameter.data = whole[start : start + count].view(parameter.shape).data
        start += count
