"""The gallery: one command writes a page whose every drawing is there."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from oracles import require_dot

SCRIPT = Path(__file__).parents[1] / "docs" / "gallery.py"


def test_a_page_with_a_sample_and_a_model(tmp_path: Path) -> None:
    require_dot()
    command = [sys.executable, SCRIPT, tmp_path, "--only", "no_grad", "--only", "ResNet-18"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert shown == [
        "no-grad-gradviz-render.svg",
        "no-grad-dot.svg",
        "resnet-18-gradviz-render.svg",
        "resnet-18-gradviz-nothing-folded.svg",
        "resnet-18-torchviz.svg",
    ]
    for name in shown:
        assert ElementTree.parse(tmp_path / name).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    folded, whole = (int(count) for count in re.findall(r"gradviz[^:<]*: (\d+) boxes", page)[1:])
    assert folded < whole


def test_a_name_that_nothing_has(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, tmp_path, "--only", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no sample and no model has such a name" in done.stderr
