"""What a very large recording costs, from its log to a picture: `python tests/bench/bench_scale.py [--quick]`.

CPU seconds, least of a few rounds, and the most memory held, each case in a process of its own: a log of a million ops
read, assembled, selected from, folded and written as SVG: a training loop, a single backward pass through an unrolled
loop, one through a thousand modules side by side, and one through a chain in no module. Then what Chromium takes to
open an SVG of 30,000 boxes, beside the one that Graphviz writes of the same boxes and routes, both without what it
takes to open an empty one. Exits with 1 where a bar is missed, and leaves out what needs an executable that is not
there.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from gradviz.events import (
    Cause,
    Context,
    End,
    Event,
    Header,
    Op,
    Output,
    Region,
    RegionEnd,
    Signature,
    Site,
    Sweep,
)
from gradviz.gvlog import LogWriter
from gradviz.layout.drawing import Drawing

SECONDS_BAR = 12.0
MEGABYTES_BAR = 1500
PART_BARS = {"assemble": 4.0, "select": 2.0}
"""The most seconds that one step of the way may take."""

OPENING_BAR = 0.5
"""How much of the time that Graphviz's SVG takes ours may take."""

LAYERS = 60
_MATRIX = Output((64, 64), "float32", 16384, True, False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, one round, and no bars")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--log", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(travel(arguments.log)))
        return 0
    folder = Path(tempfile.mkdtemp())
    try:
        met = [way(name, folder, arguments.quick) for name in CASES]
        met.append(opening(folder, 3_000 if arguments.quick else 30_000, 1 if arguments.quick else 3))
    finally:
        shutil.rmtree(folder)
    return 0 if all(met) or arguments.quick else 1


# from a log to a picture


def way(name: str, folder: Path, quick: bool) -> bool:
    """Print what one log costs; whether that is within the bars."""
    log = folder / f"{name}.gvlog"
    ops = CASES[name](log, 100_000 if quick else 1_000_000)
    rounds = []
    for _ in range(1 if quick else 2):
        command = [sys.executable, __file__, "--case", name, "--log", str(log)]
        rounds.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    best = min(rounds, key=lambda found: sum(found["seconds"].values()))
    seconds, megabytes = sum(best["seconds"].values()), best["megabytes"]
    parts = ", ".join(f"{step} {taken:.2f}" for step, taken in best["seconds"].items())
    print(f"{name}: {ops:,} ops -> {best['boxes']:,} boxes, {best['bytes']:,} bytes of SVG")
    print(f"    {parts}")
    found = [("s in all", seconds, SECONDS_BAR), ("MB", megabytes, MEGABYTES_BAR)]
    found += [(f"s to {step}", best["seconds"][step], bar) for step, bar in PART_BARS.items()]
    within = [told(*row) for row in found]
    return all(within)


def told(what: str, found: float, bar: float) -> bool:
    print(f"    {found:8.2f} {what:14} bar {bar:g}  {'ok' if found <= bar else 'NOT MET'}", flush=True)
    return found <= bar


def travel(log: str) -> dict[str, object]:
    """The whole way of one log, step by step, with the seconds that each took, and the megabytes in the end."""
    from gradviz.fold.choice import Choice
    from gradviz.fold.page import fold_to_page
    from gradviz.fold.telling import telling_ops
    from gradviz.graphs import Graph
    from gradviz.gvlog import read_log
    from gradviz.layout import arrange
    from gradviz.picture.composing import compose
    from gradviz.selecting import default_selection
    from gradviz.views import Options
    from gradviz.views.svg import write_pieces

    seconds = {}
    start = time.process_time()
    read = sum(1 for _ in read_log(log))
    seconds["read"] = (middle := time.process_time()) - start
    assert read
    graph = Graph.build(read_log(log))  # reads it again: the two are not to be told apart otherwise
    seconds["assemble"] = (before := time.process_time()) - middle - seconds["read"]
    part = default_selection(graph)
    seconds["select"] = (middle := time.process_time()) - before
    folded = fold_to_page(part, Choice(), telling_ops(part), graph.modules)
    seconds["fold"] = (before := time.process_time()) - middle
    drawing = arrange(compose(folded, Options()))
    seconds["lay out"] = (middle := time.process_time()) - before
    size = sum(map(len, write_pieces(drawing)))
    seconds["write"] = time.process_time() - middle
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "megabytes": megabytes, "boxes": len(drawing.boxes), "bytes": size}


