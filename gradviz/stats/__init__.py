"""Stats: what a recorded program ran, kept for backward and spent, by module scope and by grad-mode region.

Reads the Graph only, so it holds alike for the numpy core, for PyTorch and for a log.
"""

from __future__ import annotations

from gradviz.stats.measuring import measure
from gradviz.stats.records import Estimate, RegionRow, ScopeRow, Stats, StepRow, SweepRow, Tally

__all__ = ["Estimate", "RegionRow", "ScopeRow", "Stats", "StepRow", "SweepRow", "Tally", "measure"]
