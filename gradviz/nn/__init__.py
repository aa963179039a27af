"""What networks are made of. So far the functions, in `gradviz.nn.functional`."""

from __future__ import annotations

from gradviz.nn import functional

__all__ = ["functional"]
