"""What drawings of real models cost and look like: `python tests/bench/bench_models.py [--no-dot] [--only NAME]`.

For each model of the zoo, one training step is recorded and drawn. Times are CPU seconds, medians, for layout and SVG;
beside them stand torchviz with `dot`, and `dot` on our own DOT, which has the same boxes and wires. Sizes are in pixels
as a browser shows them. Crossings are counted in the paths of all three alike, see `tests/crossings.py`. Exits with 1
over a bar.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gradviz.layout import arrange, check
from gradviz.picture.composing import compose
from gradviz.picture.records import Picture
from gradviz.selecting import default_selection
from gradviz.views import Options
from gradviz.views.dot import digraph
from gradviz.views.svg import write

sys.path.insert(0, str(Path(__file__).parents[1]))
import crossings
import rivals
import zoo

SMALL, SMALL_RATIO = 500, 5.0
"""Up to so many boxes, a drawing is at least so many times as fast as torchviz with `dot`."""

RATIOS = {"ResNet-152": 10.0, "GPT-2": 10.0, "BERT-24": 25.0}
SECONDS = {
    "ResNet-18": 0.008, "DenseNet-121": 0.1, "LSTMCell-100": 0.1, "LSTM-100": 0.1, "LSTM-500": 0.6, "LSTM-2000": 2.5,
}  # fmt: skip

COUNTED = 5_000
"""In drawings of up to so many boxes the crossings are counted."""

CHECKED = 50_000
"""Drawings of up to so many boxes are checked."""


@dataclass(frozen=True)
class Ours:
    """A drawing of ours."""

    seconds: float
    boxes: int
    width: float
    height: float
    crossings: int | None
    problems: tuple[str, ...]

    def __str__(self) -> str:
        told = f"{self.boxes:6,} boxes{self.seconds * 1e3:9.1f} ms{size(self.width, self.height)}"
        if self.crossings is not None:
            told += f"{self.crossings:7,} crossings"
        return told + (f"  {len(self.problems)} PROBLEMS: {self.problems[0]}" if self.problems else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-dot", action="store_true", help="run neither torchviz nor `dot`")
    parser.add_argument("--only", metavar="NAME", action="append", help="only the model of this name; may be repeated")
    parser.add_argument("--limit", metavar="SECONDS", type=float, default=60.0, help="CPU time that they get each")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.only or ()) - set(zoo.ZOO))
    if unknown:
        parser.error(f"no model is called `{unknown[0]}`; there are {', '.join(zoo.ZOO)}")
    limit = None if arguments.no_dot or shutil.which("dot") is None else arguments.limit
    missed = [word for name in arguments.only or zoo.ZOO for word in show(name, limit)]
    print(f"bars not met: {', '.join(missed)}" if missed else "all bars are met")
    return 1 if missed else 0


def show(name: str, limit: float | None) -> list[str]:
    """Print what there is to say of one model, and return the bars that it misses."""
    graph, loss, exhibit = zoo.recorded(zoo.ZOO[name])
    part = default_selection(graph)
    picture = compose(part, Options())
    ours = draw(picture)
    missed = [f"{name} has problems"] if ours.problems else []
    bar = SECONDS.get(name)
    told = f"{name:16}ours      {ours}"
    if bar is not None:
        met = ours.seconds <= bar
        told += f"  bar {bar * 1e3:.0f} ms {'ok' if met else 'NOT MET'}"
        missed += [] if met else [f"{name} <= {bar * 1e3:.0f} ms"]
    print(told, flush=True)
    if limit is not None:
        theirs = rivals.draw_torchviz(loss, exhibit.model, limit)
        ratio = RATIOS.get(name, SMALL_RATIO if ours.boxes <= SMALL else None)
        missed += compare(name, "torchviz", theirs, ours, limit, ratio)
        same = rivals.draw_dot(digraph(picture, part, Options()).source, limit)
        missed += compare(name, "dot", same, ours, limit, None)
        if same is not None and ours.crossings is not None and ours.crossings > same.crossings:
            missed.append(f"{name} crossings")
    return missed


def draw(picture: Picture) -> Ours:
    """Lay a picture out and write it, often enough for a median."""
    laid = []
    for _ in range(15 if len(picture.boxes) < 500 else 5 if len(picture.boxes) < 5_000 else 3):
        gc.collect()
        start = time.process_time()
        drawing = arrange(picture)
        write(drawing)
        laid.append(time.process_time() - start)
    boxes = len(drawing.boxes)
    return Ours(
        statistics.median(laid),
        boxes,
        drawing.width,
        drawing.height,
        crossings.of_drawing(drawing) if boxes <= COUNTED else None,
        check(drawing) if boxes <= CHECKED else (),
    )


def compare(
    name: str, rival: str, theirs: rivals.Rival | None, ours: Ours, limit: float, ratio: float | None
) -> list[str]:
    """Print one line of a rival, and say whether we are not `ratio` times as fast."""
    seconds = limit if theirs is None else theirs.seconds
    times = seconds / ours.seconds
    met = ratio is None or times >= ratio
    told = f"{'':16}{rival:10}{'':12}"
    if theirs is None:
        told += f"  not finished in {limit:.0f} s"
    else:
        told += f"{theirs.seconds * 1e3:9.1f} ms{size(theirs.width, theirs.height)}{theirs.crossings:7,} crossings"
    told += f"  {'>' if theirs is None else ''}{times:.1f}x"
    if ratio is not None:
        told += f"  bar {ratio:.0f}x {'ok' if met else 'NOT MET'}"
    print(told, flush=True)
    return [] if met else [f"{name} >= {ratio:.0f}x"]


def size(width: float, height: float) -> str:
    return f"{width:8,.0f} x {height:<8,.0f}"


if __name__ == "__main__":
    sys.exit(main())