def training_loop(path: Path, count: int) -> int:
    """A log of `count` ops or a few more: a loop of about 500, with a backward pass and an update of every weight."""
    log, ids = _begun(path), _Ids()
    weights = [ids.op(log, "leaf", 0) for _ in range(LAYERS)]
    number = 0
    while ids.last < count:
        number += 1
        state = ids.op(log, "input", 1)
        for weight in weights:
            hidden = ids.op(log, "tanh", 3, ids.op(log, "matmul", 2, state, weight))
            half = ids.op(log, "half", 4, hidden, "0.5")
            state = ids.op(log, "relu", 5, ids.op(log, "add", 4, half, state))
        loss = ids.op(log, "mean", 6, state)
        log.emit(Sweep(number, "backward", (loss,), 7))
        log.emit(Region(number, "no_grad", False, 8))
        log.emit(Context(number, region=number))
        for at, weight in enumerate(weights):
            step = ids.op(log, "step", 9, ids.op(log, "gradient", 9, context=number), "0.01", context=number)
            weights[at] = ids.op(log, "sub_", 9, weight, step, context=number)
        log.emit(RegionEnd(number))
    return _ended(log, ids)


def unrolled_loop(path: Path, count: int) -> int:
    """A log of `count` ops or a few more: 20 in each step of a recurrent network, and one backward pass."""
    log, ids = _begun(path), _Ids()
    weights = [ids.op(log, "leaf", 0) for _ in range(6)]
    state = ids.op(log, "input", 1)
    while ids.last < count:
        for weight in weights:
            hidden = ids.op(log, "tanh", 3, ids.op(log, "matmul", 2, state, weight))
            state = ids.op(log, "add", 4, hidden, state)
        state = ids.op(log, "relu", 5, ids.op(log, "half", 4, state, "0.5"))
    loss = ids.op(log, "mean", 6, state)
    log.emit(Sweep(1, "backward", (loss,), 7))
    return _ended(log, ids)


def wide_model(path: Path, count: int) -> int:
    """A log of `count` ops or a few more: a thousand modules beside each other, and one backward pass."""
    log, ids = _begun(path), _Ids()
    state = ids.op(log, "input", 1)
    total = ids.op(log, "relu", 5, state)
    for number in range(1, 1001):
        log.emit(Context(number, scope=f"branches.{number - 1}"))
        weight = ids.op(log, "leaf", 0)
        hidden = ids.op(log, "matmul", 2, state, weight, context=number)
        while ids.last * 1000 < count * number:
            hidden = ids.op(log, "tanh", 3, hidden, context=number)
        total = ids.op(log, "add", 4, total, hidden)
    loss = ids.op(log, "mean", 6, total)
    log.emit(Sweep(1, "backward", (loss,), 7))
    return _ended(log, ids)


def chain(path: Path, count: int) -> int:
    """A log of `count` ops or a few more: one op from one line after another, in no module, and one backward pass."""
    log, ids = _begun(path), _Ids()
    state = ids.op(log, "leaf", 0)
    while ids.last < count:
        state = ids.op(log, "tanh", 3, state)
    loss = ids.op(log, "mean", 6, state)
    log.emit(Sweep(1, "backward", (loss,), 7))
    return _ended(log, ids)


CASES: dict[str, Callable[[Path, int], int]] = {
    "training loop": training_loop,
    "unrolled loop": unrolled_loop,
    "wide model": wide_model,
    "chain": chain,
}

_KINDS = {
    "leaf": Signature(0, "tensor", outputs=(Output((64, 64), "float32", 16384, True),)),
    "input": Signature(1, "tensor", outputs=(Output((64, 64), "float32", 16384),)),
    "matmul": Signature(2, "matmul", "MmBackward0", True, None, (True, True), (_MATRIX,)),
    "tanh": Signature(3, "tanh", "TanhBackward0", True, None, (True,), (_MATRIX,)),
    "half": Signature(4, "mul", "MulBackward0", True, None, (True, False), (_MATRIX,)),
    "add": Signature(5, "add", "AddBackward0", True, None, (True, True), (_MATRIX,)),
    "relu": Signature(6, "relu", "ReluBackward0", True, None, (True,), (_MATRIX,)),
    "mean": Signature(7, "mean", "MeanBackward0", True, None, (True,), (Output((), "float32", 4, True, False),)),
    "gradient": Signature(8, "grad", outputs=(Output((64, 64), "float32", 16384),)),
    "step": Signature(9, "mul", needs=(False, False), outputs=(Output((64, 64), "float32", 16384),)),
    "sub_": Signature(
        10, "sub_", cause=Cause.NO_GRAD, needs=(True, False), outputs=(Output((64, 64), "float32", 16384, True),),
        alias=0, inplace=True,
    ),
}  # fmt: skip
_LINES = ("w = init()", "x = batch()", "h = x @ w", "h = h.tanh()", "x = h * 0.5 + x", "x = x.relu()",
          "loss = x.mean()", "loss.backward()", "with no_grad():", "w -= 0.01 * w.grad")  # fmt: skip


