"""What a check costs on top of a recording: `python tests/bench/bench_check.py [--quick]`; exits with 1 over a bar.

Times are CPU seconds of the process, on one thread. A recorded run and one that is checked besides take turns, so that
a machine that grows slower or faster meets both; what counts are medians. A check folds the recording into a graph and
applies every rule.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import gradviz
from gradviz.diagnose import diagnose
from gradviz.graphs import Graph

sys.path.insert(0, str(Path(__file__).parents[1]))
import models

SHARE_BAR = 1.10
"""A recorded run with its check, in terms of the recorded run."""

SECONDS_BAR = 3.0
"""Rules on a graph of 100,000 ops."""

OPS = 100_000
LAYERS = 100
STEPS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--profile", action="store_true", help="show where the rules spend their time, and stop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    graph = recorded(many_small_steps)
    if arguments.profile:
        profile(graph)
        return 0
    rounds = 3 if arguments.quick else 9
    results = [time_rules(graph, rounds)]
    del graph
    results.append(compare(f"{STEPS} x GPT-2 small, 64 tokens", steps_of(gpt2_small()), rounds))
    return 0 if all(results) else 1


def recorded(program: Callable[[], object]) -> Graph:
    """The graph of one recorded run."""
    with gradviz.record() as rec:
        program()
    assert not rec.failures, rec.failures
    return rec.graph()


def time_rules(graph: Graph, rounds: int) -> bool:
    """Print how long all rules take on a long recording."""
    taken = statistics.median(seconds(lambda: diagnose(graph)) for _ in range(rounds))
    met = taken <= SECONDS_BAR
    parameters = len({value for optimizer in graph.optimizers for value in optimizer.values})
    print(
        f"{len(graph.ops):,} ops, {parameters} parameters, {len(graph.sweeps)} sweeps: rules {taken:5.2f} s "
        f"(bar {SECONDS_BAR} s)  {'ok' if met else 'NOT MET'}",
        flush=True,
    )
    return met


def compare(name: str, program: Callable[[], object], rounds: int) -> bool:
    """Print how much longer a recorded run takes with its check."""
    plain, alone, checked = [], [], []
    ops = 0
    for turn in range(rounds + 1):
        gc.collect()
        first = seconds(program)
        second = seconds(lambda: record_only(program))
        third = seconds(lambda: diagnose(recorded(program)))
        if turn:  # the first turn warms up
            plain.append(first)
            alone.append(second)
            checked.append(third)
        else:
            ops = len(recorded(program).ops)
    base, before, after = map(statistics.median, (plain, alone, checked))
    met = after / before <= SHARE_BAR
    print(
        f"{name}: {base * 1e3:8.1f} ms  recorded {before * 1e3:8.1f} ms  checked {after * 1e3:8.1f} ms  "
        f"{after / before:5.3f}x (bar {SHARE_BAR}x)  {ops:,} ops  {'ok' if met else 'NOT MET'}",
        flush=True,
    )
    return met


def record_only(program: Callable[[], object]) -> None:
    """Run `program` recorded, and look at nothing."""
    with gradviz.record():
        program()


def seconds(program: Callable[[], object]) -> float:
    """CPU seconds that one run takes."""
    start = time.process_time()
    program()
    return time.process_time() - start


def many_small_steps() -> None:
    """A training of a deep and narrow network, in so many steps that about 100,000 ops are recorded."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(LAYERS):
        layers += [nn.Linear(4, 4), nn.Tanh()]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(2, 4), torch.randn(2, 4)
    # A step is two ops a layer, and for each of its two parameters a gradient and an update.
    for step in range(OPS // (6 * LAYERS + 5)):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            with torch.no_grad():
                nn.functional.mse_loss(model(x), y).item()


def gpt2_small() -> models.Case:
    return models.gpt2(layers=12, width=768, heads=12, words=50257, length=64)


def steps_of(case: models.Case) -> Callable[[], None]:
    """A short training, as `bench_torch` has it."""
    optimizer = torch.optim.SGD(case.model.parameters(), lr=1e-4)

    def steps() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            case.loss(case.run(case.model, case.batch), case.batch).backward()
            optimizer.step()

    return steps


def profile(graph: Graph) -> None:
    """Show the functions in which the rules spend most time."""
    profiler = cProfile.Profile()
    profiler.runcall(diagnose, graph)
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    sys.exit(main())
