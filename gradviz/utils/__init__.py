"""What programs need around networks: data sets and loaders in `data`, recomputation in `checkpoint`."""

from __future__ import annotations

from gradviz.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
