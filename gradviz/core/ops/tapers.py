"""Windows of signals: `hann_window`, `hamming_window`, `blackman_window`, `bartlett_window`, `kaiser_window`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.creation import DType, array_type, born, check_device, source
from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor

Shape = Callable[..., Any]
"""Heights at places from 0 to 1, and what the window may be given besides."""


def _published(name: str, heights: Shape, **defaults: float) -> None:
    source(name)

    def call(
        window_length: int,
        periodic: bool = True,
        *more: float,
        dtype: DType = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        **named: float,
    ) -> Tensor:
        check_device(device)
        count, kind = _length(name, window_length), np.dtype(array_type(name, dtype))
        if kind.kind != "f":
            raise RuntimeError(
                f"{name} expects floating point dtypes, got: TensorOptions(dtype="
                f"{dtypes.of(np.zeros(0, kind)).type_name.removesuffix('Tensor').lower()})"
            )
        given = dict(zip(defaults, more, strict=False)) | named
        unknown = [*more[len(defaults) :], *(set(given) - set(defaults))]
        if unknown:
            raise TypeError(f"{name}() got an unexpected argument: {unknown[0]!r}")
        last = count if periodic else count - 1
        places = np.arange(count) / max(last, 1)
        array = heights(places, **(defaults | given)) if count > 1 else np.ones(count)
        return born(name, array.astype(kind), requires_grad)

    call.__name__ = call.__qualname__ = name
    more = "".join(f", {key}={value}" for key, value in defaults.items())
    call.__doc__ = (
        f"`{name}(window_length, periodic=True{more})`: a window. periodic: one place more is left out at its end, so "
        "that it can be repeated. Raises RuntimeError for a negative length and for a dtype that is not floating."
    )
    FUNCTIONS[name] = call


def _length(name: str, given: Any) -> int:
    try:
        count = operator.index(given)
    except TypeError:
        kind = type(given).__name__
        raise TypeError(f"{name}(): argument 'window_length' (position 1) must be int, not {kind}") from None
    if count < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={count}")
    return count


def _kaiser(places: Any, beta: float) -> Any:
    return np.i0(beta * np.sqrt(np.maximum(1 - (2 * places - 1) ** 2, 0))) / np.i0(beta)


_published("hann_window", lambda t: 0.5 - 0.5 * np.cos(2 * np.pi * t))
_published("hamming_window", lambda t, alpha, beta: alpha - beta * np.cos(2 * np.pi * t), alpha=0.54, beta=0.46)
_published("blackman_window", lambda t: 0.42 - 0.5 * np.cos(2 * np.pi * t) + 0.08 * np.cos(4 * np.pi * t))
_published("bartlett_window", lambda t: 1 - np.abs(2 * t - 1))
_published("kaiser_window", _kaiser, beta=12.0)
