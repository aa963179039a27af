"""Linear algebra under PyTorch's names: `gradviz.linalg.inv`, `solve`, `svd`, ...

They are the op table's; what a family publishes with `@linear_algebra` is found here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradviz.core  # noqa: F401 - fills the table
from gradviz.core.ops.shapes import LinAlgError
from gradviz.core.public import LINALG
from gradviz.errors import missing_name

__all__ = ["LinAlgError"]


def __getattr__(name: str) -> Callable[..., Any]:
    if name in LINALG:
        return LINALG[name]
    raise missing_name(__name__, name, LINALG)


def __dir__() -> list[str]:
    return sorted([*LINALG, "LinAlgError"])
