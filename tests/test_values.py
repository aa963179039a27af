"""Recordings with values: they tell of a tensor what numpy says of it, change nothing else, and rules use them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from gradviz_cli.main import application
from score_cases import findings_of
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import gradviz
from gradviz.accounts.composing import account_of
from gradviz.core.listeners import observers
from gradviz.core.values import value_id
from gradviz.diagnose import Findings, diagnose
from gradviz.events import Measure
from gradviz.frontends.torch.books import measuring
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.identity import Tensors
from gradviz.graphs import Graph
from gradviz.gvlog import read_log
from gradviz.picture.wording import numbers
from gradviz.recorder import Recorder

PROGRAMS = Path(__file__).parent / "programs"
FIELDS = ("zeros", "nans", "infs", "low", "high", "mean", "norm")


def by_numpy(array: np.ndarray[Any, Any]) -> tuple[float, ...]:
    """What a measure of `array` has to say, in the order of `FIELDS`."""
    zeros, nans, infs = (array == 0).sum(), np.isnan(array).sum(), np.isinf(array).sum()
    finite = (np.abs(array) if np.iscomplexobj(array) else array.astype(np.float64))[np.isfinite(array)]
    if not finite.size:
        return zeros, nans, infs, 0.0, 0.0, 0.0, 0.0
    return zeros, nans, infs, finite.min(), finite.max(), finite.mean(), math.hypot(*finite.ravel())


def told(measure: Measure) -> tuple[float, ...]:
    return tuple(getattr(measure, field) for field in FIELDS)


def same(measure: Measure | None, array: np.ndarray[Any, Any]) -> bool:
    return measure is not None and told(measure) == pytest.approx(by_numpy(array), rel=1e-12, abs=1e-300)


def edges(library: Any, keep: Callable[[Any], Any]) -> None:
    """Ops whose results have NaNs, infinities, zeros and none of them; writes in place, views, several results."""
    x = keep(library.tensor([[1.0, 0.0, -2.0], [4.0, 3.0, 0.5]], requires_grad=True))
    y = keep(library.log(x))
    keep(y * 0.0)
    keep(library.exp(x * 100.0))
    keep(x / x)
    keep(x.sum())
    keep(x > 0)
    keep(library.relu(x))
    keep(x.t())
    keep(x[0])
    values, indices = x.max(1)
    keep(values)
    keep(indices)
    for part in library.split(x, 1):
        keep(part)
    h = keep(library.zeros(3))
    h += 5
    keep(h)
    h[1] = -1.0
    keep(h)
    keep(library.softmax(x, 1))
    (x * 2).sum().backward()
    with library.no_grad():
        x -= 0.1 * x.grad
        keep(x)


def test_pytorch_is_measured_as_numpy_measures_it() -> None:
    seen: list[tuple[int | None, np.ndarray[Any, Any]]] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        seen.append((rec.value_of(tensor), np.array(tensor.tolist()).astype(tensor.detach().numpy().dtype)))
        return tensor

    with gradviz.record(values=True) as rec:
        edges(torch, keep)
    assert not rec.failures
    measures = rec.graph().measures
    assert len(seen) == 19
    for value, array in seen:
        assert value is not None
        assert same(measures.get(value), array), (measures.get(value), array)


def test_the_core_is_measured_as_numpy_measures_it() -> None:
    seen: list[tuple[int, np.ndarray[Any, Any]]] = []

    def keep(tensor: gradviz.Tensor) -> gradviz.Tensor:
        seen.append((value_id(tensor), np.array(tensor._data)))
        return tensor

    with gradviz.record(values=True) as rec:
        edges(gradviz, keep)
    assert not rec.failures
    measures = rec.graph().measures
    assert len(seen) == 19
    for value, array in seen:
        assert same(measures.get(value), array), (measures.get(value), array)


def test_both_front_ends_say_the_same() -> None:
    found = []
    for library in (gradviz, torch):
        with gradviz.record(values=True) as rec:
            edges(library, lambda tensor: tensor)
        graph = rec.graph()
        named = [op for op in graph.ops.values() if op.name in ("log", "exp", "div", "relu", "sum", "softmax", "gt")]
        found.append([(op.name, told(graph.measures[op.outputs[0]])) for op in named])
    assert [name for name, _ in found[0]] == [name for name, _ in found[1]]
    for (_, ours), (_, theirs) in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1e200, -1e200], dtype=torch.float64),
        torch.tensor([1e-200, 0.0], dtype=torch.float64),
        torch.tensor([True, False]),
        torch.tensor([-3, 0, 7]),
        torch.tensor([3 + 4j, 0j, complex(math.nan, 1)]),
        torch.tensor([math.nan, math.inf]),
        torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
        torch.ones(3, 1).expand(3, 5),
        torch.tensor(-0.0),
    ],
    ids=["large", "small", "bool", "int", "complex", "nothing finite", "strided", "expanded", "minus zero"],
)
@pytest.mark.parametrize("block", [1 << 20, 2])
def test_every_kind_of_number(tensor: torch.Tensor, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "BLOCK", block)
    assert same(measuring.measure(tensor, 1), tensor.numpy())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_short_floats(dtype: torch.dtype) -> None:
    tensor = torch.tensor([0.0, 0.5, -2.0, math.nan]).to(dtype)
    assert told(measuring.measure(tensor, 1) or Measure(1)) == pytest.approx((1, 1, 0, -2.0, 0.5, -0.5, 4.25**0.5))


def test_what_cannot_be_looked_at_has_no_measure() -> None:
    with FakeTensorMode():
        fake = torch.ones(3)
    freed = torch.ones(3)
    freed.untyped_storage().resize_(0)
    for tensor in (
        torch.ones(3, device="meta"), torch.ones(3).to_sparse(), torch.empty(0, 3), fake,
        torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged), freed,
    ):  # fmt: skip
        assert measuring.measure(tensor, 1) is None


# what must not change


def train(seed: int = 0) -> list[torch.Tensor]:
    """Everything that a look could disturb: random numbers, versions, hooks, modes, gradients."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())
    counts: list[torch.Tensor] = []
    for _ in range(3):
        x = torch.randn(5, 4)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (counts.append(torch.tensor(1.0)), t)[1], lambda t: t):
            loss = model(x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        seen = model(torch.ones(1, 4))
    versions = torch.tensor([float(p._version) for p in model.parameters()])
    numbers = torch.tensor([float(loss.grad_fn._sequence_nr()) - float((loss * 2).grad_fn._sequence_nr())])
    return [*model.parameters(), *(p.grad for p in model.parameters()), seen, versions, numbers, torch.rand(3), *counts]


def test_results_are_bitwise_the_same() -> None:
    alone = train()
    with gradviz.record(values=True) as rec:
        recorded = train()
    assert not rec.failures
    assert len(rec.graph().measures) > 50
    assert len(alone) == len(recorded)
    assert all(torch.equal(one, other) for one, other in zip(alone, recorded, strict=True))


class Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ran.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_dispatch_mode_does_not_see_the_looks() -> None:
    def program() -> list[str]:
        with Counting() as mode:
            torch.relu(torch.ones(3) - 2).sum()
        return mode.ran

    alone = program()
    with gradviz.record(values=True) as rec:
        recorded = program()
    assert recorded == alone
    assert not rec.failures
    assert any(measure.zeros == 3 for measure in rec.graph().measures.values())


def test_transforms_and_traces_are_left_alone() -> None:
    def program() -> tuple[Any, ...]:
        x = torch.linspace(-1, 1, 6).reshape(3, 2)
        mapped = torch.func.vmap(lambda row: row.exp().sum())(x)
        slope = torch.func.grad(lambda t: (t * t).sum())(x)
        with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
            traced = torch.jit.trace(lambda t: torch.relu(t) * 2, (x,))
        return mapped, slope, traced(x), [node.kind() for node in traced.graph.nodes()]

    alone = program()
    with gradviz.record(values=True) as rec:
        recorded = program()
    assert not rec.failures
    assert recorded[3] == alone[3]
    assert all(torch.equal(one, other) for one, other in zip(alone[:3], recorded[:3], strict=True))


def test_numpy_may_raise_for_the_program_but_not_for_the_look() -> None:
    with np.errstate(all="raise"), gradviz.record(values=True) as rec:
        x = gradviz.tensor([3e38, 3e38])
        x * 0.5
    assert not rec.failures
    assert len(rec.graph().measures) == 2


def test_a_recording_without_values_has_none_and_no_way_to_them() -> None:
    with gradviz.record() as rec:
        edges(torch, lambda tensor: tensor)
        edges(gradviz, lambda tensor: tensor)
        assert not observers
        assert type(Book(rec).tensors) is Tensors
    assert rec.graph().measures == {}
    with gradviz.record(values=True):
        assert len(observers) == 1
    assert not observers


SCRIPT = """
import LIBRARY as lib
w = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
p = lib.tensor([0.0, 0.5, 0.5])
q = lib.log(p)
loss = (w * p * q).sum()
loss.backward()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application, arguments, prog_name="gradviz", terminal_width=80)


def start_in(folder: Path, *arguments: str) -> None:
    """A command in a process of its own, where ids begin at 1."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    command = [sys.executable, "-m", "gradviz", *arguments]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True)


@pytest.mark.parametrize("library", ["gradviz", "torch"])
def test_a_log_with_values_is_the_log_without_and_the_measures(library: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.replace("LIBRARY", library))

    def record(*options: str) -> list[str]:
        start_in(tmp_path, "record", "train.py", "-o", "run.gvlog", *options)
        return (tmp_path / "run.gvlog").read_text().splitlines()

    plain, with_values, again = record(), record("--values"), record("--values")
    assert with_values == again
    assert [line for line in with_values if not line.startswith('{"measure":')] == plain
    assert len(with_values) - len(plain) >= 6
    graph = Graph.build(read_log(tmp_path / "run.gvlog"))
    graph.validate()
    (log,) = (op for op in graph.ops.values() if op.name == "log")
    half = math.log(0.5)
    assert told(graph.measures[log.outputs[0]]) == pytest.approx((0, 0, 1, half, half, half, -half * 2**0.5), rel=1e-6)
    assert graph.subset([log.id]).measures.keys() == {log.inputs[0], log.outputs[0]}


# what is made of it


@pytest.mark.parametrize(
    ("measure", "count", "text"),
    [
        (Measure(1, 1, 0, 0, -1.0, 2.5, 0.5, 2.7), 3, "-1 to 2.5, mean 0.5, norm 2.7, 1 zero"),
        (Measure(1, 0, 1, 2, 0.0, 0.0, 0.0, 0.0), 4, "0 to 0, mean 0, norm 0, 1 NaN, 2 infinite"),
        (Measure(1, 0, 2), 2, "2 NaNs"),
        (Measure(1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25), 1, "0.25"),
        (Measure(1, 0, 1), 1, "NaN"),
        (Measure(1, 0, 0, 1), 1, "infinite"),
    ],
)
def test_numbers_in_words(measure: Measure, count: int, text: str) -> None:
    assert numbers(measure, count) == text


def test_a_picture_tells_them(folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT.replace("LIBRARY", "gradviz"))
    told = "-0.6931 to -0.6931, mean -0.6931, norm 0.9803, 1 infinite"
    run("render", "train.py", "--values", "-o", "with.svg")
    run("render", "train.py", "-o", "without.svg")
    assert told in Path("with.svg").read_text()
    assert "norm" not in Path("without.svg").read_text()


@pytest.mark.parametrize("library", ["gradviz", "torch"])
def test_check_names_who_made_the_first_nan(library: str, folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT.replace("LIBRARY", library))
    run("check", "train.py", "--values", "--format", "json", "-o", "found.json")
    (finding,) = json.loads(Path("found.json").read_text())["findings"]
    assert (finding["code"], finding["line"], finding["names"]) == ("GV602", 5, ["w"])
    assert "`log` at line 5 made 1 infinity among 3 numbers: its input `p` has a zero" in finding["message"]
    run("record", "train.py", "--values", "-o", "run.gvlog")
    assert json.loads(run("check", "run.gvlog", "--format", "json").stdout)["findings"] == [finding]


def test_a_log_without_values_says_how_to_get_them(folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT.replace("LIBRARY", "gradviz"))
    run("record", "train.py", "-o", "run.gvlog")
    note = "note: the log has no values; `gradviz record --values` notes them"
    assert note in run("check", "run.gvlog", "--values").stderr
    assert note not in run("check", "run.gvlog").stderr


def findings(library: Any, program: Callable[[Any], None]) -> Findings:
    with gradviz.record(values=True) as rec:
        program(library)
    assert not rec.failures
    return diagnose(rec.graph())


def test_a_negative_root(lib: Any) -> None:
    def program(lib: Any) -> None:
        w = lib.tensor([0.5, -0.2], requires_grad=True)
        lib.sqrt(w).sum().backward()

    (found,) = findings(lib, program)
    assert (found.code, found.names) == ("GV602", ("w",))
    assert "`w` has negative numbers, down to -0.2" in found.message


def test_an_overflow(lib: Any) -> None:
    def program(lib: Any) -> None:
        w = lib.tensor([1000.0, 1.0], requires_grad=True)
        e = lib.exp(w)
        (e / e.sum()).sum().backward()

    (found,) = findings(lib, program)
    assert found.source.strip() == "e = lib.exp(w)"
    assert "goes from 1 to 1000" in found.message


def test_weights_that_run_away(lib: Any) -> None:
    def program(lib: Any) -> None:
        w = lib.tensor([1.0, -2.0], requires_grad=True)
        for _ in range(3):
            w.grad = None
            loss = (w**2).sum()
            loss.backward()
            with lib.no_grad():
                w -= 1e15 * w.grad

    (found,) = findings(lib, program)
    assert "`pow`" in found.message
    assert "negative" not in found.message
    assert found.help == "what goes into it has grown too large: lower the learning rate, or clip the gradients"


def test_of_several_roots_the_one_at_zero_is_blamed(lib: Any) -> None:
    def program(lib: Any) -> None:
        w = lib.tensor([0.0, 2.0], requires_grad=True)
        fine = lib.sqrt(w + 1)
        edge = lib.sqrt(w * 3)
        (fine + edge * lib.tensor([0.0, 1.0])).sum().backward()

    (found,) = findings(lib, program)
    assert found.source.strip() == "edge = lib.sqrt(w * 3)"
    assert "has an infinite derivative: its input has a zero" in found.message


def test_an_infinite_loss(lib: Any) -> None:
    def program(lib: Any) -> None:
        w = lib.tensor([0.0, 2.0], requires_grad=True)
        loss = -lib.log(w).sum()
        loss.backward()

    (found,) = findings(lib, program)
    assert (found.code, found.severity.value) == ("GV603", "warning")
    assert "`loss` is infinite: `log`" in found.message


def test_a_row_that_is_masked_wholly(lib: Any) -> None:
    def program(lib: Any) -> None:
        w = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        scores = w.masked_fill(lib.tensor([[True, True], [False, True]]), -float("inf"))
        shares = lib.softmax(scores, 1)
        (shares * shares).sum().backward()

    (found,) = findings(lib, program)
    assert found.source.strip() == "shares = lib.softmax(scores, 1)"
    assert "2 NaNs among 4 numbers: its input `scores` has 3 infinities" in found.message


def test_a_nan_in_the_data(lib: Any) -> None:
    def program(lib: Any) -> None:
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        x = lib.tensor([1.0, float("nan")])
        (w * x).sum().backward()

    (found,) = findings(lib, program)
    assert "`x`" in found.message
    assert "has 1 NaN among 2 numbers from the start" in found.message


def test_a_nan_that_nothing_differentiates_is_a_note(lib: Any) -> None:
    def program(lib: Any) -> None:
        x = lib.tensor([0.0, 1.0])
        y = x / x
        y.sum().item()

    (found,) = findings(lib, program)
    assert (found.code, found.severity.value) == ("GV603", "note")
    assert "`div`" in found.message


def test_layers_behind_a_dead_relu(lib: Any) -> None:
    def program(lib: Any) -> None:
        lib.manual_seed(0)
        x, w, b = lib.randn(8, 3), lib.randn(3, 4, requires_grad=True), lib.full((4,), -50.0, requires_grad=True)
        v, c = lib.randn(4, 1, requires_grad=True), lib.zeros(1, requires_grad=True)
        h = lib.relu(x @ w + b)
        ((h @ v + c - 1) ** 2).mean().backward()

    (found,) = findings(lib, program)
    assert (found.code, found.severity.value, set(found.names)) == ("GV601", "warning", {"w", "b", "v"})
    assert found.source.strip() == "h = lib.relu(x @ w + b)"


def test_a_hinge_that_is_met_is_no_dead_layer(lib: Any) -> None:
    def program(lib: Any) -> None:
        lib.manual_seed(0)
        w, v = lib.randn(4, 4, requires_grad=True), lib.randn(4, 4, requires_grad=True)
        (lib.relu((w * w) * 0 - 1).sum() + (v * v).sum()).backward()

    assert not [finding for finding in findings(lib, program) if finding.severity.value != "note"]


def test_saturation(lib: Any) -> None:
    def program(lib: Any) -> None:
        lib.manual_seed(0)
        x, w = lib.randn(8, 3), lib.randn(3, 3, requires_grad=True)
        gate = lib.sigmoid((x @ w) * 1e4)
        fine = lib.tanh(x @ w)
        (gate * fine).sum().backward()

    (found,) = findings(lib, program)
    assert (found.code, found.source.strip()) == ("GV605", "gate = lib.sigmoid((x @ w) * 1e4)")


def test_explain_tells_them() -> None:
    with gradviz.record(values=True) as rec:
        w = gradviz.tensor([1.0, -2.0, 0.0], requires_grad=True)
        w.sum().backward()
    (value,) = (value for value in rec.graph().values.values() if value.name == "w")
    assert "what it held when it was made: -2 to 1, mean -0.3333, norm 2.236, 1 zero" in str(
        account_of(rec.graph(), value.id)
    )


@pytest.fixture(params=[gradviz, torch], ids=["core", "torch"])
def lib(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("healthy_*.py")))
def test_a_right_program_is_left_alone_with_values_too(name: str) -> None:
    loud = [found for found in findings_of(PROGRAMS / f"{name}.py", "--values") if found["severity"] != "note"]
    assert not loud


def test_two_recordings_at_once_may_differ_in_it() -> None:
    with gradviz.record() as outer, gradviz.record(values=True) as inner:
        torch.ones(3) + 1
        gradviz.ones(3) + 1
    assert not outer.graph().measures
    assert len(inner.graph().measures) == 4
    assert isinstance(outer, Recorder)
