"""Ops whose derivative PyTorch refuses: what stands in their rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradviz.errors import NotDifferentiableError


def no_derivative(name: str) -> Callable[[Any], Any]:
    """A VJP for an op whose derivative PyTorch refuses too: it raises when a backward comes to it."""

    def refuse(g: Any) -> Any:
        raise NotDifferentiableError(f"derivative for aten::{name} is not implemented")

    refuse.refuses = True  # type: ignore[attr-defined]
    return refuse


NOT_IMPLEMENTED = "torch::autograd::NotImplemented"
"""PyTorch's name for the node of an op that has no derivative."""
