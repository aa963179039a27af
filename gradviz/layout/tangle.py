"""Tangle: how much the segments between two rows cross each other."""

from __future__ import annotations

from collections.abc import Sequence
from operator import le


def weight_of_crossings(upper: Sequence[int], lower: Sequence[int], weights: Sequence[int], size: int) -> int:
    """The sum of the products of the weights of any two segments that cross.

    upper, lower    places of each segment's ends in the two rows
    size            how many places the lower row has
    """
    keys = [above * size + below for above, below in zip(upper, lower, strict=True)]
    ends = [key % size for key in sorted(keys)]
    if all(map(le, ends, ends[1:])):
        return 0
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
