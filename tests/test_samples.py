"""The samples: each prints what PyTorch prints for it, is drawn the same every time, and shows what its header says."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from gradviz.events import Cause
from gradviz.graphs import Graph
from gradviz.gvlog import read_log
from gradviz.layout import arrange, check
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind, Picture
from gradviz.selecting import default_selection
from gradviz.views import Options

SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("*.py"))
SAMPLES.remove(SAMPLES[0].with_name("digits_convnet.py"))  # test_digits has it: it trains, and so rounds differently
NAMES = [sample.stem for sample in SAMPLES]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The log of each sample."""
    folder = tmp_path_factory.mktemp("logs")
    logs = {}
    for sample in SAMPLES:
        logs[sample.stem] = folder / f"{sample.stem}.gvlog"
        done = run("-m", "gradviz", "record", sample, "-o", logs[sample.stem])
        assert done.returncode == 0, done.stderr
    return logs


def graph_of(recorded: dict[str, Path], name: str) -> Graph:
    graph = Graph.build(read_log(recorded[name]))
    graph.validate()
    return graph


def picture_of(recorded: dict[str, Path], name: str) -> Picture:
    return compose(default_selection(graph_of(recorded, name)), Options())


def titles(picture: Picture, kind: BoxKind) -> list[str]:
    return sorted(box.title for box in picture.boxes if box.kind is kind)


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_prints_what_pytorch_prints(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(sample.parent / "data")
    twin = tmp_path / sample.name
    twin.write_text(sample.read_text().replace("gradviz", "torch"))
    ours, theirs = run(sample), run(twin)
    assert theirs.returncode == 0, theirs.stderr
    assert ours.stdout.replace("gradviz.", "torch.") == theirs.stdout
    assert theirs.stdout
    assert (ours.returncode, ours.stderr) == (0, "")


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_is_drawn_the_same_from_the_script_twice_and_from_its_log(
    sample: Path, recorded: dict[str, Path], tmp_path: Path
) -> None:
    first, second, logged = (tmp_path / name for name in ("first.svg", "second.svg", "logged.svg"))
    for target, output in ((sample, first), (sample, second), (recorded[sample.stem], logged)):
        done = run("-m", "gradviz", "render", target, "-o", output)
        assert done.returncode == 0, done.stderr
    assert first.read_bytes() == second.read_bytes() == logged.read_bytes()
    assert ElementTree.fromstring(first.read_bytes()).tag.endswith("svg")


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps(name: str, direction: str, recorded: dict[str, Path]) -> None:
    assert check(arrange(picture_of(recorded, name), direction)) == ()


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_the_header_says_what_to_see_and_the_script_is_short(sample: Path) -> None:
    lines = sample.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert any(line.startswith("# See: ") for line in lines)
    assert len(lines) <= 45


def test_detach(recorded: dict[str, Path]) -> None:
    graph = graph_of(recorded, "detach")
    (cut,) = graph.cuts
    assert (cut.cause, graph.sites[cut.site].line, graph.values[cut.value].name) == (Cause.DETACH, 7, "x")
    assert picture_of(recorded, "detach").summary == (
        "5 ops · 1 leaf that requires grad · 1 cut · gradient reaches x by 1 of 2 roads"
    )


def test_tracked_and_untracked(recorded: dict[str, Path]) -> None:
    picture = picture_of(recorded, "tracked_and_untracked")
    assert [frame.title for frame in picture.frames] == ["no_grad · line 7"]
    assert titles(picture, BoxKind.OFF) == ["mul", "untracked = sum"]
    assert titles(picture, BoxKind.OP) == ["mul", "tracked = sum"]
    assert titles(picture, BoxKind.ERROR) == ["backward() raised · line 14"]
    assert "element 0 of tensors does not require grad" in " ".join(picture.notes)


def test_no_grad(recorded: dict[str, Path]) -> None:
    picture = picture_of(recorded, "no_grad")
    assert picture.summary == "4 ops · 2 tracked, 2 skipped under no_grad · 2 leaves that require grad"
    assert titles(picture, BoxKind.OUTPUT) == ["y"]
    assert titles(picture, BoxKind.OFF_OUTPUT) == ["z"]


def test_leaf_inside_no_grad(recorded: dict[str, Path]) -> None:
    picture = picture_of(recorded, "leaf_inside_no_grad")
    frame = picture.frames[0]
    assert [box.title for box in picture.boxes if box.kind is BoxKind.LEAF and box.frame == frame.id] == ["w"]
    assert [box.title for box in picture.boxes if box.kind is BoxKind.OFF] == ["z = mul"]


def test_threads(recorded: dict[str, Path]) -> None:
    graph = graph_of(recorded, "threads")
    (region,) = graph.regions.values()
    products = {op.thread: op for op in graph.ops.values() if op.name == "mul"}
    assert (products[0].tracked, products[0].region) == (False, region.id)
    assert (products[1].tracked, products[1].region) == (True, None)


def test_decorator_and_generator(recorded: dict[str, Path]) -> None:
    graph = graph_of(recorded, "decorator_and_generator")
    assert sorted({graph.sites[region.site].line for region in graph.regions.values()}) == [9, 14]
    kept = [op for op in graph.ops.values() if graph.values[op.id].name.startswith("kept")]
    assert [(op.tracked, op.region) for op in kept] == [(True, None), (True, None)]


def test_training_under_no_grad(recorded: dict[str, Path]) -> None:
    picture = picture_of(recorded, "training_under_no_grad")
    assert [frame.title for frame in picture.frames] == ["no_grad · line 10"]
    assert [wire.lost for wire in picture.wires].count(True) == 1
    assert "The gradient to w is lost under no_grad, opened at line 10" in picture.description


def test_weight_update(recorded: dict[str, Path]) -> None:
    picture = picture_of(recorded, "weight_update")
    assert not any(wire.lost for wire in picture.wires)
    assert not titles(picture, BoxKind.CUT)
    assert titles(picture, BoxKind.OFF) == ["mul", "w = sub"]
    assert "w.grad" in titles(picture, BoxKind.CONST)


def test_linear_regression(recorded: dict[str, Path]) -> None:
    graph = graph_of(recorded, "linear_regression")
    assert len(graph.sweeps) == 300
    picture = picture_of(recorded, "linear_regression")
    assert len(picture.boxes) < 50
    assert [frame.title for frame in picture.frames] == ["no_grad · line 24"]
    assert any("that ran later" in note for note in picture.notes)
    printed = run(SAMPLES[NAMES.index("linear_regression")]).stdout
    training, test = map(float, re.findall(r"([\d.]+) on the", printed))
    assert training < 270
    assert test < 270


def test_frozen_layer(recorded: dict[str, Path]) -> None:
    graph = graph_of(recorded, "frozen_layer")
    gradients = {graph.values[gradient.value].name: gradient for gradient in graph.sweeps[-1].gradients}
    assert sorted(gradients) == ["a", "second"]
    picture = picture_of(recorded, "frozen_layer")
    lost = {wire.tail for wire in picture.wires if wire.lost}
    assert {box.title for box in picture.boxes if box.id in lost} >= {"b"}
