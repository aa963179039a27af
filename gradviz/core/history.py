"""The history behind a Trace is bounded, so a loop under `no_grad` runs in constant memory.

When more than `HISTORY_LIMIT` traces lie behind a new one, the oldest half is let go and counted.
"""

from __future__ import annotations

import operator

from gradviz.core.trace import HISTORY_LIMIT, Link, Untracked, without_history


def bound(trace: Untracked) -> None:
    """Set how much history lies behind a new `trace`, and let go of the oldest where it is too much.

    `past` never undercounts: it is the smaller of the sum over the inputs (which counts shared history twice) and the
    span of ids back to the oldest (which counts unrelated ops), and the trace itself.
    """
    past = 0
    oldest = trace.id
    for link in trace.links:
        if type(link) is tuple:
            link = link[0]
        if type(link) is Untracked and link.past:
            past += link.past
            if link.oldest < oldest:
                oldest = link.oldest
    span = trace.id - oldest
    trace.past = (past if past < span else span) + 1 if trace.links else 0
    trace.oldest = oldest
    if trace.past > HISTORY_LIMIT + 1 or len(trace.links) > HISTORY_LIMIT:
        _let_go(trace)


def _let_go(trace: Untracked) -> None:
    """Keep the newest half of the limit behind `trace`; cut the links of the rest and count them."""
    found = {id(trace)}
    queue: list[Untracked] = [trace]
    for step in queue:
        for link in step.links:
            if type(link) is tuple:
                link = link[0]
            # A leaf is no history, and most links lead to one, or to what tracks gradient.
            if type(link) is Untracked and link.past and id(link) not in found:
                found.add(id(link))
                queue.append(link)
    if len(queue) - 1 > HISTORY_LIMIT:
        queue.sort(key=_by_id, reverse=True)
        kept, rest = queue[: HISTORY_LIMIT // 2 + 1], queue[HISTORY_LIMIT // 2 + 1 :]
        ends: dict[int, Untracked] = {}
        oldest = kept[-1].id
        for step in kept:
            for link in step.links:
                if type(link) is tuple:
                    link = link[0]
                if type(link) is Untracked and link.id < oldest and link.past:
                    step.links = tuple([_ended(link, oldest, ends) for link in step.links])
                    break
            if step.rare is not None and step.whole is not None:
                links, needs = step.whole
                step.whole = tuple([_ended(link, oldest, ends) for link in links]), needs
        hidden = len(rest) - len(ends)
        hidden += sum([step.forgotten for step in rest if step.rare is not None])
        last = min(ends.values(), key=_by_id)
        last.forgotten += max(0, hidden - sum(end.forgotten for end in ends.values()))
        queue = kept
    if len(trace.links) > HISTORY_LIMIT:
        trace.forgotten += len(trace.links) - HISTORY_LIMIT
        trace.links = trace.links[:HISTORY_LIMIT]
        trace.needs = trace.needs[:HISTORY_LIMIT]
    trace.past = len(queue)
    trace.oldest = min(map(_by_id, queue))


_by_id = operator.attrgetter("id")


def _is_older(link: Link, oldest: int) -> bool:
    """Whether a link leads to history from before op `oldest`."""
    origin = link[0] if type(link) is tuple else link
    return type(origin) is Untracked and origin.id < oldest and origin.past > 0


def _ended(link: Link, oldest: int, ends: dict[int, Untracked]) -> Link:
    """The link, or where it leads to older history one to a stand-in, which has name and shape but no history."""
    if not _is_older(link, oldest):
        return link
    origin, number = link if type(link) is tuple else (link, 0)
    end = ends.get(origin.id)
    if end is None:
        end = ends[origin.id] = without_history(origin)
    return (end, number) if number else end
