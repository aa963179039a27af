"""Freed memory that stays at hand: what a step frees, the next step takes again.

The GNU C library gives the free end of its heap back to the system, and takes it anew page by page, each of which the
system clears first: a training step can spend half its time so. How much it keeps is twice the largest piece that was
ever freed, of pieces up to 32 MB. So one such piece is asked for, never written, and freed.
"""

from __future__ import annotations

import functools

import numpy as np

LARGEST = (32 << 20) - (1 << 16)
"""Bytes, with room for the piece's header."""


@functools.cache
def keep_at_hand() -> None:
    """From the first call on let the C library keep up to 64 MB of what is freed, by whomever in this process."""
    np.empty(LARGEST, np.uint8)
