"""What a drawing costs: `python tests/bench/bench_layout.py [--quick] [--no-dot]`; exits with 1 over a bar.

Times are CPU seconds of the process, medians, for the layout and for writing the SVG; growth is the exponent between
10,000 and 100,000 boxes; the peak is that of the process so far, so cases grow. `dot` gets the same boxes and wires as
plain as can be, and 60 seconds. Recorded models come last, where torch (and, for GPT-2, transformers) is installed.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import importlib.util
import math
import pstats
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gradviz.graphs import Graph
from gradviz.layout import arrange, check
from gradviz.layout.drawing import Drawing
from gradviz.picture.composing import compose
from gradviz.picture.records import Picture
from gradviz.views import Options
from gradviz.views.svg import write

sys.path.insert(0, str(Path(__file__).parents[1]))
import pictures

LIMIT = 60
"""Seconds that `dot` gets."""

GROWTH_BAR = 1.15
PEAK_BAR = 500
"""Megabytes, for 100,000 boxes."""

CHECKED = 12_000
"""Drawings of up to so many boxes are checked."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round each, and nothing over 30,000 boxes")
    parser.add_argument("--no-dot", action="store_true", help="do not run `dot`")
    parser.add_argument("--profile", metavar="CASE", help="show where the layout of one case spends its time, and stop")
    arguments = parser.parse_args()
    cases = known_cases()
    if arguments.profile:
        profile(cases[arguments.profile][0]())
        return 0
    print(f"{'case':16}{'boxes':>8}{'layout':>10}{'SVG':>10}{'sum':>10}{'bar':>9}  bytes/box  peak MB  dot")
    met = True
    sums: dict[str, float] = {}
    for name, (make, bar) in cases.items():
        if not (arguments.quick and name.endswith("100k")):
            picture = make()
            rounds = 1 if arguments.quick else rounds_for(picture)
            sums[name] = measure(name, picture, bar, rounds, not arguments.no_dot)
            met = met and (bar is None or sums[name] <= bar)
    if "residual 100k" in sums:
        growth = math.log10(sums["residual 100k"] / sums["residual 10k"])
        print(f"growth from 10k to 100k: {growth:.2f} (bar {GROWTH_BAR})  {verdict(growth, GROWTH_BAR)}")
        met = met and growth <= GROWTH_BAR
    return 0 if met else 1


def known_cases() -> dict[str, tuple[Callable[[], Picture], float | None]]:
    """How to make each picture, and the most CPU seconds it may take; a bar is missing where none was set."""
    cases: dict[str, tuple[Callable[[], Picture], float | None]] = {
        "residual 300": (lambda: residual(300), None),
        "LSTM-100": (lambda: pictures.lstm(100), 0.1),
        "residual 1k": (lambda: residual(1_000), None),
        "LSTM-500": (lambda: pictures.lstm(500), 0.6),
        "chain 10k": (lambda: pictures.chain(10_000), None),
        "modules 10k": (lambda: residual(10_000, modules=True), None),
        "residual 10k": (lambda: residual(10_000), 0.25),
        "LSTM-2000": (lambda: pictures.lstm(2_000), 2.5),
        "residual 30k": (lambda: residual(30_000), 0.8),
        "chain 100k": (lambda: pictures.chain(100_000), None),
        "residual 100k": (lambda: residual(100_000), 3.0),
    }
    if importlib.util.find_spec("torch"):
        cases["ResNet-18"] = (resnet18, 0.008)
        if importlib.util.find_spec("transformers"):
            cases["GPT-2"] = (gpt2, None)
    return cases


def residual(count: int, modules: bool = False) -> Picture:
    """About `count` boxes: blocks of two to five ops with a leaf each, a skip around each block, and now and then one
    around several; with `modules` each block in a frame."""
    sketch = pictures.Sketch("residual", f"{count} boxes")
    sketch.box("x", "leaf", "x", "(8, 64) float32")
    made, block, before = 1, 0, "x"
    entries = ["x"]
    while made < count:
        frame = None
        if modules:
            frame = f"f{block}"
            sketch.frame(frame, f"block {block}", "module")
        at = before
        for step in range(2 + block * 7 % 4):
            leaf, op = f"w{block}.{step}", f"o{block}.{step}"
            sketch.box(leaf, "leaf", f"weight {step}", "(64, 64) float32", frame)
            sketch.box(op, "op", "conv" if step % 2 else "relu", f"line {10 + step}", frame)
            sketch.wire(f"{at} -> {op}")
            sketch.wire(f"{leaf} -> {op}")
            at = op
            made += 2
        sketch.box(f"a{block}", "op", "add", "line 20", frame)
        sketch.wire(f"{at} -> a{block}")
        sketch.wire(f"{before} -> a{block}")
        if block % 9 == 8:
            sketch.wire(f"{entries[-6]} -> a{block}")
        before = f"a{block}"
        entries.append(before)
        made, block = made + 1, block + 1
    return sketch.picture()


