"""Tangle: how much the segments between two rows cross each other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import le

_MANY = 2000
"""From so many segments on, moving what lies behind in a list takes longer than climbing a tree."""


def is_tangled(keys: Sequence[int], size: int) -> bool:
    """Whether any two segments cross; each has the key `upper * size + lower`, by the places of its ends.

    size: how many places the lower row has.
    """
    ends = [key % size for key in sorted(keys)]
    return not all(map(le, ends, ends[1:]))


def weight_of_crossings(keys: Sequence[int], weights: Iterable[int], size: int) -> int:
    """The sum of the products of the weights of any two segments that cross; for `keys` and `size` see above."""
    ordered = sorted(keys)
    ends = [key % size for key in ordered]
    if all(map(le, ends, ends[1:])):
        return 0
    weights = list(weights)
    weight_of = dict(zip(keys, weights, strict=True))
    segments: Iterable[tuple[int, int]]
    if len(weight_of) == len(keys):
        # Sorting plain numbers is quicker than sorting pairs.
        segments = zip(ends, map(weight_of.__getitem__, ordered), strict=True)
    else:
        segments = ((key % size, weight) for key, weight in sorted(zip(keys, weights, strict=True)))
    return _by_tree(segments, size) if len(keys) > _MANY else _by_list(segments)


def _by_list(segments: Iterable[tuple[int, int]]) -> int:
    # Where those before each segment end, in order, each as often as it weighs.
    before: list[int] = []
    total = 0
    for end, weight in segments:
        at = bisect_right(before, end)
        total += weight * (len(before) - at)
        if weight == 1:
            before.insert(at, end)
        else:
            before[at:at] = [end] * weight
    return total


def _by_tree(segments: Iterable[tuple[int, int]], size: int) -> int:
    sums = [0] * (size + 1)
    total, passed = 0, 0
    # A Fenwick tree over the lower row counts, for each segment, those before it that end further on.
    for end, weight in segments:
        index = end + 1
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
