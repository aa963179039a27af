"""Tangle: how much the segments between two rows cross each other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import le

_MANY = 2000
"""From so many segments on, moving what lies behind in a list takes longer than climbing a tree."""


def is_tangled(keys: Sequence[int], size: int) -> bool:
    """Whether any two segments cross; each has the key `upper * size + lower`, by the places of its ends.

    size: how many places the lower row has.
    """
    ends = [key % size for key in sorted(keys)]
    return not all(map(le, ends, ends[1:]))


def weight_of_crossings(keys: Sequence[int], weights: Sequence[int], size: int) -> int:
    """The sum of the products of the weights of any two segments that cross; for `keys` and `size` see above."""
    if len(keys) > _MANY:
        return _by_tree(keys, weights, size)
    # Where those before each segment end, in order, each as often as it weighs.
    ends: list[int] = []
    total = 0
    for key, weight in sorted(zip(keys, weights, strict=True)):
        end = key % size
        at = bisect_right(ends, end)
        total += weight * (len(ends) - at)
        if weight == 1:
            ends.insert(at, end)
        else:
            ends[at:at] = [end] * weight
    return total


def _by_tree(keys: Sequence[int], weights: Sequence[int], size: int) -> int:
    sums = [0] * (size + 1)
    total, passed = 0, 0
    # A Fenwick tree over the lower row counts, for each segment, those before it that end further on.
    for key, weight in sorted(zip(keys, weights, strict=True)):
        index = key % size + 1
        before, at = 0, index
        while at > 0:
            before += sums[at]
            at -= at & -at
        total += weight * (passed - before)
        while index <= size:
            sums[index] += weight
            index += index & -index
        passed += weight
    return total
