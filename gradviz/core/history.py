"""The history behind a Trace is bounded, so a loop under `no_grad` runs in constant memory.

When more than `HISTORY_LIMIT` traces lie behind a new one, the oldest half is let go and counted.
"""

from __future__ import annotations

from typing import Any

from gradviz.core.trace import HISTORY_LIMIT, Untracked, without_history


def bound(trace: Untracked) -> None:
    """Set how much history lies behind a new `trace`, and let go of the oldest where it is too much.

    `past` never undercounts: it is the smaller of the sum over the inputs (which counts shared history twice) and the
    span of ids back to the oldest (which counts unrelated ops), and the trace itself.
    """
    past = 0
    oldest = trace.id
    for link in trace.links:
        origin = link[0] if type(link) is tuple else link
        if isinstance(origin, Untracked) and origin.past:
            past += origin.past
            if origin.oldest < oldest:
                oldest = origin.oldest
    span = trace.id - oldest
    trace.past = (past if past < span else span) + 1 if trace.links else 0
    trace.oldest = oldest
    if trace.past > HISTORY_LIMIT + 1 or len(trace.links) > HISTORY_LIMIT:
        _let_go(trace)


def _let_go(trace: Untracked) -> None:
    """Keep the newest half of the limit behind `trace`; cut the links of the rest and count them."""
    found = {id(trace): trace}
    queue: list[Untracked] = [trace]
    for step in queue:
        for link in step.links:
            origin = link[0] if type(link) is tuple else link
            if _has_past(origin) and id(origin) not in found:
                found[id(origin)] = origin
                queue.append(origin)
    if len(queue) - 1 > HISTORY_LIMIT:
        queue.sort(key=lambda step: -step.id)
        kept, rest = queue[: HISTORY_LIMIT // 2 + 1], queue[HISTORY_LIMIT // 2 + 1 :]
        ends: dict[int, Untracked] = {}
        for step in kept:
            _end_history(step, kept[-1].id, ends)
        hidden = len(rest) + sum(step.forgotten for step in rest) - len(ends)
        last = min(ends.values(), key=lambda end: end.id)
        last.forgotten += max(0, hidden - sum(end.forgotten for end in ends.values()))
        queue = kept
    if len(trace.links) > HISTORY_LIMIT:
        trace.forgotten += len(trace.links) - HISTORY_LIMIT
        trace.links = trace.links[:HISTORY_LIMIT]
        trace.needs = trace.needs[:HISTORY_LIMIT]
    trace.past = len(queue)
    trace.oldest = min(step.id for step in queue)


def _has_past(origin: Any) -> bool:
    """True for an untracked op with inputs, or one that had some."""
    return isinstance(origin, Untracked) and origin.past > 0


def _end_history(step: Untracked, oldest: int, ends: dict[int, Untracked]) -> None:
    """Replace the links of `step` to what is older by stand-ins, which have its name and shape but no history."""
    for position, link in enumerate(step.links):
        origin = link[0] if type(link) is tuple else link
        if _has_past(origin) and origin.id < oldest:
            if origin.id not in ends:
                ends[origin.id] = without_history(origin)
            end = ends[origin.id]
            step.links = (*step.links[:position], (end, link[1]) if type(link) is tuple else end, *step.links[position + 1 :])
