"""What drawings of real models cost and look like: `python tests/bench/bench_models.py [--no-dot] [--only NAME]`.

For each model of the zoo, one training step is recorded and drawn, whole and as `gradviz render` folds it. Times are
CPU seconds, medians, for layout and SVG; beside them stand torchviz with `dot`, and `dot` on the DOT of our whole
drawing, which has the same boxes and wires; medians too, where that is short. Sizes are in pixels as a browser shows
them. Crossings are counted in the paths of all three alike, see `tests/crossings.py`. Exits with 1 over a bar.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import rivals
import zoo
from ours import Ours, draw, folded, seconds, whole

from gradviz.picture.composing import compose
from gradviz.views import Options

SMALL, SMALL_RATIO = 500, 5.0
"""Up to so many boxes, a drawing is at least so many times as fast as torchviz with `dot`."""

RATIOS = {"ResNet-152": 10.0, "GPT-2": 10.0, "BERT-24": 25.0}
SECONDS = {
    "ResNet-18": 0.008, "DenseNet-121": 0.1, "LSTMCell-100": 0.1, "LSTM-100": 0.1, "LSTM-500": 0.6, "LSTM-2000": 2.5,
}  # fmt: skip

TURNS = 3
"""So many drawings of ours are timed after each of torchviz's."""


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
    missed = [bar for name in arguments.only or zoo.ZOO for bar in show(name, limit)]
    print(f"bars not met: {', '.join(missed)}" if missed else "all bars are met")
    return 1 if missed else 0


def show(name: str, limit: float | None) -> list[str]:
    """Print what there is to say of one model, and return the bars that it misses."""
    graph, loss, exhibit = zoo.recorded(zoo.ZOO[name])
    gc.collect()
    gc.freeze()  # before a round the collector need not walk through PyTorch
    ours, page = draw(whole(graph)), draw(folded(graph))
    bar = SECONDS.get(name)
    late = bar is not None and ours.seconds > bar
    missed = [f"{name} <= {bar * 1e3:.0f} ms"] if bar is not None and late else []
    missed += [f"{name} in order" for drawing in (ours, page) if drawing.problems]
    tell(name, "whole", line(ours) + (f"   bar {bar * 1e3:.0f} ms {'NOT MET' if late else 'ok'}" if bar else ""))
    tell("", "folded", line(page))
    if limit is not None:
        ratio = RATIOS.get(name, SMALL_RATIO if ours.boxes <= SMALL else None)
        picture, turns = compose(whole(graph), Options()), [ours.seconds]
        theirs = rivals.draw_torchviz(
            loss, exhibit.model, limit, lambda: turns.extend(seconds(picture) for _ in range(TURNS))
        )
        ours = replace(ours, seconds=statistics.median(turns))
        slow = ratio is not None and (limit if theirs is None else theirs.seconds) < ratio * ours.seconds
        missed += [f"{name} >= {ratio:.0f}x"] if ratio is not None and slow else []
        told = f"   bar {ratio:.0f}x {'NOT MET' if slow else 'ok'}" if ratio is not None else ""
        tell("", "torchviz", rival_line(theirs, ours, limit) + told)
        same = rivals.draw_dot(ours.dot, limit)
        tangled = same is not None and ours.crossings is not None and ours.crossings > same.crossings
        missed += [f"{name} crossings"] if tangled else []
        tell("", "dot", rival_line(same, ours, limit) + ("   CROSSINGS" if tangled else ""))
    return missed


def tell(name: str, who: str, what: str) -> None:
    print(f"{name:16}{who:10}{what}", flush=True)


def line(ours: Ours) -> str:
    told = f"{ours.boxes:7,} boxes{measures(ours.seconds, ours.width, ours.height, ours.crossings)}"
    return told + (f"   {len(ours.problems)} PROBLEMS: {ours.problems[0]}" if ours.problems else "")


def rival_line(rival: rivals.Rival | None, ours: Ours, limit: float) -> str:
    if rival is None:
        return f"{'':13}   not finished in {limit:.0f} s   > {limit / ours.seconds:.0f}x"
    told = measures(rival.seconds, rival.width, rival.height, rival.crossings)
    return f"{'':13}{told}   {rival.seconds / ours.seconds:.1f}x"


def measures(seconds: float, width: float, height: float, crossings: int | None) -> str:
    told = f"{seconds * 1e3:10,.1f} ms{width:9,.0f} x {height:<8,.0f}"
    return told if crossings is None else f"{told}{crossings:6,} crossings"


if __name__ == "__main__":
    sys.exit(main())
