"""Ours: a graph drawn whole or as `gradviz render` folds it, with what a bench and the gallery say of a drawing."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass

import crossings
from gradviz_cli._folding import fold

from gradviz.fold.choice import Choice
from gradviz.graphs import Graph
from gradviz.layout import arrange, check
from gradviz.picture.composing import compose
from gradviz.picture.records import Picture
from gradviz.selecting import default_selection
from gradviz.views import Options
from gradviz.views.dot import digraph
from gradviz.views.svg import write

_COUNTED = 5_000
_CHECKED = 50_000


@dataclass(frozen=True)
class Ours:
    """A drawing of ours: CPU seconds of layout and SVG, size in pixels, crossings, and what `check` says of it.

    dot         the same boxes and wires for Graphviz
    crossings   None where there are too many wires to count them in
    """

    seconds: float
    svg: str
    dot: str
    boxes: int
    width: float
    height: float
    crossings: int | None
    problems: tuple[str, ...]


def whole(graph: Graph) -> Graph:
    """What is drawn of a graph where nothing is folded."""
    return default_selection(graph)


def folded(graph: Graph) -> Graph:
    """What is drawn of a graph where nothing is asked for."""
    return fold(Choice(), graph, default_selection(graph), "svg", ())


def draw(graph: Graph, rounds: int = 0) -> Ours:
    """Lay a graph out and write it, `rounds` times for a median, or as often as its size allows."""
    picture = compose(graph, Options())
    boxes = len(picture.boxes)
    taken = [seconds(picture) for _ in range(rounds or (15 if boxes < 500 else 5 if boxes < 5_000 else 3))]
    drawing = arrange(picture)
    svg = write(drawing)
    return Ours(
        statistics.median(taken),
        svg,
        digraph(picture, graph, Options()).source,
        boxes,
        drawing.width,
        drawing.height,
        crossings.of_drawing(drawing) if boxes <= _COUNTED else None,
        check(drawing) if boxes <= _CHECKED else (),
    )


def seconds(picture: Picture) -> float:
    """CPU seconds of layout and SVG, once."""
    gc.collect()
    start = time.process_time()
    write(arrange(picture))
    return time.process_time() - start
