"""Elementwise functions of many passes, run over large arrays by blocks: what one pass made, the next finds near."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK = 1 << 16
"""So many elements are computed at once: a few arrays of them are within the cache of a core."""


def in_blocks(function: Callable[..., Any], *operands: Any) -> Any:
    """`function` of arrays of one shape, which works element by element; of other things just its result."""
    first = operands[0]
    for operand in operands:
        small = not isinstance(operand, np.ndarray) or operand.size <= 2 * BLOCK
        if small or operand.shape != first.shape or not operand.flags.c_contiguous:
            return function(*operands)
    lines = [operand.reshape(-1) for operand in operands]
    begun = function(*[line[:BLOCK] for line in lines])
    out = np.empty(first.size, begun.dtype)
    out[:BLOCK] = begun
    for start in range(BLOCK, first.size, BLOCK):
        out[start : start + BLOCK] = function(*[line[start : start + BLOCK] for line in lines])
    return out.reshape(first.shape)
