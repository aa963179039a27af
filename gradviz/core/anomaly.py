"""Anomaly mode: a backward pass that fails, or gives NaN, names the line of the forward that it fails for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.complaints import ANOMALY_HINT, HINT, noted
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Node
from gradviz.sites import decode, user_frame

_ENABLED = (
    "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging."
)


class _State:
    """enabled: look for failures. check_nan: look for NaN."""

    enabled = False
    check_nan = True


state = _State()


class set_detect_anomaly:
    """Turn anomaly mode on or off at once; as a context manager, put it back afterwards.

    check_nan: raise RuntimeError where a node gives NaN.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = state.enabled, state.check_nan
        state.enabled, state.check_nan = bool(mode), bool(check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        state.enabled, state.check_nan = self._before


class detect_anomaly:
    """A context in which a backward that fails names the forward line, and one that gives NaN fails."""

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan
        warnings.warn(_ENABLED, UserWarning, stacklevel=2)

    def __enter__(self) -> None:
        self._switch = set_detect_anomaly(True, self._check_nan)

    def __exit__(self, *error: object) -> None:
        self._switch.__exit__()


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return state.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether it looks for NaN."""
    return state.check_nan


def explain(node: Node, error: Exception) -> None:
    """Warn of the node that an error comes from, with its line in the user's script."""
    place = decode(node.code, node.lasti)
    text = (
        f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
        f'  File "{place.file}", line {place.line}, in {place.function}\n    {place.text.strip()}\n'
    )
    frame = user_frame(sys._getframe(1))
    warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)
    if error.args and isinstance(error.args[0], str):
        error.args = (error.args[0].replace(HINT, ANOMALY_HINT), *error.args[1:])


def refuse_nan(node: Node, found: Sequence[Any]) -> None:
    """Raise RuntimeError where NaN is among the cotangents of a node's inputs."""
    formulas = node.row.formulas_of(len(found))
    derived = [cotangent for cotangent, formula in zip(found, formulas, strict=True) if formula is not None]
    for number, cotangent in enumerate(derived):
        array = cotangent._data if isinstance(cotangent, Tensor) else cotangent
        if array is not None and np.isnan(array).any():
            raise noted(RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output."), node)
