"""What recording PyTorch costs: `python tests/bench/bench_torch.py [--quick]`; exits with 1 where a bar is not met.

Times are CPU seconds of the process, on one thread. Runs with and without a recording take turns, so that a machine
that grows slower or faster meets both; what counts is the ratio of the medians. A recording writes its log to disk.
A training of a few steps pays for what is told once, such as where a module was made; its first step, beside the later
ones, is printed, and so is what it takes to begin and to end a recording, which is when the source is read.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import gradviz
from gradviz.recorder import active

sys.path.insert(0, str(Path(__file__).parents[1]))
import models

STEP_BAR = 1.05
VALUES_BAR = 2.5
SCALAR_BAR = 3.0
BYTES_BAR = 110
GROWTH_BAR = 8 << 20
"""Bytes that a recording may grow by between 100,000 and 400,000 ops."""

SCALAR_OPS = 10_000
STEPS = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no GPT-2")
    parser.add_argument("--growth", type=int, metavar="OPS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.growth:
        print(grown(arguments.growth))
        return 0
    rounds = 5 if arguments.quick else 15
    results = [compare(f"{SCALAR_OPS:,} scalar ops", scalars, SCALAR_BAR, rounds)]
    results.append(compare(f"{STEPS} x ResNet-18, batch 1", Training(resnet18()), STEP_BAR, rounds))
    results.append(compare("the same with values", Training(resnet18()), VALUES_BAR, 5, values=True))
    if not arguments.quick:
        results.append(compare(f"{STEPS} x GPT-2 small, 32 tokens", Training(gpt2_small()), STEP_BAR, 7))
    results.append(check_growth())
    if not arguments.quick:
        trace_with_torchlens(resnet18())
    return 0 if all(results) else 1


def compare(name: str, program: Callable[[], object], bar: float, rounds: int, *, values: bool = False) -> bool:
    """Print how much longer `program` takes when it is recorded, and how much log it makes."""
    plain, recorded, around = [], [], []
    ops = size = 0
    program()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.gvlog")
        for turn in range(rounds + 1):
            gc.collect()
            first = seconds(program)
            start = time.process_time()
            with gradviz.record(path, values=values) as rec:
                second = seconds(program)
            whole = time.process_time() - start
            assert not rec.failures, rec.failures
            if turn:  # the first turn warms up
                plain.append(first)
                recorded.append(second)
                around.append(whole - second)
            ops, size = rec.ops, os.path.getsize(path)
    before, after = statistics.median(plain), statistics.median(recorded)
    ratio = after / before
    each = (after - before) / ops * 1e6
    met = ratio <= bar and (size / ops <= BYTES_BAR or ops < 2000 or values)
    print(
        f"{name:28} {before * 1e3:8.1f} ms  recorded {after * 1e3:8.1f} ms  {ratio:5.3f}x (bar {bar}x)  "
        f"{each:5.1f} µs an op  {ops:,} ops  {size / ops:5.0f} bytes an op  {'ok' if met else 'NOT MET'}\n"
        f"{'':28} to begin and to end a recording {statistics.median(around) * 1e3:.1f} ms{told(program)}",
        flush=True,
    )
    return met


def seconds(program: Callable[[], object]) -> float:
    """CPU seconds that one run takes."""
    start = time.process_time()
    program()
    return time.process_time() - start


def scalars() -> torch.Tensor:
    """10,000 ops on a tensor of one number, where nothing hides what the recording costs."""
    h = torch.ones((), requires_grad=True)
    for _ in range(SCALAR_OPS // 2):
        h = h * 0.5
        h = h + 0.5
    return h


def resnet18() -> models.Case:
    return models.resnet(width=64, blocks=2, size=224, batch=1)


def gpt2_small() -> models.Case:
    return models.gpt2(layers=12, width=768, heads=12, words=50257, length=32)


class Training:
    """A short training: forward and backward passes. Keeps how long each step took, with and without a recording."""

    def __init__(self, case: models.Case) -> None:
        self.case = case
        self.steps: dict[bool, list[list[float]]] = {False: [], True: []}

    def __call__(self) -> None:
        taken = []
        for _ in range(STEPS):
            start = time.process_time()
            self.case.model.zero_grad()
            self.case.loss(self.case.run(self.case.model, self.case.batch), self.case.batch).backward()
            taken.append(time.process_time() - start)
        self.steps[bool(active())].append(taken)


def told(program: Callable[[], object]) -> str:
    """What recording adds to the first step of a training and to each of the later ones."""
    if not isinstance(program, Training):
        return ""
    plain, recorded = (
        [statistics.median(taken[step] for taken in program.steps[on][1:]) for step in range(STEPS)]
        for on in (False, True)
    )
    before, after = statistics.median(plain), statistics.median(recorded[1:])
    return f", first step +{(recorded[0] - before) * 1e3:.1f} ms, each later one {after / before:.3f}x"


def trace_with_torchlens(case: models.Case) -> None:
    """Print what torchlens takes for the forward pass of the same model, where it is installed."""
    try:
        import torchlens
    except ImportError:
        print("torchlens is not installed")
        return

    def forward() -> object:
        return case.run(case.model, case.batch)

    plain = statistics.median(seconds(forward) for _ in range(5))
    # It wraps PyTorch's functions when it is first called, and leaves them so: nothing is measured after it.
    traced = statistics.median(
        seconds(lambda: torchlens.trace(case.model, case.batch[0], save=None)) for _ in range(4)
    )
    print(f"torchlens {torchlens.__version__}, trace of one forward pass: {traced / plain:.1f}x", flush=True)


def check_growth() -> bool:
    """Print by how much a process grows from 100,000 recorded ops to 400,000."""
    few, many = (
        int(subprocess.run([sys.executable, __file__, "--growth", str(count)], capture_output=True, check=True).stdout)
        for count in (100_000, 400_000)
    )
    met = many - few <= GROWTH_BAR
    print(
        f"memory that 100,000 ops add {few >> 10:,} kB, that 400,000 ops add {many >> 10:,} kB  "
        f"{'ok' if met else 'NOT MET'}"
    )
    return met


def grown(count: int) -> int:
    """Bytes that recording `count` ops, of which none is kept, adds to this process."""
    with tempfile.TemporaryDirectory() as folder, gradviz.record(os.path.join(folder, "run.gvlog")):
        x = torch.ones((), requires_grad=True)
        run_short_graphs(x, 1000)
        before = resident()
        run_short_graphs(x, count)
        return resident() - before


def run_short_graphs(x: torch.Tensor, count: int) -> None:
    for _ in range(count // 10):
        h = x
        for _ in range(10):
            h = h * 0.5


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
