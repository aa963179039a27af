"""Pointing: which tensors a failing line is about, where the error does not say it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.facts import Facts


def pointed_at(facts: Facts, place: int | None) -> Iterator[int]:
    """The values that were made on the line at `place`, or whose names stand in it, newest first."""
    graph = facts.graph
    site = graph.sites.get(place) if place is not None else None
    if site is None:
        return
    words = set(re.findall(r"[A-Za-z_]\w*", site.text))
    for word in re.findall(r"[A-Za-z_][\w.]*", site.text):  # of `self.codes.numpy` also `self.codes`
        parts = word.split(".")
        words.update(".".join(parts[:count]) for count in range(2, len(parts) + 1))
    for op in sorted(graph.ops.values(), key=lambda op: -op.id):
        made = graph.sites.get(op.site) if op.site is not None else None
        here = made is not None and (made.file, made.line) == (site.file, site.line)
        for output in op.outputs:
            if here or facts.name(output) in words:
                yield output
