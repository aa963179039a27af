"""Checks: what a library asked for itself, such as whether its arguments are in order, and the ops it asked with.

A recording tells of them, because nobody knows before whether a comparison's result has another use. Where it has none,
the check is no part of the graph: it is neither the user's value that left for Python nor an output of the program's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from gradviz.columns import Columns
from gradviz.events import CHECK


def drop_checks(columns: Columns, needed: Collection[int]) -> set[int]:
    """Take the checks out of the columns, and what was computed for them alone; the ids of these ops.

    needed: values that something besides an op refers to.
    """
    kinds, inputs = columns.kinds, columns.inputs
    pending = [id for id, row in columns.exits.items() if kinds[row].signature.name == CHECK]
    if not pending:
        return set()
    rows = (*columns.rows.values(), *columns.exits.values())
    uses = Counter(item for row in rows for item in inputs[row] if item.__class__ is int)
    dropped: set[int] = set()
    while pending:
        op = pending.pop()
        dropped.add(op)
        for item in inputs[columns.row(op)]:
            if not isinstance(item, int):
                continue
            uses[item] -= 1
            maker = columns.maker(item)
            signature = kinds[columns.rows[maker]].signature
            outputs = range(maker, maker + len(signature.outputs))
            if signature.tracked or signature.inplace or not inputs[columns.rows[maker]]:
                continue
            if not any(uses[value] or value in needed or columns.name(value) for value in outputs):
                pending.append(maker)
    for op in dropped:
        row = columns.rows.pop(op, None)
        if row is None:
            del columns.exits[op]
        else:
            for value in range(op + 1, op + len(kinds[row].signature.outputs)):
                del columns.others[value]
    return dropped