class _Ids:
    """Numbers the ops of a log, and writes them."""

    def __init__(self) -> None:
        self.last = 0

    def op(self, log: LogWriter, kind: str, site: int, *inputs: int | str, context: int = 0) -> int:
        self.last += 1
        log.emit(Op(self.last, _KINDS[kind].id, site, context, inputs))
        return self.last


def _begun(path: Path) -> LogWriter:
    log = LogWriter(path)
    head: list[Event] = [Header("core", "train.py"), *_KINDS.values(), Context(0)]
    for number, line in enumerate(_LINES):
        name, equals, _ = line.partition(" = ")
        head.append(Site(number, "train.py", number + 1, number + 1, 0, len(line), target=equals and name, text=line))
    for event in head:
        log.emit(event)
    return log


def _ended(log: LogWriter, ids: _Ids) -> int:
    log.emit(End())
    log.close()
    return ids.last


# from a picture to the screen


def opening(folder: Path, boxes: int, rounds: int) -> bool:
    """Print how long Chromium takes for our SVG and for Graphviz's of the same drawing; whether that is within the bar.

    Graphviz is given our places and routes, since it would not find its own for so many within an hour.
    """
    from bench_layout import bytes_per_box, residual

    from gradviz.layout import arrange
    from gradviz.views.svg import write

    chromium, neato = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("neato")
    if chromium is None or neato is None:
        print("opened in Chromium: left out, there is no `chromium` or no `neato`")
        return True
    arranged = arrange(residual(boxes))
    files = {"empty": '<svg xmlns="http://www.w3.org/2000/svg"/>', "ours": write(arranged)}
    files["Graphviz"] = subprocess.run(
        [neato, "-n2", "-Tsvg"], input=placed_dot(arranged), check=True, capture_output=True, text=True
    ).stdout
    taken: dict[str, float] = {}
    for round in range(rounds):
        for name, text in files.items():
            page = folder / f"{name}.svg"
            page.write_text(text, encoding="utf-8")
            seconds = open_in(chromium, page, folder / f"profile-{name}-{round}")
            taken[name] = min(seconds, taken.get(name, seconds))
    nothing = taken["empty"]
    print(f"{boxes:,} boxes opened in Chromium, {bytes_per_box(arranged, files['ours']):.0f} bytes a box")
    for name in ("ours", "Graphviz"):
        print(f"    {taken[name] - nothing:8.2f} s for {name}, {len(files[name]) / 1e6:.1f} MB")
    return told("of its time", (taken["ours"] - nothing) / (taken["Graphviz"] - nothing), OPENING_BAR)


def placed_dot(drawing: Drawing) -> str:
    """The drawing as DOT with every box at its place and every wire along its way. Graphviz counts y upwards."""
    lines = ["digraph {", "node [shape=box, fixedsize=true]"]
    for placed in drawing.boxes:
        area = placed.area
        words = "\\n".join(filter(None, (placed.title, placed.detail))).replace('"', "'")
        lines.append(
            f'{placed.box.id} [label="{words}", width={area.width / 72}, height={area.height / 72}, '
            f'pos="{area.x + area.width / 2},{drawing.height - area.y - area.height / 2}"]'
        )
    for wire in drawing.wires:
        points = [wire.start]
        for piece in wire.pieces:
            (x, y), (to_x, to_y) = points[-1], piece[-1]
            if len(piece) == 1:  # a straight line is a curve with its controls on the way
                points += [(x + (to_x - x) * part / 3, y + (to_y - y) * part / 3) for part in (1, 2)]
            points += piece
        way = " ".join(f"{x:.1f},{drawing.height - y:.1f}" for x, y in points)
        end = f"{wire.end[0]:.1f},{drawing.height - wire.end[1]:.1f}"
        lines.append(f'{wire.wire.tail} -> {wire.wire.head} [pos="e,{end} {way}"]')
    return "\n".join([*lines, "}"])


def open_in(chromium: str, page: Path, profile: Path) -> float:
    """CPU seconds, in one process, until the upper end of a page is on the screen."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--single-process", "--no-zygote",
            "--no-first-run", "--hide-scrollbars", "--window-size=1200,900", f"--user-data-dir={profile}",
            f"--screenshot={page.with_suffix('.png')}", page.as_uri(),
        ],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
