"""Frames of folds: one around the first turn of each open fold, with the frames of regions that lie in it inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gradviz.graphs import LOOPS, Fold, Graph
from gradviz.picture.fold_words import frame_words
from gradviz.picture.records import Frame
from gradviz.picture.wording import Wording


def frame_folds(
    graph: Graph, words: Wording, frames: tuple[Frame, ...], frame_of: Mapping[int, str]
) -> tuple[tuple[Frame, ...], Mapping[int, str]]:
    """`frames` and those of the open folds, and the innermost frame of each op that lies in one.

    A fold has none where a region reaches from it to what is outside: frames would cross.
    """
    framer = _Framer(frames, frame_of)
    for fold in sorted((fold for fold in graph.folds if fold.open), key=lambda fold: -len(fold.ops)):
        title, pairs = frame_words(graph, fold, words)
        framer.add(fold, [op for op in fold.turns[0] if graph.ops[op].inputs], title, pairs)
    return tuple(framer.frames.values()), framer.home


class _Framer:
    """Frames by their id, and the one that each op lies in; what regions hold is looked up as it was at first."""

    def __init__(self, frames: tuple[Frame, ...], frame_of: Mapping[int, str]) -> None:
        self.frames = {frame.id: frame for frame in frames}
        self.home = dict(frame_of)
        self.held: dict[str, set[int]] = {frame.id: set() for frame in frames}
        self.inner: dict[str, list[str]] = {frame.id: [] for frame in frames}
        for op, home in frame_of.items():
            self.held[home].add(op)
        for frame in frames:
            if frame.parent is not None:
                self.inner[frame.parent].append(frame.id)

    def add(self, fold: Fold, ops: list[int], title: str, tooltip: tuple[tuple[str, str], ...]) -> None:
        """A frame around `ops`, which are those of the turn that is drawn."""
        paths = [self._path(frame) for frame in dict.fromkeys(self.home.get(op) for op in ops)]
        depth = 0
        while all(len(path) > depth for path in paths) and len({path[depth] for path in paths}) == 1:
            depth += 1
        around = paths[0][depth - 1] if depth else None
        inside = list(dict.fromkeys(path[depth] for path in paths if len(path) > depth))
        own = set(fold.ops) if inside else set()
        if any(not self._ops_in(frame) <= own for frame in inside):
            return
        kind = "loop" if fold.kind in LOOPS else "module"
        made = Frame(f"f{len(self.frames)}", kind, title, tooltip, around)
        self.frames[made.id] = made
        for frame in inside:
            self.frames[frame] = replace(self.frames[frame], parent=made.id)
        for op in fold.turns[0]:
            if self.home.get(op) in (around, None):
                self.home[op] = made.id

    def _path(self, frame: str | None) -> list[str]:
        """The frames around what lies in `frame`, outermost first."""
        path: list[str] = []
        while frame is not None:
            path.append(frame)
            frame = self.frames[frame].parent
        return path[::-1]

    def _ops_in(self, frame: str) -> set[int]:
        """The ops in a frame of a region and in the frames within."""
        found: set[int] = set()
        pending = [frame]
        while pending:
            inner = pending.pop()
            found |= self.held.get(inner, set())
            pending += self.inner.get(inner, ())
        return found
