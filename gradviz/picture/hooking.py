"""Hooking: which boxes a hook stands at, that is, a function of the program's that is called with a gradient there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gradviz.graphs import Graph
from gradviz.hooked import HOOK, later_versions
from gradviz.picture.records import Box
from gradviz.picture.wording import TOOLTIP_LIMIT, Wording, clean, dots, join

WORD = "hook"
"""What the second line of such a box ends with."""


def mark_hooks(boxes: Iterable[Box], graph: Graph, words: Wording, data: Mapping[int, str]) -> tuple[Box, ...]:
    """`boxes` with the hooks told; `data` says which box each value comes from.

    A tooltip names the function and the line that registered it, as far as the recording tells.
    """
    told: dict[str, dict[str, None]] = {}
    versions = later_versions(graph)
    for act in graph.acts:
        if act.kind == HOOK:
            place = words.line(act.site)
            hook = f"{clean(act.text)}, {place}" if act.text and place else clean(act.text) or place
            for value in versions.get(act, act.values):
                if value in data:
                    told.setdefault(data[value], {})[hook] = None
    if not told:
        return tuple(boxes)
    return tuple(_marked(box, list(told[box.id])) if box.id in told else box for box in boxes)


def _marked(box: Box, hooks: list[str]) -> Box:
    named = clean(join(hooks), TOOLTIP_LIMIT)
    return replace(box, detail=dots(box.detail, WORD), tooltip=((WORD, named), *box.tooltip), hooked=True)
