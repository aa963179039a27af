"""What programs need around networks: data sets and loaders, in `gradviz.utils.data`."""

from __future__ import annotations

from gradviz.utils import data

__all__ = ["data"]
