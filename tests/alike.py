"""One program, two libraries: what it observes with gradviz must be what it observes with PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import gradviz


def assert_alike(program: Callable[[Any], Any]) -> None:
    """Run `program(library)` with both and compare what it returns, tensors by value, dtype and autograd state."""
    ours, theirs = observe(program, gradviz), observe(program, torch)
    assert ours == theirs


def observe(program: Callable[[Any], Any], library: Any) -> Any:
    """What the program returned or raised, and what it warned of, in plain Python objects."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = plain(program(library))
        except (RuntimeError, TypeError, ValueError, IndexError, AssertionError) as error:
            result = f"{type(error).__name__}: {text(error)}"
    told = [f"{warning.category.__name__}: {warning.message}".split("(Triggered")[0].strip() for warning in caught]
    return result, told


def text(error: BaseException) -> str:
    """An error's own text, without the C++ stack that PyTorch adds to some."""
    return str(error).split("\nException raised from")[0].rstrip()


def plain(value: Any) -> Any:
    """A value in terms that both libraries share."""
    if isinstance(value, gradviz.Tensor | torch.Tensor):
        node = value.grad_fn
        return {
            "value": np.round(np.asarray(value.detach().numpy(), dtype=float), 5).tolist(),
            "dtype": str(value.dtype).split(".")[-1],
            "requires_grad": value.requires_grad,
            "is_leaf": value.is_leaf,
            "node": node.name() if node is not None else None,
        }
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {text(value)}"
    return value
