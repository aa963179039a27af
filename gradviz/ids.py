"""Ids: the counters that producers draw from, so that two of them in one program never give one number away twice."""

from __future__ import annotations

import itertools
import threading

counter = itertools.count(1)
"""The one counter of values: an op's id is that of its first output."""
next_id = counter.__next__


def next_ids(count: int) -> int:
    """The first of `count` ids in a row. Those drawn while another thread drew one in between are given up."""
    while True:
        first = next_id()
        for following in range(first + 1, first + count):
            if next_id() != following:
                break
        else:
            return first


class Numbers:
    """What the producers of one recording count together. Each counter may be drawn from by any thread.

    signature, region, sweep    give the next number, from 0, 1 and 1
    """

    def __init__(self) -> None:
        self.signature = itertools.count().__next__
        self.region = itertools.count(1).__next__
        self.sweep = itertools.count(1).__next__
        self._thread = itertools.count(1).__next__
        self._here = threading.local()

    def thread(self) -> int:
        """The number of this thread: 0 for the main one; the others count up as they first ask."""
        number: int | None = getattr(self._here, "number", None)
        if number is None:
            main = threading.current_thread() is threading.main_thread()
            number = self._here.number = 0 if main else self._thread()
        return number
