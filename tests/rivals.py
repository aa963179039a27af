"""Rivals: what Graphviz makes of our DOT, and what torchviz makes of a loss, each with a limit on its CPU time."""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from crossings import of_plain, size_of_plain
from torch import nn

_PIXELS_PER_POINT = 4 / 3
_MEMORY = 8 << 30


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
    executable = shutil.which("dot")
    if executable is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        svg, plain = Path(folder, "drawing.svg"), Path(folder, "drawing.plain")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [executable, "-Tsvg", f"-o{svg}", "-Tplain", f"-o{plain}"],
            input=source.encode(),
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: _limit(limit),
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            return None
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        text = plain.read_text(encoding="utf-8")
        width, height = (length * _PIXELS_PER_POINT for length in size_of_plain(text))
        return Rival(seconds, svg.read_text(encoding="utf-8"), width, height, of_plain(text))


def draw_torchviz(loss: torch.Tensor, model: nn.Module, limit: float) -> Rival | None:
    """What `torchviz.make_dot` and `dot` draw of `loss`, the time of both; None where they do not finish.

    torchviz calls itself for each node behind another, so a deep graph ends it, too.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchviz uses distutils
        import torchviz

        start = time.process_time()
        try:
            source = torchviz.make_dot(loss, params=dict(model.named_parameters())).source
        except RecursionError:
            return None
    making = time.process_time() - start
    drawn = draw_dot(source, limit - making)
    if drawn is None:
        return None
    return Rival(drawn.seconds + making, drawn.svg, drawn.width, drawn.height, drawn.crossings)


def _limit(seconds: float) -> None:
    """Runs in the child: the system ends it when its time is up, however busy the machine is."""
    whole = max(1, round(seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
