"""Rivals: what Graphviz makes of our DOT, and what torchviz makes of a loss, each with a limit on its CPU time."""

from __future__ import annotations

import gc
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from crossings import of_plain, size_of_plain
from torch import nn

_PIXELS_PER_POINT = 4 / 3
_MEMORY = 8 << 30
_ROUNDS = 9
_SHORT = 2.0
"""Seconds for all rounds together, after which there are no more."""


@dataclass(frozen=True)
class Rival:
    """A drawing of theirs: its CPU seconds, its size in pixels as a browser shows it, and its crossings."""

    seconds: float
    svg: str
    width: float
    height: float
    crossings: int


def draw_dot(source: str, limit: float) -> Rival | None:
    """What `dot` draws within `limit` CPU seconds; None where it does not finish, or runs out of memory."""
    return _drawn(lambda: source, limit)


def draw_torchviz(
    loss: torch.Tensor, model: nn.Module, limit: float, turn: Callable[[], object] = lambda: None
) -> Rival | None:
    """What `torchviz.make_dot` and `dot` draw of `loss`, the time of both; None where they do not finish.

    turn: is called after each round, so that on a machine whose clock varies both are as fast as it is. torchviz calls
    itself for each node behind another, so a deep graph ends it, too.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchviz uses distutils
        import torchviz

        try:
            return _drawn(lambda: torchviz.make_dot(loss, params=dict(model.named_parameters())).source, limit, turn)
        except RecursionError:
            return None


def _drawn(write: Callable[[], str], limit: float, turn: Callable[[], object] = lambda: None) -> Rival | None:
    """What `dot` draws of what `write` gives. The time of both is the median of several rounds, where it is short."""
    executable = shutil.which("dot")
    if executable is None:
        return None
    taken: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        svg, plain = Path(folder, "drawing.svg"), Path(folder, "drawing.plain")
        while len(taken) < (_ROUNDS if sum(taken) < _SHORT else 1):
            gc.collect()
            start = time.process_time()
            source = write()
            making = time.process_time() - start
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            if not _run([executable, "-Tsvg", f"-o{svg}"], source, limit - making):
                return None
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(making + after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            turn()
        if not _run([executable, "-Tplain", f"-o{plain}"], source, limit):
            return None
        text = plain.read_text(encoding="utf-8")
        width, height = (length * _PIXELS_PER_POINT for length in size_of_plain(text))
        return Rival(statistics.median(taken), svg.read_text(encoding="utf-8"), width, height, of_plain(text))


def _run(command: list[str], source: str, limit: float) -> bool:
    """Whether a command comes to its end within `limit` CPU seconds."""
    given = source.encode()
    ended = subprocess.run(
        command, input=given, stderr=subprocess.DEVNULL, preexec_fn=lambda: _limit(limit), check=False
    )
    return ended.returncode == 0


def _limit(seconds: float) -> None:
    """Runs in the child: the system ends it when its time is up, however busy the machine is."""
    whole = max(1, round(seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
