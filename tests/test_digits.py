"""The sample that trains: a convnet learns scikit-learn's digits, and its last step is drawn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import gradviz
from gradviz.graphs import Graph
from gradviz.gvlog import read_log

SAMPLE = Path(__file__).parents[1] / "samples" / "digits_convnet.py"
NEEDED = ("conv2d", "max_pool2d")


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradviz", *map(str, command)], capture_output=True, text=True, cwd=folder, check=False
    )


def test_it_learns_the_digits_and_is_drawn(tmp_path: Path) -> None:
    done = run("record", SAMPLE, "-o", "digits.gvlog", folder=tmp_path)
    missing = [name for name in NEEDED if name not in dir(gradviz.nn.functional)]
    if missing:
        assert f"has no attribute '{missing[0]}'" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    found = re.search(r"([\d.]+) % of 359 others are right", done.stdout)
    assert found is not None
    assert float(found[1]) > 97
    graph = Graph.build(read_log(tmp_path / "digits.gvlog"))
    graph.validate()
    assert [module.kind for module in graph.modules] == [
        "Sequential", "Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear"
    ]  # fmt: skip
    assert {op.scope for op in graph.ops.values() if op.name == "conv2d"} == {"model.0", "model.3"}
    drawn = run("render", "digits.gvlog", "-o", "digits.svg", folder=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    text = (tmp_path / "digits.svg").read_text()
    assert "model.0.weight" in text
    assert "cross_entropy" in text


def test_it_is_short_and_says_what_to_see() -> None:
    lines = SAMPLE.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert any(line.startswith("# See: ") for line in lines)
    assert len(lines) <= 45
