"""Losses, activations and layers as functions, under PyTorch's names: `gradviz.nn.functional.cross_entropy`.

They are the op table's; what a family publishes with `@functional` is found here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradviz.core  # noqa: F401 - fills the table
from gradviz.core.public import FUNCTIONAL
from gradviz.errors import missing_name


def __getattr__(name: str) -> Callable[..., Any]:
    if name in FUNCTIONAL:
        return FUNCTIONAL[name]
    raise missing_name(__name__, name, FUNCTIONAL)


def __dir__() -> list[str]:
    return sorted(FUNCTIONAL)
