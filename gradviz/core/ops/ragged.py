"""Sequences of different lengths: packed, all first elements, then all second ones, and so on; and padded again.

Lengths are in decreasing order, so the sequences that are left at a step are the first ones.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from gradviz.core.dual import added_at, taken_at
from gradviz.core.ops.table import Row, op


def sizes_of(lengths: tuple[int, ...]) -> list[int]:
    """How many sequences are left at each step."""
    return [sum(length > step for length in lengths) for step in range(max(lengths, default=0))]


def _places(lengths: tuple[int, ...]) -> tuple[Any, Any]:
    """Step and sequence of each packed element."""
    sizes = sizes_of(lengths)
    return np.repeat(np.arange(len(sizes)), sizes), np.array([*itertools.chain(*map(range, sizes))], np.int64)


def _padded(x: Any, lengths: tuple[int, ...], value: float, total: int) -> Any:
    whole = np.full((total, len(lengths), *x.shape[1:]), value, x.dtype)
    whole[_places(lengths)] = x
    return whole


PACK: Row = op(
    "_pack_padded_sequence(x, *, lengths)",
    lambda x, lengths: x[_places(lengths)],
    node="PackPaddedSequenceBackward0",
    x=lambda g, shape, lengths: added_at(g, shape, _places(lengths)),
)
PAD: Row = op(
    "_pad_packed_sequence(x, *, lengths, value, total)",
    _padded,
    node="PadPackedSequenceBackward0",
    x=lambda g, lengths: taken_at(g, _places(lengths)),
)
