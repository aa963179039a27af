"""Layout: a picture gets places. `arrange` finds them, `check` proves that nothing lies on anything else."""

from __future__ import annotations

from gradviz.layout.arrange import arrange
from gradviz.layout.check import check

__all__ = ["arrange", "check"]