def resnet18() -> Picture:
    import models

    return recorded(models.resnet(8, 2))


def gpt2() -> Picture:
    import models

    return recorded(models.gpt2(layers=12))


def recorded(case: object) -> Picture:
    """One forward pass of a model and its loss as a picture; what it looks like does not depend on the widths."""
    import gradviz

    with gradviz.record() as rec:
        case.loss(case.run(case.model, case.batch), case.batch)  # type: ignore[attr-defined]
    assert not rec.failures, rec.failures
    graph: Graph = rec.graph()
    return compose(graph, Options())


def measure(name: str, picture: Picture, bar: float | None, rounds: int, with_dot: bool) -> float:
    """Print one line, and return the seconds that layout and SVG take together."""
    laid, written = [], []
    drawing, text = arrange(picture), ""
    for _ in range(rounds):
        del drawing
        gc.collect()
        start = time.process_time()
        drawing = arrange(picture)
        middle = time.process_time()
        text = write(drawing)
        laid.append(middle - start)
        written.append(time.process_time() - middle)
    taken = statistics.median(laid) + statistics.median(written)
    told = "" if bar is None else f"{bar * 1e3:6.0f} ms"
    parts = "".join(f"{statistics.median(seconds) * 1e3:7.1f} ms" for seconds in (laid, written))
    print(
        f"{name:16}{len(picture.boxes):8,}{parts}{taken * 1e3:7.1f} ms{told:>9}"
        f"{bytes_per_box(drawing, text):11.0f}{peak():9.0f}  "
        f"{time_dot(picture) if with_dot else '':22} {'' if bar is None else verdict(taken, bar)}{problems(drawing)}",
        flush=True,
    )
    return taken


def rounds_for(picture: Picture) -> int:
    return 15 if len(picture.boxes) < 500 else 5 if len(picture.boxes) < 20_000 else 3


def verdict(found: float, bar: float) -> str:
    return "ok" if found <= bar else "NOT MET"


def problems(drawing: Drawing) -> str:
    """What `check` says of a drawing that it can look at within seconds."""
    found = check(drawing) if len(drawing.boxes) <= CHECKED else ()
    return f"  {len(found)} PROBLEMS: {found[0]}" if found else ""


def bytes_per_box(drawing: Drawing, text: str) -> float:
    """The SVG's bytes for each box with its wires, tooltips and the fixed part left out."""
    fixed = len(text[: text.index("</style>")])
    tooltips = text.count("<title>") * len("<title></title>") + sum(
        len(piece.partition("</title>")[0]) for piece in text.split("<title>")[1:]
    )
    return (len(text) - fixed - tooltips) / max(len(drawing.boxes), 1)


def peak() -> float:
    """The most memory that this process has held so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def time_dot(picture: Picture) -> str:
    """CPU seconds that Graphviz needs for the same graph to SVG, as text."""
    executable = shutil.which("dot")
    if executable is None:
        return "no `dot` here"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        subprocess.run(
            [executable, "-Tsvg"], input=plain_dot(picture).encode(), capture_output=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not finished in {LIMIT} s"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.3f} s"


def plain_dot(picture: Picture) -> str:
    """Boxes with their two lines and wires, no clusters."""
    lines = ["digraph {", "node [shape=box]"]
    for box in picture.boxes:
        words = "\\n".join(filter(None, (box.title, box.detail))).replace('"', "'")
        lines.append(f'{box.id} [label="{words}"]')
    lines += [f"{wire.tail} -> {wire.head}" for wire in picture.wires]
    return "\n".join([*lines, "}"])


def profile(picture: Picture) -> None:
    """Show the functions in which a layout and its SVG spend most time of their own."""
    profiler = cProfile.Profile()
    profiler.runcall(lambda: write(arrange(picture)))
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    sys.exit(main())
