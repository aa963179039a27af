"""Clipping: gradients made no longer than a norm, or no larger than a value."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from gradviz.core.listeners import listeners
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born, fill


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for listener in tuple(listeners):
        for parameter in given:
            listener.acted("clip" if parameter._grad is None else "read_grad", parameter, sys._getframe(2))
    return [parameter._grad for parameter in given if parameter._grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all elements of all tensors. Raises RuntimeError for NaN and infinity, if asked to."""
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    kind: Any = given[0]._data.dtype.type if given else np.float32
    norms = np.array([_norm(tensor._data, norm_type) for tensor in given], kind)
    total = kind(_norm(norms, norm_type)) if given else kind(0)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it cannot "
            "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return born(np.asarray(total), False, Tensor, TABLE["tensor"])  # type: ignore[no-any-return]


def _norm(array: Any, order: float) -> Any:
    flat = np.abs(np.asarray(array).ravel())
    if order == math.inf:
        return flat.max(initial=0)
    if order == 2:
        return np.sqrt(np.dot(flat, flat))
    return np.power(np.power(flat, order).sum(), 1.0 / order)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients down, in place, so that their norm as one vector is at most `max_norm`.

    Returns the norm that they had. Raises RuntimeError for NaN and infinity, if asked to.
    """
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_gradients(given), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, max_norm, total)
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients down, in place, by as much as brings `total_norm` to `max_norm`."""
    total = total_norm._data
    factor = min(total.dtype.type(max_norm) / (total + total.dtype.type(1e-6)), 1.0)
    for gradient in _gradients(parameters):
        fill(gradient, gradient._data * gradient._data.dtype.type(factor))


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, **options: Any
) -> Tensor:
    """`clip_grad_norm_` by its older name. Warns that it is deprecated."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, **options)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Bring each element of all gradients, in place, to between -clip_value and clip_value."""
    for gradient in _gradients(parameters):
        fill(gradient, np.clip(gradient._data, -float(clip_value), float(clip_value)))
