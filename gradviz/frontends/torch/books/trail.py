"""The trail of a thread: which op made which autograd nodes, told without holding any of them."""

from __future__ import annotations

from array import array
from bisect import bisect_right

TRAIL_LIMIT = 1 << 20
"""Most ops of one thread whose autograd nodes can be told; beyond that the older half is let go."""

COUNTS = 1 << 12
"""One more than the most outputs of an op that `Trail` tells apart."""


class Trail:
    """Which op made which autograd nodes of one thread, told by the nodes' sequence numbers, which only grow.

    Each entry is the number that follows an op's last node, and the op's id with the count of its outputs; an entry
    for no op covers the numbers that recorded ops left out. `end` is the number that follows the last entry's nodes.
    """

    def __init__(self) -> None:
        self.ends = array("q")
        self.ops = array("q")
        self.end = 0
        self._recalled: dict[int, int] = {}

    def add(self, start: int, end: int, op: int, count: int = 1) -> None:
        """The nodes numbered from `start` to before `end` belong to `op`, which has `count` outputs."""
        ends, ops = self.ends, self.ops
        if start != self.end:
            ends.append(start)
            ops.append(0)
        self.end = end
        ends.append(end)
        ops.append(op * COUNTS + count if count < COUNTS else _packed(op, count))
        if len(ops) > TRAIL_LIMIT:
            del ends[: TRAIL_LIMIT // 2], ops[: TRAIL_LIMIT // 2]
            ops[0] = 0

    def recall(self, number: int, op: int, count: int) -> None:
        """A node made before anybody looked belongs to `op`."""
        self._recalled[number] = _packed(op, count)

    def op_of(self, number: int) -> int | None:
        """The op whose node has this sequence number, None where no recorded op made it."""
        at = bisect_right(self.ends, number)
        packed = self.ops[at] if at < len(self.ops) else 0
        return packed // COUNTS or None

    def value_of(self, number: int, index: int) -> int | None:
        """The value that is output `index` of a node, as nearly as can be told where an op has several nodes."""
        at = bisect_right(self.ends, number)
        packed = self.ops[at] if at < len(self.ops) else 0
        packed = packed or self._recalled.get(number, 0)
        if not packed:
            return None
        op, count = divmod(packed, COUNTS)
        return op + index if index < count else op


def _packed(op: int, count: int) -> int:
    return op * COUNTS + min(count, COUNTS - 1)
