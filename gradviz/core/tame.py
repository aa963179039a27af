"""Whether a quicker way to a result may be taken, which infinities and NaN would not come through as they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_tame(x: Any) -> bool:
    """Whether an array of floats has no NaN and nothing near infinity: the sum of its squares is finite."""
    line = x.reshape(-1)
    return math.isfinite(np.dot(line, line))
