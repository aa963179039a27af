"""Framing: which grad-mode regions a picture draws as frames, and in which of them each op lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gradviz.events import Role
from gradviz.graphs import Graph, Op, Region
from gradviz.picture.records import Frame
from gradviz.picture.wording import Wording, clean, dots


@dataclass(slots=True)
class _Draft:
    """A frame in the making: regions that the same line opened one right after the other share it."""

    id: str
    region: Region
    parent: str | None
    regions: set[int]
    ops: int = 0


@dataclass(slots=True)
class _Framer:
    graph: Graph
    drafts: list[_Draft] = field(default_factory=list)
    of_region: dict[int, _Draft] = field(default_factory=dict)
    chains: dict[tuple[int | None, bool], tuple[Region, ...]] = field(default_factory=dict)

    def chain(self, op: Op) -> tuple[Region, ...]:
        """The regions around the op that are drawn, outermost first."""
        key = (op.region, op.tracked)
        if key not in self.chains:
            around: list[Region] = []
            region = self.region(op.region)
            while region is not None and op.tracked and not region.enabled:
                region = self.region(region.parent)
            while region is not None:
                parent = self.region(region.parent)
                if parent is not None and self.is_foreign(region, parent):
                    # Switched off and on again, as an optimizer does around a function that it was given, is nothing.
                    region = parent if region.enabled == parent.enabled else self.region(parent.parent)
                    continue
                if not region.enabled or (parent is not None and not parent.enabled):
                    around.append(region)
                region = parent
            self.chains[key] = tuple(reversed(around))
        return self.chains[key]

    def is_foreign(self, *regions: Region) -> bool:
        """All of them were opened by a library: where the user's code called it, nothing is said of them."""
        sources = [self.graph.sites[region.site].text if region.site is not None else "" for region in regions]
        return all(text and region.kind not in text for text, region in zip(sources, regions, strict=True))

    def region(self, id: int | None) -> Region | None:
        return None if id is None else self.graph.regions.get(id)

    def draft(self, region: Region, parent: _Draft | None, previous: _Draft | None) -> _Draft:
        """The frame that shows `region`; `previous` is the one at the same depth around the op before."""
        known = self.of_region.get(region.id)
        if known is not None:
            return known
        parent_id = parent.id if parent is not None else None
        if previous is not None and previous.parent == parent_id and _same_opener(previous.region, region):
            previous.regions.add(region.id)
            self.of_region[region.id] = previous
            return previous
        made = _Draft(f"f{len(self.drafts)}", region, parent_id, {region.id})
        self.drafts.append(made)
        self.of_region[region.id] = made
        return made


def frame_ops(graph: Graph, words: Wording) -> tuple[tuple[Frame, ...], Mapping[int, str]]:
    """The frames, parents before children, and the frame of each op that lies in one.

    An enabling region is drawn only inside a disabling one, where it changes something, and not where a library opened
    both; nor is a region that a library opened in one of its own like it. A tracked op never lies in a
    frame that says that grad was off. A loop that opens the same region time after time gets one frame for those
    turns between which no op ran elsewhere, and one for each turn otherwise. Parameters and buffers lie in no frame.
    """
    if not graph.regions:
        return (), {}
    framer = _Framer(graph)
    frame_of: dict[int, str] = {}
    before: dict[int, list[_Draft]] = {}
    for op in graph.ops.values():
        if _is_made_before(graph, op):
            continue
        previous = before.get(op.thread, [])
        around: list[_Draft] = []
        for depth, region in enumerate(framer.chain(op)):
            beside = previous[depth] if depth < len(previous) else None
            around.append(framer.draft(region, around[-1] if around else None, beside))
        before[op.thread] = around
        if around:
            around[-1].ops += 1
            frame_of[op.id] = around[-1].id
    return tuple(_finish(draft, words) for draft in framer.drafts), frame_of


def _is_made_before(graph: Graph, op: Op) -> bool:
    """A parameter or a buffer comes with its module: the region that it was first seen in says nothing of it."""
    if op.inputs:
        return False
    roles = {graph.values[output].role for output in op.outputs}
    return bool(roles) and roles <= {Role.PARAMETER, Role.BUFFER}


def _same_opener(one: Region, other: Region) -> bool:
    return (
        one.site is not None
        and (one.site, one.kind, one.enabled, one.thread) == (other.site, other.kind, other.enabled, other.thread)
    )


def _finish(draft: _Draft, words: Wording) -> Frame:
    region = draft.region
    times = f"{len(draft.regions)} times" if len(draft.regions) > 1 else ""
    mode = "on" if region.enabled else "off"
    pairs = (("grad mode", mode), ("ops", f"{draft.ops:,}"), *words.place_pairs(region.site))
    if region.thread:
        pairs = (*pairs, ("thread", str(region.thread)))
    title = dots(clean(region.kind), words.line(region.site), times)
    return Frame(draft.id, "region", title, pairs, draft.parent, tuple(sorted(draft.regions)))
